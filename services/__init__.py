"""The four services, deployed apart; they share only Redis and Postgres, and never import each other.

In the order of a message: ``gateway`` (accepts), ``scheduler`` (feeds campaigns, promotes what is due, takes back from
the dead), ``dispatcher`` (sends), ``monitor`` (looks and tells).
"""
