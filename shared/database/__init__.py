"""What stands in Postgres. The tables and the functions that change several of them at once are in ``migrations/``; the
statements are in ``sql/``, a file per module here.

Read: ``connection`` (with ``connecting``, ``statements`` and ``away``: what an error means), then what is done with a
message: ``messages`` and ``campaigns`` (accepted; with ``idempotency``), ``feeding`` and ``due`` (into Redis),
``attempts`` (dispatcher: peek, gate, settle; with ``postponing``, ``replies`` and ``sent_names``), ``unanswered`` and
``unknown`` (outcomes that nobody knows; with ``account_answers``), ``receipts``, ``campaign_endings``. Beside it:
``conversations`` and ``optouts`` (people), ``media`` (files), ``endpoints``, ``rate_profile`` and ``account_feedback``
(accounts), ``beat`` and ``rebuilding`` (Postgres against Redis), ``retention``, ``figures`` and ``alerts`` (monitor).
"""
