"""What two or more services use. Read in this order: ``messages`` (the words), ``settings``, ``endpoints`` (accounts and
their pace), ``queue`` (what stands in Redis), ``database`` (what stands in Postgres), ``media``, then ``runtime`` and
``observability``, which every service starts with.
"""
