"""The gateway: authenticates, validates, takes uploads, writes messages and campaigns to Postgres, enqueues single sends.

The path of a request, in reading order: ``app`` (the wiring) -> ``routes/sending`` -> ``intake/bodies`` (JSON, form,
multipart; an upload streams to a file in ``intake/uploads``) -> ``intake/fields`` and ``intake/phones`` (what is wrong is
named) -> ``intake/idempotency`` (was it asked before?) -> ``intake/acceptance`` (committed, then enqueued, then answered).
What may be asked for stands in ``send_requests``, what is answered in ``shapes``, which route does what in ``api_routes``, and
what the parts find in the application in ``app_keys``. Beside it: ``inbound/`` (what the sender posts, with ``optout_words``),
``routes/`` for reading and steering (with ``failure_reasons``), ``openapi`` (the document, written by ``yaml_text``),
``documentation/`` (its page), ``web/`` (dashboard), ``text`` (what Postgres could not hold), ``settings``.
"""
