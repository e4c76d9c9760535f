"""Different wrong logins are counted by client address, in bounded memory."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from aiohttp.test_utils import make_mocked_request

from shared.runtime.login_throttle import FAILURES, INTERVAL, LoginThrottle, client_address


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


_guesses = itertools.count()


def fail(throttle: LoginThrottle, address: str, times: int = FAILURES) -> None:
    """With another login each time."""
    for _ in range(times):
        throttle.failed(address, f"Basic guess{next(_guesses)}")


def test_ten_at_once_then_one_each_six_seconds() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock=clock)
    fail(throttle, "192.0.2.1", FAILURES - 1)
    assert throttle.wait("192.0.2.1") == 0
    fail(throttle, "192.0.2.1", 1)
    assert throttle.wait("192.0.2.1") == pytest.approx(INTERVAL)
    assert throttle.wait("192.0.2.2") == 0
    clock.now += INTERVAL
    assert throttle.wait("192.0.2.1") == 0
    fail(throttle, "192.0.2.1", 1)
    assert throttle.wait("192.0.2.1") == pytest.approx(INTERVAL)
    clock.now += FAILURES * INTERVAL
    fail(throttle, "192.0.2.1", FAILURES - 1)
    assert throttle.wait("192.0.2.1") == 0, "all attempts are back"


def test_the_same_wrong_login_again_is_no_new_guess() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock=clock)
    for _ in range(1000):
        throttle.failed("192.0.2.1", "Basic an old password")
        clock.now += 2
        assert throttle.wait("192.0.2.1") == 0
    assert throttle.knows("192.0.2.1", "Basic an old password")
    assert not throttle.knows("192.0.2.1", "Basic another")
    assert not throttle.knows("192.0.2.2", "Basic an old password")


def test_guessing_is_slowed_whatever_is_repeated_in_between() -> None:
    throttle = LoginThrottle(clock=Clock())
    for _ in range(FAILURES):
        throttle.failed("192.0.2.1", "Basic an old password")
        fail(throttle, "192.0.2.1", 1)
    assert throttle.wait("192.0.2.1") == pytest.approx(2 * INTERVAL)
    assert throttle.knows("192.0.2.1", "Basic an old password"), "the job that goes on is kept"


def test_the_logins_of_an_address_are_bounded() -> None:
    throttle = LoginThrottle(clock=Clock())
    throttle.failed("192.0.2.1", "Basic long ago")
    fail(throttle, "192.0.2.1", 1000)
    assert not throttle.knows("192.0.2.1", "Basic long ago")
    assert len(throttle._failures["192.0.2.1"][1]) <= 200
    assert b"guess" not in throttle._failures["192.0.2.1"][1]


def test_an_ipv6_network_is_one_address() -> None:
    throttle = LoginThrottle()
    for number in range(FAILURES):
        fail(throttle, f"2001:db8::{number}", 1)
    assert throttle.wait("2001:db8::ffff") > 0
    assert throttle.wait("2001:db8:0:1::1") == 0


def test_the_memory_is_bounded() -> None:
    throttle = LoginThrottle(addresses=3)
    fail(throttle, "10.0.0.1")
    for number in range(2, 100):
        fail(throttle, f"10.0.0.{number}", 1)
        fail(throttle, "10.0.0.1", 1)
    assert len(throttle._failures) == 3
    assert throttle.wait("10.0.0.1") > 0, "who goes on failing is kept"


@pytest.mark.parametrize(
    ("connected", "forwarded", "client"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.5", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.5", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.5", ["192.0.2.66, 203.0.113.9, 10.0.0.6"], "203.0.113.9"),
        ("10.0.0.5", ["192.0.2.66", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.5", ["203.0.113.9, nonsense"], "10.0.0.5"),
        ("10.0.0.5", [""], "10.0.0.5"),
        ("10.0.0.5", ["203.0.113.9:5678"], "203.0.113.9"),
        ("10.0.0.5", ["192.0.2.66:1, 203.0.113.9:5678 ,10.0.0.6:443"], "203.0.113.9"),
        ("10.0.0.5", ["[2001:db8::9]:443"], "2001:db8::9"),
        ("10.0.0.5", ["[2001:db8::9]"], "2001:db8::9"),
        ("10.0.0.5", ["2001:db8::9"], "2001:db8::9"),
        ("10.0.0.5", ["[::ffff:10.0.0.6]:80, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.5", ["203.0.113.9, [::ffff:10.0.0.6]:80"], "203.0.113.9"),
        ("10.0.0.5", ["203.0.113.9:http"], "10.0.0.5"),
        ("10.0.0.5", ["[203.0.113.9"], "10.0.0.5"),
        ("10.0.0.5", ["unknown, 10.0.0.6:80"], "10.0.0.6"),
    ],
)
def test_the_client_behind_trusted_proxies(connected: str, forwarded: list[str], client: str) -> None:
    request = make_mocked_request("GET", "/", headers=[("X-Forwarded-For", line) for line in forwarded])
    request = request.clone(remote=connected)
    assert client_address(request, [ipaddress.ip_network("10.0.0.0/8")]) == client
