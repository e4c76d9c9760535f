"""The rights that Redis must give its user, as rules of its ACL, and how those that are missing are named.

docs/operations.md repeats them as a line for an ACL file; a test runs everything with that line.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.queue.keys import Keys

# The first line is what a connection does, which no script can try.
_COMMANDS = (
    "evalsha script|load ping subscribe",
    "info time publish",
    "del get incrby pexpire",
    "hdel hget hgetall hincrby hkeys hmget hset",
    "sadd scard smembers srandmember srem",
    "xack xadd xdel xgroup|create xgroup|delconsumer xinfo|consumers xinfo|groups xlen xpending xrange xreadgroup",
    "zadd zcard zcount zmscore zrange zrangebyscore zrem zremrangebyscore zrevrange zscore",
)
COMMANDS = tuple(name for line in _COMMANDS for name in line.split())


def acl_rules(keys: Keys) -> list[str]:
    """The shortest set of rights: keys, channel, commands."""
    return [_of_keys(keys), _of_channel(keys), *(f"+{name}" for name in COMMANDS)]


def missing_text(keys: Keys, commands: Sequence[str], no_key: bool) -> str:
    """Names the rules that are missing as an operator would add them; '' if none is."""
    rules = [*([_of_keys(keys)] if no_key else []), *(f"+{name}" for name in commands)]
    if not rules:
        return ""
    braces = " (the braces belong to the names of the keys)" if no_key else ""
    return f"Redis cannot be used: its user lacks {' '.join(rules)}{braces}; give it that by ACL SETUSER"


def no_channel_text(keys: Keys) -> str:
    late = "so new messages are noticed up to a second late"
    return f"the user of Redis lacks {_of_channel(keys)}, {late}; give it that by ACL SETUSER"


def _of_keys(keys: Keys) -> str:
    return f"~{keys.everything()}"


def _of_channel(keys: Keys) -> str:
    return f"&{keys.wake}"
