"""What the sender posts, in reading order: ``gowa_events`` (what an event says), ``optout_words`` (whether it is a STOP),
``noted_numbers`` (hidden numbers, each noted once), ``refused_webhooks`` (posts that were not signed as agreed).
"""
