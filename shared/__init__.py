"""What the services have in common: all that stands in Redis and Postgres, whoever asks for it, and what several of them need.

Read in this order, which is that of the layers, the lowest first: ``errors`` (those that cross module borders), ``clock``,
``cancellation``, ``traceparent``, ``setting_names`` and ``tls`` (small things, each said once), ``observability``; ``messages``
(the words), ``media``, ``settings``, ``outbound`` (asking at others' addresses), ``endpoints`` (accounts and their pace),
``queue`` (what stands in Redis), ``database`` (what stands in Postgres), ``runtime`` (what every service starts with).
"""
