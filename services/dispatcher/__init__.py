"""The dispatcher: takes assignments, types, passes the gate, sends, settles. Many replicas share one queue.

The path of a message, in reading order: ``taking`` (take and peek) -> ``delivering`` (the table of contents of one
message) -> ``typing_presence`` -> ``gate`` -> ``sending/`` (payloads, client, verdict) -> ``retry_policy`` (what follows a
verdict) -> ``settlement``. Beside it: ``heartbeat``, ``breakers``, ``rate`` (the profile in force), ``app`` (the wiring).
"""
