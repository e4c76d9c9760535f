"""The gateway: authenticates, validates, takes uploads, writes messages and campaigns to Postgres, enqueues single sends.

The path of a request, in reading order: ``app`` (the wiring) -> ``routes/sending`` -> ``intake/bodies`` (JSON, form,
multipart; an upload streams to a file in ``intake/uploads``) -> ``intake/fields`` and ``intake/phones`` (what is wrong is
named) -> ``intake/idempotency`` (was it asked before?) -> ``intake/acceptance`` (committed, then enqueued, then answered).
Beside it: ``routes/`` for reading and steering, ``openapi`` (the document, built from ``shapes`` and ``api_routes``),
``documentation/`` (its page), ``web/`` (dashboard).
"""
