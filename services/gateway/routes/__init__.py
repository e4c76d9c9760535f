"""What the API answers: ``sending``, ``messages``, ``campaigns``, ``endpoints``, ``rate_profile``, ``stopping``, ``optouts``;
``gowa_webhook`` hears the sender; ``parameters`` reads what stands in paths and queries.
"""
