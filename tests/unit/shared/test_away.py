"""What each error on the way to Postgres is taken for, and the words for it."""

from __future__ import annotations

import socket
import ssl

import asyncpg
import pytest
from asyncpg import exceptions
from asyncpg.exceptions import InternalClientError, ProtocolError, TargetServerAttributeNotMatched

from shared.database.away import (
    STORE_ERRORS,
    blames_value,
    cause_of,
    condemns_neighbours,
    lost_its_statement,
    may_be_about_one_row,
    words_of,
)

STATES = {
    kind.sqlstate: kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, asyncpg.PostgresError) and getattr(kind, "sqlstate", None)
}
UNNAMED = "Postgres answers with SQLSTATE"


def error_of(state: str, **fields: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": state, "M": "told by the server", **fields})


def test_the_list_is_the_whole_one() -> None:
    assert len(STATES) > 240
    assert {"22", "23", "25", "53", "57", "58", "XX", "F0", "HV", "P0"} <= {state[:2] for state in STATES}


@pytest.mark.parametrize("state", sorted(STATES))
def test_only_data_and_constraints_blame_a_value(state: str) -> None:
    error = error_of(state, n="messages_check")
    assert isinstance(error, STORE_ERRORS)
    assert blames_value(error) == (state[:2] in ("22", "23") or STATES[state] in LIMITS)


LIMITS = [kind for state, kind in STATES.items() if state.startswith("54")]


def test_a_state_nobody_knows_yet_goes_by_its_class() -> None:
    assert blames_value(error_of("22ZZZ"))
    assert blames_value(error_of("23ZZZ"))
    for state in ("00ZZZ", "24ZZZ", "57ZZZ", "Z9999"):
        assert not blames_value(error_of(state)), state
        assert cause_of(error_of(state)).startswith(("Postgres", UNNAMED))


def test_a_state_with_two_meanings_goes_by_the_constraint() -> None:
    too_long = {"M": 'index row size 3016 exceeds btree version 4 maximum 2704 for index "whatsapp_ids_pkey"'}
    assert blames_value(error_of("54000", n="whatsapp_ids_pkey", **too_long))
    assert not blames_value(error_of("54000", M="database is not accepting commands that assign new transaction IDs"))
    assert blames_value(error_of("23514", n="messages_status_check"))
    assert not blames_value(error_of("23514", M='no partition of relation "messages" found for row'))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("25006", "DATABASE_HOST"),
        ("28000", "pg_hba.conf"),
        ("28P01", "DATABASE_PASSWORD"),
        ("3D000", "DATABASE_NAME"),
        ("26000", "DATABASE_STATEMENT_CACHE_SIZE=0"),
        ("42P05", "DATABASE_STATEMENT_CACHE_SIZE=0"),
        ("42501", "right"),
        ("42P01", "python -m migrations"),
        ("42883", "python -m migrations"),
        ("42703", "python -m migrations"),
        ("53100", "disk"),
        ("53200", "memory"),
        ("53300", "max_connections"),
        ("57P01", "stopped"),
        ("57P02", "stopped"),
        ("57P03", "starting"),
        ("57P04", "dropped"),
        ("58030", "disk"),
        ("40001", "repeated"),
        ("40P01", "repeated"),
        ("55006", "in use"),
        ("55P03", "lock"),
        ("XX000", "log"),
        ("XX001", "damaged"),
        ("F0000", "configuration"),
        ("08006", "lost"),
    ],
)
def test_the_usual_ones_are_named(state: str, words: str) -> None:
    told = cause_of(error_of(state))
    assert words in told
    assert not told.startswith(UNNAMED)
    assert "told by the server" not in told, "for anybody to read"


def certificate_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "refused"), "nobody listens"),
        (socket.gaierror(-2, "Name or service not known"), "not known"),
        (TimeoutError(), "no answer"),
        (OSError(113, "No route to host"), "cannot be reached"),
        (ConnectionResetError(104, "reset"), "cut"),
        (ConnectionError('PostgreSQL server at "db:5432" rejected SSL upgrade'), "no TLS"),
        (certificate_error(20, "unable to get local issuer certificate"), "DATABASE_SSL_ROOT_CERT"),
        (certificate_error(18, "self-signed certificate"), "DATABASE_SSL_ROOT_CERT"),
        (certificate_error(62, "Hostname mismatch, certificate is not valid for 'db'."), "another host"),
        (certificate_error(64, "IP address mismatch, certificate is not valid for '10.0.0.1'."), "another host"),
        (certificate_error(10, "certificate has expired"), "renew"),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert"), "DATABASE_SSL_CERT"),
        (asyncpg.InterfaceError("connection is closed"), "lost"),
        (InternalClientError("cannot switch to state 12"), "lost"),
        (ProtocolError("unexpected"), "lost"),
        (TargetServerAttributeNotMatched("none"), "lost"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_is_not_of_postgres_itself_is_named_and_condemns_all_connections(error: Exception, words: str) -> None:
    assert isinstance(error, STORE_ERRORS)
    assert not blames_value(error)
    assert words in cause_of(error)
    assert condemns_neighbours(error)
    assert len(words_of(error)) < 350


def test_connections_are_replaced_where_others_are_likely_to_fail_too() -> None:
    replaced = {state for state in STATES if condemns_neighbours(error_of(state))}
    assert {"25006", "26000", "42P05", "57P01", "57P02", "57P03", "57P04", "08006", "58030", "XX001"} <= replaced
    assert not {"57014", "40001", "40P01", "55P03", "53300", "42501", "42P01", "22001", "23505"} & replaced


def test_statements_are_lost_by_two_states_alone() -> None:
    assert {state for state in STATES if lost_its_statement(error_of(state))} == {"26000", "42P05"}


def test_the_server_s_detail_stays_out() -> None:
    error = error_of("40P01", D="Process 1 of 15550100001 waits", H="a hint")
    assert words_of(error) == "DeadlockDetectedError: told by the server"


def test_what_another_row_may_be_spared() -> None:
    spared = {state for state in STATES if may_be_about_one_row(error_of(state))}
    assert {"21000", "54000", "P0001", "XX000", "XX001", "XX002"} <= spared
    assert not {"25006", "40001", "42P01", "42501", "53100", "55P03", "57014", "57P01", "58030", "08006"} & spared
