"""What an error of Redis means: why it was refused and what to do, in words that anybody may read.

Whatever Redis answers in place of what was asked for, it is away for us: what is committed in Postgres stays accepted, and
whoever waits for Redis goes on once it answers. Servers, forks and proxies have ever more words for it, so no list decides;
the one here only explains those that are known. The words are those of Redis 6.2 to 8 and Valkey 9, in `server.c`, `acl.c`,
`script.c`, `replication.c`, `cluster.c` and `networking.c` of either.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import QueueUnavailable

NO_PRIMARY = "no sentinel names a primary"
"""How the error begins when none of the sentinels helps; then their words follow."""
_RIGHTS = "docs/operations.md has the rights to give its user"
_LOGIN = "set REDIS_USERNAME and REDIS_PASSWORD as Redis has them"
_ONE_SERVER = "let REDIS_HOST and REDIS_PORT lead to a server that holds all keys and is not in cluster mode"
_PRIMARY = "REDIS_HOST must lead to the primary, or set REDIS_SENTINELS"

_BY_CODE = {
    "NOAUTH": ("it wants a login", _LOGIN),
    "WRONGPASS": ("it refuses the login", _LOGIN),
    "NOPERM": ("its user lacks a right", _RIGHTS),
    "DENIED": (
        "it lets nobody in from another machine (protected mode)",
        "give Redis a password and set REDIS_PASSWORD",
    ),
    "READONLY": ("it is read-only, a replica", _PRIMARY),
    "MASTERDOWN": ("it is a replica that has lost its primary", _PRIMARY),
    "UNBLOCKED": ("it has just become a replica", _PRIMARY),
    "LOADING": ("it is loading its data", "it goes on by itself"),
    "BUSY": ("a script or module of somebody else blocks it", "it goes on when that ends; SCRIPT KILL ends it"),
    "OOM": ("it is out of memory", "raise its maxmemory or remove what others keep in it"),
    "MISCONF": ("it cannot write to its disk and so takes no writes", "look at its disk and its log"),
    "NOREPLICAS": ("it has fewer replicas than min-replicas-to-write", "bring its replicas back"),
    "CLUSTERDOWN": ("its cluster is down", "look at the cluster's nodes"),
    "TRYAGAIN": ("its cluster is moving keys", "it goes on by itself"),
    "MOVED": ("it is a node of a cluster and sends on to another", _ONE_SERVER),
    "ASK": ("it is a node of a cluster and sends on to another", _ONE_SERVER),
    "CROSSSLOT": ("it is a cluster that splits the keys", _ONE_SERVER),
    "NOSCRIPT": ("it or a proxy before it forgets scripts", _ONE_SERVER),
    "NOPROTO": ("it does not speak RESP3", "Redis 6.2 or newer, or Valkey, is wanted"),
    "WRONGTYPE": (
        "keys with the prefix of REDIS_QUEUE_NAME are of another kind, so another program uses it",
        "set another REDIS_QUEUE_NAME",
    ),
}

_BY_WORDS = (
    # Scripts of Redis 6.2 do not say NOPERM, later ones say ERR before it.
    (r"ACL failure|no permissions|user executing the script can't", "NOPERM"),
    (r"invalid password|invalid username-password", "WRONGPASS"),
    (r"Authentication required", "NOAUTH"),
)

_BY_TEXT = (
    (
        r"without any password configured|no password is set",
        "its default user has no password",
        "leave REDIS_PASSWORD empty or set REDIS_USERNAME too",
    ),
    (
        r"max number of clients",
        "it takes no more connections",
        "raise its maxclients or lower REDIS_POOL_SIZE",
    ),
    (
        r"DB index|SELECT is not allowed",
        "it does not have the database of REDIS_DATABASE",
        "set REDIS_DATABASE to one it has",
    ),
    (
        r"unknown (redis )?command",
        "it or a proxy before it lacks a command",
        "Redis 6.2 or newer, or Valkey, with scripts is wanted",
    ),
    (r"No connection available", "all connections to it are in use", "raise REDIS_POOL_SIZE if this lasts"),
)

_DROPS = frozenset({"READONLY", "MASTERDOWN", "UNBLOCKED", "LOADING", "CLUSTERDOWN", "MOVED", "ASK"})

_CERTIFICATE = {
    # X509_V_ERR_* of openssl/x509_vfy.h
    10: ("its certificate has run out", "renew it"),
    9: ("its certificate is not valid yet", "look at the clocks and the certificate"),
    62: (
        "its certificate is for another host name",
        "set REDIS_HOST to a name in the certificate, or REDIS_TLS_VERIFY=ca",
    ),
    64: (
        "its certificate is not for this address",
        "set REDIS_HOST to a name in the certificate, or REDIS_TLS_VERIFY=ca",
    ),
}
_UNKNOWN_ISSUER = (
    "its certificate is of an authority that is not trusted",
    "set REDIS_TLS_CA_FILE to the certificate of the authority",
)


def unavailable(error: BaseException) -> QueueUnavailable:
    """What a caller is told. Raise it from the error."""
    cause, cure = _meaning(error)
    state = "used" if code_of(error) else "reached"
    return QueueUnavailable(f"Redis cannot be {state}: {cause}; {cure}", text_of(error))


def code_of(error: BaseException) -> str:
    """The first word of Redis' error, such as NOPERM; '' for an error that is none of Redis."""
    text = text_of(error)
    for words, code in _BY_WORDS:
        if re.search(words, text, re.IGNORECASE):
            return code
    # Redis 6.2 wraps what a script met: "ERR Error running script (call to f_..): @user_script:1: -READONLY You can't".
    found = re.search(r"@user_script: ?\d+: -?([A-Z]{3,}) ", text) or re.match(r"-?([A-Z]{3,})\b", text)
    return found[1] if found else ""


def text_of(error: BaseException) -> str:
    """What Redis wrote, without what we sent: a server that does not know HELLO repeats the password that came with it. The
    client takes the first word off the text of those that it knows."""
    code = getattr(error, "status_code", None)
    text = re.split(r",? ?with args beginning with", str(error))[0]
    return f"{code} {text}" if code else text or type(error).__name__


def is_of_another_server(error: BaseException) -> bool:
    """Whether a new connection may lead to a server that does not refuse: this one is no primary, or not yet."""
    return code_of(error) in _DROPS


def is_of_keys(error: BaseException) -> bool:
    """Whether our user may run the command, but not with our keys."""
    text = text_of(error)
    return code_of(error) == "NOPERM" and " key" in text and "to run the" not in text


def _meaning(error: BaseException) -> tuple[str, str]:
    """(cause, cure)."""
    if ours := re.search(r"(REDIS_TLS_[A-Z_, ]+: .*)", text_of(error)):
        return "its TLS is not set up", ours[1]
    for each in _chain(error):
        if isinstance(each, ssl.SSLError):
            return _meaning_of_tls(each)
        if isinstance(each, socket.gaierror):
            return "the name in REDIS_HOST leads nowhere", "correct it, or look at the name server"
        if isinstance(each, ConnectionRefusedError):
            return "nobody listens at its address", "start it, or correct REDIS_HOST and REDIS_PORT"
    text, code = text_of(error), code_of(error)
    if text.startswith(NO_PRIMARY):
        return _meaning_of_sentinels(text)
    for words, cause, cure in _BY_TEXT:
        if re.search(words, text, re.IGNORECASE):
            return cause, cure
    if code == "NOPERM" and (command := re.search(r"run the '([\w|]+)' command", text)):
        return f"its user lacks +{command[1]}", "give it that by ACL SETUSER"
    if code in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(error, InvalidResponse):
        return "what answers does not speak its protocol", "correct REDIS_HOST and REDIS_PORT, or set REDIS_TLS=true"
    if text.startswith("Timeout connecting"):
        return "nothing answers in time at its address", "look at REDIS_HOST, REDIS_PORT, the network, and REDIS_TLS"
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "it does not answer in time", "look at its load, or raise REDIS_READ_TIMEOUT"
    if re.search(r"closed by server|Connection reset|Broken pipe", text):
        # Also what is left of "certificate required": with TLS 1.3 the alert is lost when a server resets after it.
        return (
            "it has closed the connection",
            "look at its log, and whether it wants REDIS_TLS=true or REDIS_TLS_CERT_FILE",
        )
    if not code:
        return "the connection fails", "look at REDIS_HOST, REDIS_PORT and the network"
    return "it refuses", "our log has its words"


def _meaning_of_sentinels(text: str) -> tuple[str, str]:
    if re.search(r"NOAUTH|WRONGPASS|NOPERM|Authentication|invalid username|without any password", text):
        return (
            "its sentinels refuse the login",
            "set REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD as they have them",
        )
    if "No such master" in text:
        return "its sentinels do not know the primary's name", "correct REDIS_SENTINEL_MASTER"
    return "none of its sentinels can be reached", "look at REDIS_SENTINELS and the network"


def _meaning_of_tls(error: ssl.SSLError) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, _UNKNOWN_ISSUER)
    reason = f"{getattr(error, 'reason', '')} {error}".upper().replace(" ", "_")
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "it wants a certificate of ours", "set REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return "it does not accept our certificate", "set REDIS_TLS_CERT_FILE to one of an authority that it trusts"
    return "it does not speak TLS", "set REDIS_TLS=false, or REDIS_PORT to its port for TLS"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
