"""Wrong logins are counted by client address, in bounded memory."""

from __future__ import annotations

import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request

from shared.runtime.login_throttle import FAILURES, INTERVAL, LoginThrottle, client_address


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(throttle: LoginThrottle, address: str, times: int = FAILURES) -> None:
    for _ in range(times):
        throttle.failed(address)


def test_ten_at_once_then_one_each_six_seconds() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock=clock)
    fail(throttle, "192.0.2.1", FAILURES - 1)
    assert throttle.wait("192.0.2.1") == 0
    throttle.failed("192.0.2.1")
    assert throttle.wait("192.0.2.1") == pytest.approx(INTERVAL)
    assert throttle.wait("192.0.2.2") == 0
    clock.now += INTERVAL
    assert throttle.wait("192.0.2.1") == 0
    throttle.failed("192.0.2.1")
    assert throttle.wait("192.0.2.1") == pytest.approx(INTERVAL)
    clock.now += FAILURES * INTERVAL
    fail(throttle, "192.0.2.1", FAILURES - 1)
    assert throttle.wait("192.0.2.1") == 0, "all attempts are back"


def test_an_ipv6_network_is_one_address() -> None:
    throttle = LoginThrottle()
    for number in range(FAILURES):
        throttle.failed(f"2001:db8::{number}")
    assert throttle.wait("2001:db8::ffff") > 0
    assert throttle.wait("2001:db8:0:1::1") == 0


def test_the_memory_is_bounded() -> None:
    throttle = LoginThrottle(addresses=3)
    fail(throttle, "10.0.0.1")
    for number in range(2, 100):
        throttle.failed(f"10.0.0.{number}")
        fail(throttle, "10.0.0.1", 1)
    assert len(throttle._full_at) == 3
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
    ],
)
def test_the_client_behind_trusted_proxies(connected: str, forwarded: list[str], client: str) -> None:
    request = make_mocked_request("GET", "/", headers=[("X-Forwarded-For", line) for line in forwarded])
    request = request.clone(remote=connected)
    assert client_address(request, [ipaddress.ip_network("10.0.0.0/8")]) == client
