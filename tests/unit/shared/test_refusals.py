"""What an error of Redis means. The texts are those of the sources of Redis 6.2 to 8 and of Valkey 9, and of proxies."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.queue.refusals import code_of, is_of_another_server, text_of, unavailable

# What the server sends, and a word of the cause or cure that the caller is told.
ANSWERS = [
    ("NOAUTH Authentication required.", "REDIS_PASSWORD"),
    ("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH", "login"),
    ("WRONGPASS invalid username-password pair or user is disabled.", "REDIS_USERNAME"),
    ("ERR invalid password", "REDIS_PASSWORD"),
    (
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?",
        "default user has no password",
    ),
    ("ERR Client sent AUTH, but no password is set", "default user has no password"),
    ("NOPERM User default has no permissions to run the 'evalsha' command", "+evalsha"),
    ("NOPERM this user has no permissions to run the 'script|load' command or its subcommand", "+script|load"),
    ("NOPERM No permissions to access a key", "right"),
    ("NOPERM this user has no permissions to access one of the keys used as arguments", "right"),
    ("NOPERM No permissions to access a channel", "right"),
    ("ERR ACL failure in script: No permissions to access a channel script: abc, on @user_script:1.", "right"),
    ("ERR The user executing the script can't run this command or subcommand script: abc", "right"),
    (
        "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
        "right",
    ),
    ("ERR The user executing the script can't publish to the channel mentioned in the command", "right"),
    ("DENIED Redis is running in protected mode because protected mode is enabled and no password", "protected"),
    ("READONLY You can't write against a read only replica.", "primary"),
    ("READONLY You can't write against a read only slave.", "primary"),
    ("READONLY You can't write against a read only replica. script: 4dc2, on @user_script:28.", "primary"),
    (
        "ERR Error running script (call to f_abc): @user_script:28: @user_script: 28: -READONLY You can't write against "
        "a read only replica. ",
        "primary",
    ),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "primary"),
    ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", "replica"),
    ("LOADING Redis is loading the dataset in memory", "loading"),
    ("LOADING Valkey is loading the dataset in memory", "loading"),
    ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "SCRIPT KILL"),
    ("BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.", "SCRIPT KILL"),
    ("BUSY A module is busy", "module"),
    ("UNKILLABLE Sorry the script already executed write commands against the dataset.", "refuses"),
    ("NOTBUSY No scripts in execution right now.", "refuses"),
    ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
    (
        "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed when used",
        "maxmemory",
    ),
    ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "disk"),
    ("MISCONF Errors writing to the AOF file: No space left on device", "disk"),
    ("NOREPLICAS Not enough good replicas to write.", "replicas"),
    ("CLUSTERDOWN The cluster is down", "cluster"),
    ("CLUSTERDOWN Hash slot not served", "cluster"),
    ("TRYAGAIN Multiple keys request during rehashing of slot", "moving"),
    ("MOVED 3999 127.0.0.1:6381", "cluster"),
    ("MOVED 3999 127.0.0.1:6381 script: 4dc2, on @user_script:1.", "cannot be reached"),
    ("ASK 3999 127.0.0.1:6381", "cluster"),
    ("CROSSSLOT Keys in request don't hash to the same slot", "cluster"),
    ("NOSCRIPT No matching script. Please use EVAL.", "scripts"),
    ("NOPROTO unsupported protocol version", "6.2"),
    ("ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2' ", "6.2"),
    ("ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`, ", "6.2"),
    ("ERR Unknown Redis command called from script script: abc, on @user_script:1.", "6.2"),
    ("ERR max number of clients reached", "maxclients"),
    ("ERR max number of clients + cluster connections reached", "maxclients"),
    ("ERR DB index is out of range", "REDIS_DATABASE"),
    ("ERR SELECT is not allowed in cluster mode", "REDIS_DATABASE"),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", "REDIS_QUEUE_NAME"),
    ("EXECABORT Transaction discarded because of previous errors.", "refuses"),
    ("INPROG Failover already in progress.", "refuses"),
    ("NOMASTERLINK Can't SYNC while not connected with my master", "refuses"),
    ("NOGOODSLAVE No suitable replica to promote", "refuses"),
    ("IOERR error or timeout reading to target instance", "refuses"),
    ("ERR wrong number of arguments for 'evalsha' command", "refuses"),
    ("ERR Error compiling script (new function): user_script:1: unfinished string", "refuses"),
    ("ERR user_script:1: attempt to perform arithmetic on a nil value script: on @user_script:1.", "refuses"),
    ("ERR Protocol error: invalid multibulk length", "refuses"),
    ("ERR upstream failure", "refuses"),
    ("no healthy upstream", "cannot be reached"),
    ("ERR failed to process request: backend timeout", "refuses"),
    ("-ERR Proxy error", "refuses"),
    ("", "cannot be reached"),
]


def parsed(answer: str) -> Exception:
    """As the client makes an exception of it; one answer makes it stumble."""
    try:
        return BaseParser.parse_error(answer)
    except Exception as error:
        return error


@pytest.mark.parametrize(("answer", "told"), ANSWERS)
def test_every_answer_means_away_and_says_why(answer: str, told: str) -> None:
    refused = unavailable(parsed(answer))
    assert refused.reason.startswith("Redis cannot be ")
    assert told in refused.reason
    assert "; " in refused.reason, "a cure stands beside the cause"
    assert "hunter2" not in str(refused), "what was sent is not told"
    assert "127.0.0.1" not in refused.reason


@pytest.mark.parametrize("code", ["READONLY", "MASTERDOWN", "UNBLOCKED", "LOADING", "CLUSTERDOWN"])
def test_a_server_that_is_no_primary_is_left(code: str) -> None:
    assert is_of_another_server(parsed(f"{code} for some reason"))


@pytest.mark.parametrize("code", ["NOPERM", "BUSY", "OOM", "MISCONF", "NOREPLICAS", "TRYAGAIN", "WRONGPASS", "ERR"])
def test_a_primary_that_refuses_is_kept(code: str) -> None:
    assert not is_of_another_server(parsed(f"{code} for some reason"))


def test_the_code_is_read_although_the_client_takes_it_off() -> None:
    assert code_of(parsed("READONLY You can't write against a read only replica.")) == "READONLY"
    assert text_of(parsed("OOM command not allowed")) == "OOM command not allowed"
    assert code_of(parsed("NOREPLICAS Not enough good replicas to write.")) == "NOREPLICAS"
    assert code_of(OSError("Connection refused")) == ""


def certificate_error(code: int) -> RedisError:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_code = code
    return reached_by(refused)


def reached_by(cause: BaseException) -> RedisError:
    """As the client raises what it met while connecting."""
    error = RedisConnectionError(f"Error connecting to redis.internal:6379. {cause}.")
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (reached_by(ConnectionRefusedError(111, "refused")), "nobody listens"),
        (reached_by(socket.gaierror(-2, "Name or service not known")), "REDIS_HOST leads nowhere"),
        (RedisTimeoutError("Timeout reading from redis.internal:6379"), "in time"),
        (TimeoutError(), "in time"),
        (RedisConnectionError("Connection closed by server."), "REDIS_TLS=true"),
        (RedisConnectionError("No connection available."), "REDIS_POOL_SIZE"),
        (InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'"), "protocol"),
        (certificate_error(10), "run out"),
        (certificate_error(62), "another host name"),
        (certificate_error(64), "not for this address"),
        (certificate_error(18), "REDIS_TLS_CA_FILE"),
        (certificate_error(19), "REDIS_TLS_CA_FILE"),
        (certificate_error(20), "REDIS_TLS_CA_FILE"),
        (reached_by(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")), "REDIS_TLS=false"),
        (reached_by(ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] required")), "REDIS_TLS_CERT_FILE"),
        (reached_by(ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca")), "our certificate"),
        (RedisConnectionError("REDIS_TLS_CA_FILE: a file with certificates is wanted"), "REDIS_TLS_CA_FILE"),
        (ValueError("not enough values to unpack"), "cannot be reached"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "cannot be reached"),
        (asyncio.IncompleteReadError(b"", 1), "cannot be reached"),
    ],
)
def test_a_server_that_cannot_be_reached_is_told_with_the_setting(error: BaseException, told: str) -> None:
    refused = unavailable(error)
    assert told in refused.reason
    assert "redis.internal" not in refused.reason, "an address is for the log"
