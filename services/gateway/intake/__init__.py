"""What a request to send becomes, in reading order: ``bodies`` (JSON, form or multipart into fields, with ``form_fields``
and ``charsets``), ``uploads`` (the file of a multipart body), ``account_choice`` (the account that a header or the query
names), ``fields`` (content and options), ``phones`` (recipients) with ``phone_spelling`` and ``numbering_plans`` (which
number it is, if it is one) and ``duplicates``, ``asked`` (all of these, and what is wrong with them), ``drafts`` (every
default decided), ``replies`` and ``remote_media`` (what a draft depends on elsewhere), ``idempotency`` (the same request
again), ``acceptance`` (Postgres, then Redis). ``plain_texts`` is the short way for most bodies.
"""
