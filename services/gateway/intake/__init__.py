"""What a request to send becomes, in reading order: ``bodies`` (JSON, form or multipart into fields), ``uploads`` with
``media_types`` (the file of a multipart body), ``fields`` (content and options), ``phones`` with ``duplicates`` (recipients),
``asked`` (all of these, and what is wrong with them), ``drafts`` (every default decided), ``replies`` and ``remote_media``
(what a draft depends on elsewhere), ``idempotency`` (the same request again), ``acceptance`` (Postgres, then Redis).
``plain_texts`` is the short way for most bodies, ``text`` cleans what Postgres could not hold.

What the sender posts: ``gowa_events`` reads it, ``optout_words`` knows what a STOP is.
"""
