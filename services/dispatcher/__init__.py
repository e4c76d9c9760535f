"""The dispatcher: takes assignments, types, passes the gate, sends, settles. Many replicas share one queue.

The path of a message, in reading order: ``taking`` (take and peek) -> ``delivering`` (the table of contents of one
message; its ``stages`` are types) -> ``preparing`` (with ``replies``, ``routing`` and ``quiet_hours``) -> ``typing_presence``
-> ``gate`` -> ``sending/`` (payloads, client, verdict) -> ``judging`` (whose fault; with ``unlisted_answers``) ->
``retry_policy`` (what follows a verdict) -> ``settling`` -> ``settlement`` (the writes, in batches). Beside it:
``heartbeat``, ``breakers``, ``rate`` (the profile in force), ``settings``, ``app`` (the wiring).
"""
