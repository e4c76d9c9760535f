"""What the API answers: ``sending``, ``messages``, ``campaigns``, ``rate_profile``, ``stopping``; ``parameters`` reads
what stands in paths and queries.
"""
