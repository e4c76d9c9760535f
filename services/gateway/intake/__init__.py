"""What a request to send becomes, in reading order: ``bodies`` (JSON, form or multipart into fields), ``uploads`` with
``media_types`` (the file of a multipart body), ``fields`` (content and options), ``phones`` with ``duplicates`` (recipients),
``remote_media`` (URLs), ``idempotency`` (the same request again), ``acceptance`` (Postgres, then Redis). ``text`` cleans
what Postgres could not hold.

What the sender posts: ``gowa_events`` reads it, ``optout_words`` knows what a STOP is.
"""
