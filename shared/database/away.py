"""What an error on the way to Postgres means: a value is to blame, or Postgres is away; then why, and what mends it.

The rule is turned around, since a list of what "away" is was never complete: a read-only server and a missing right were not
on it, so what was committed was answered with 500 and verdicts were lost. Only SQLSTATE classes 22 and 23 are about a value;
whatever else Postgres, asyncpg or the network says, the same request may succeed later and nothing of it is done.
The states: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import socket
import ssl

import asyncpg
from asyncpg.exceptions import InternalClientError

BadValue = asyncpg.PostgresError
"""What Postgres raises for a value, so that repeating the batch cannot help: none of its other errors leaves a connection."""

STORE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError, OSError, TimeoutError)
"""All that a connection may raise that is not our own mistake in Python."""

UNWRITABLE = "25006"
"""read_only_sql_transaction: a standby, or default_transaction_read_only."""
_NO_SUCH_STATEMENT = ("26000", "42P05")
"""A prepared statement is missing, or there already: the session behind the connection is another one than before."""

_ABOUT_VALUES = ("22", "23")
_CHECK_VIOLATION = "23514"
_LIMITS = "54"
_MAKES_INDEX_ROWS = "index_form_tuple"
_TAKES_CONNECTIONS_AWAY = ("08", "57", "58", "XX")
_PERHAPS_ONE_ROW = ("21", "38", "39", "44", "54", "P0", "XX")
_LONGEST_WORDS = 300

_SCHEMA = (
    "the schema of Postgres does not fit this version: run the migrations (python -m migrations), or replace this service if"
    " they are newer"
)
_POOLER = "a pooler lends connections of Postgres for a transaction at a time: set DATABASE_STATEMENT_CACHE_SIZE=0"
_REPEATED = "Postgres could not do this beside others; it is repeated"

_CAUSES = {
    UNWRITABLE: (
        "Postgres is read-only: let DATABASE_HOST lead to the primary (it may list several hosts), and see that"
        " default_transaction_read_only is off"
    ),
    "0A000": "Postgres cannot do what this version asks for: it is too old, or its schema has just changed",
    "28000": (
        "Postgres does not let DATABASE_USER in: see its pg_hba.conf, and DATABASE_SSL_MODE or DATABASE_SSL_CERT where it"
        " asks for TLS or a certificate"
    ),
    "28P01": "Postgres refuses DATABASE_USER or DATABASE_PASSWORD",
    "3D000": "Postgres has no database DATABASE_NAME: make it, or name another",
    "26000": _POOLER,
    "42P05": _POOLER,
    **dict.fromkeys(("42P01", "42703", "42883", "42704", "42804", "42P10", "3F000"), _SCHEMA),
    "42501": "DATABASE_USER lacks a right in Postgres: docs/operations.md lists those to grant",
    "53100": "the disk of Postgres is full: make room",
    "53200": "Postgres is out of memory",
    "53300": "Postgres has no connection left: raise max_connections (or the role's limit), or run fewer replicas",
    "55P03": "Postgres holds a lock for too long; it is repeated",
    "57014": "Postgres took too long for a statement",
    "57P03": "Postgres is starting, stopping or recovering",
    "57P04": "the database DATABASE_NAME was dropped: make it, and run the migrations",
    "XX001": "Postgres finds its data damaged: see its log",
    "XX002": "Postgres finds an index damaged: see its log",
}
_CAUSES_OF_CLASSES = {
    "08": "the connection to Postgres was lost",
    "25": "Postgres ended a transaction that stood still",
    "28": "Postgres does not let DATABASE_USER in: see its pg_hba.conf",
    "40": _REPEATED,
    "42": "Postgres does not understand a statement of this version: are the migrations those of this version?",
    "53": "Postgres is short of resources",
    "55": "Postgres has something in use that is wanted; it is repeated",
    "57": "Postgres is being stopped or restarted, or an operator ended the connection",
    "58": "the system below Postgres fails: see its log and its disk",
    "F0": "the configuration of Postgres is wrong: see its log",
    "XX": "Postgres reports an error of its own: see its log",
}


def sqlstate_of(error: BaseException) -> str:
    """'' for what Postgres itself has not said."""
    return str(getattr(error, "sqlstate", None) or "")


def blames_value(error: BaseException) -> bool:
    """Whether a value is to blame. Where a state has two meanings the constraint tells: a value too long for an index names
    it, or is refused where rows of an index are made, while a Postgres that has run out of transaction ids says the same state;
    a row that no partition takes counts as a violated check without a name."""
    state = sqlstate_of(error)
    if state == _CHECK_VIOLATION or state[:2] == _LIMITS:
        maker = str(getattr(error, "server_source_function", None) or "")
        return bool(getattr(error, "constraint_name", None)) or maker.startswith(_MAKES_INDEX_ROWS)
    return state[:2] in _ABOUT_VALUES


def lost_its_statement(error: BaseException) -> bool:
    """Whether a prepared statement was not where it was prepared. Nothing was executed."""
    return sqlstate_of(error) in _NO_SUCH_STATEMENT


def is_unwritable(error: BaseException) -> bool:
    """Whether the server may not be written to. Nothing was written."""
    return sqlstate_of(error) == UNWRITABLE


def may_be_about_one_row(error: BaseException) -> bool:
    """Whether it may be that one row of several is the cause, such as one in a damaged block."""
    return sqlstate_of(error)[:2] in _PERHAPS_ONE_ROW


def condemns_neighbours(error: BaseException) -> bool:
    """Whether other open connections are likely to be of no more use than the one that said this."""
    state = sqlstate_of(error)
    if state:
        return is_unwritable(error) or lost_its_statement(error) or (
            state[:2] in _TAKES_CONNECTIONS_AWAY and state != "57014"
        )  # fmt: skip
    return isinstance(error, OSError | TimeoutError) or _is_of_asyncpg(error)


def cause_of(error: BaseException, connecting: bool = False) -> str:
    """What is wrong and what mends it, for anybody to read: no address, no value, no word of the server's. ``connecting``: it
    came before there was a connection."""
    state = sqlstate_of(error)
    if connecting and (state.startswith("08") or _is_of_asyncpg(error)):
        return (
            "Postgres, or a pooler before it, ended the connection while it was made: see DATABASE_NAME, DATABASE_USER,"
            " DATABASE_PASSWORD, DATABASE_SSL_MODE and DATABASE_SSL_CERT"
        )
    if state:
        known = _CAUSES.get(state) or _CAUSES_OF_CLASSES.get(state[:2])
        return known or f"Postgres answers with SQLSTATE {state}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _cause_of_certificate(error)
    if isinstance(error, ssl.SSLError):
        return "Postgres and this service do not agree on TLS: see DATABASE_SSL_MODE, DATABASE_SSL_CERT and the log of Postgres"
    if isinstance(error, OSError | TimeoutError | UnicodeError):
        return f"Postgres cannot be reached: {_cause_of_network(error)}"
    if isinstance(error, ValueError):
        # Of a setting, which it names.
        return f"Postgres cannot be reached: {error}"
    return "the connection to Postgres was lost"


def _is_of_asyncpg(error: BaseException) -> bool:
    return isinstance(error, asyncpg.InterfaceError | InternalClientError)


def _cause_of_network(error: OSError | TimeoutError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the name in DATABASE_HOST is not known"
    if isinstance(error, TimeoutError):
        return "it gives no answer; see DATABASE_HOST, DATABASE_PORT and what lies between"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens at DATABASE_HOST and DATABASE_PORT; is it running?"
    if "rejected SSL upgrade" in str(error):
        return "it speaks no TLS, which DATABASE_SSL_MODE asks for"
    if isinstance(error, ConnectionError):
        return "the connection was cut; is that Postgres at DATABASE_HOST and DATABASE_PORT?"
    return "see DATABASE_HOST and DATABASE_PORT"


def _cause_of_certificate(error: ssl.SSLCertVerificationError) -> str:
    told = error.verify_message.lower()
    if "hostname mismatch" in told or "ip address mismatch" in told:
        return (
            "the certificate of Postgres is for another host than DATABASE_HOST: use the name that it is for, or"
            " DATABASE_SSL_MODE=verify-ca"
        )
    if "expired" in told or "not yet valid" in told:
        return "the certificate of Postgres is not valid now: renew it, or see the clocks"
    return (
        "the certificate of Postgres is not trusted: DATABASE_SSL_ROOT_CERT must hold the certificate of who signed it"
    )


def words_of(error: BaseException) -> str:
    """What exactly was said, for the log and for operators. Not to be asked about an error that blames a value."""
    told = str(error.args[0]) if isinstance(error, asyncpg.PostgresError) and error.args else str(error)
    return f"{type(error).__name__}: {' '.join(told.split())}"[:_LONGEST_WORDS]
