"""The scheduler: whatever has to happen without anybody asking. Two run side by side; every loop is safe to run twice.

Each role is one file with one class: its ``step`` does a bounded piece of work, ``interval`` is the usual wait after it.

Into Redis: ``due_messages`` (parked entries whose time has come), ``unqueued_messages`` (rows that are not in Redis, with
``stream_ages``), ``campaigns`` (chunks while there is room; and their end), ``expired_messages``. After mishaps:
``dead_dispatchers``, ``unknown_outcomes`` (with ``storage_match`` and ``account_answers``: when nothing found is a
proof), ``endpoint_recovery``, ``gone_endpoints``, ``redis_rebuild`` (with ``account_history``), ``postgres_beat``
(whether Postgres went back). Accounts: ``account_limits``, ``account_feedback`` (whose rules are
``account_feedback_rules``), ``rate_in_force``. Tidying: ``receipts``, ``media_janitor``, ``retention``. ``app`` is the
wiring, ``settings`` what can be set.
"""
