"""The scheduler: whatever has to happen without anybody asking. Two run side by side; every loop is safe to run twice.

Each role is one file with one class: its ``step`` does a bounded piece of work, ``interval`` is the usual wait after it.

Into Redis: ``due_messages`` (parked entries whose time has come), ``unqueued_messages`` (rows that are not in Redis),
``campaigns.starting`` and ``campaigns.feeding`` (chunks while there is room). To an end: ``campaigns.completion``,
``campaigns.ending``, ``expired_messages``. After mishaps: ``dead_dispatchers``, ``unknown_outcomes``,
``endpoint_recovery``, ``redis_rebuild``. Accounts: ``account_limits``, ``account_feedback`` (whose rules are
``account_feedback_rules``). Tidying: ``receipts``, ``media_janitor``, ``retention``. ``app`` is the wiring.
"""
