"""Which addresses a caller's URL may lead to: none in our own network, however it is spelt."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.outbound.address_guard import AddressGuard
from shared.outbound.name_lookups import HostUnsure, NameLookups
from tests.unit.shared.conftest import Answers

PUBLIC = "93.184.216.34"

INSIDE = [
    "10.0.0.1",
    "172.16.5.5",
    "192.168.1.1",
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "169.254.169.254",
    "169.254.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not AddressGuard().permits(address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses(address: str) -> None:
    assert AddressGuard().permits(address)


def test_what_an_operator_allows() -> None:
    guard = AddressGuard(["10.1.0.0/16", "192.168.1.7", "fd00::/8", "Media.Internal."])
    assert [guard.permits(address) for address in ("10.1.2.3", "192.168.1.7", "fd00::5", "::ffff:10.1.2.3")] == [
        True
    ] * 4
    assert [guard.permits(address) for address in ("10.2.0.1", "192.168.1.8", "fe80::1")] == [False] * 3
    assert guard.host_is_listed("media.internal")
    assert not guard.host_is_listed("internal")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[fe80::1]",
        "169.254.169.254",
        "2852039166",
        "localhost",
        "①②⑦.⓪.⓪.①",
        "0",
    ],
)
async def test_hosts_in_any_spelling(host: str) -> None:
    assert await AddressGuard().check_url(f"http://{host}:8080/latest/meta-data") != ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "picture.png",
        "//1.1.1.1/a.png",
        "file:///etc/passwd",
        "ftp://1.1.1.1/a.png",
        "gopher://1.1.1.1/",
        "http://",
        "http:///a.png",
        "http://1.1.1.1:port/",
        "http://1.1.1.1:99999/",
        "http://user:password@1.1.1.1/",
        "http://user@1.1.1.1/",
        "http://[::1/",
        "http://nowhere.invalid/",
    ],
)
async def test_what_is_no_url_to_fetch(url: str) -> None:
    assert await AddressGuard().check_url(url) != ""


async def test_a_public_address_may_be_used() -> None:
    assert await AddressGuard().check_url(f"https://{PUBLIC}:8443/a.png?size=1") == ""


async def test_one_private_address_among_many_is_enough(names: Callable[[Answers], None]) -> None:
    names(lambda _: [PUBLIC, "10.0.0.1"])
    assert "not a public address" in await AddressGuard().check_url("http://cdn.example/a.png")
    names(lambda _: [PUBLIC])
    assert await AddressGuard().check_url("http://cdn.example/a.png") == ""


@pytest.mark.parametrize("errno", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY])
async def test_a_name_server_without_an_answer_is_no_refusal(monkeypatch: pytest.MonkeyPatch, errno: int) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(errno, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(HostUnsure):
        await AddressGuard().check_url("http://cdn.example/a.png")


@pytest.mark.parametrize("errno", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_a_name_that_does_not_exist_is_one(monkeypatch: pytest.MonkeyPatch, errno: int) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(errno, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert "cannot be found" in await AddressGuard().check_url("http://cdn.example/a.png")
    assert "cannot be found" in await AddressGuard().check_url(f"http://{'x' * 70}.example/a.png")


async def test_slow_names_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    asked: list[str] = []

    async def have_been_asked(count: int) -> None:
        async with asyncio.timeout(10):
            while len(asked) < count:  # noqa: ASYNC110 - threads tell the loop nothing
                await asyncio.sleep(0.001)

    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if not host.endswith(".example"):
            return real(host, *arguments, **options)
        asked.append(host)
        if host.startswith("slow"):
            answered.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    lookups = NameLookups(most_threads=12)
    guard = AddressGuard(lookups=lookups)
    try:
        slow = [asyncio.create_task(guard.check_url(f"http://slow{number % 11}.example/")) for number in range(50)]
        await have_been_asked(11)
        assert await guard.check_url("http://quick.example/") == ""
        # Not even as many threads as the event loop has of its own, which files are written with, are left.
        assert await asyncio.gather(*(asyncio.to_thread(lambda: 1) for _ in range(40))) == [1] * 40
        with pytest.raises(HostUnsure):
            await lookups.find("slow0.example", 0.01)
        other = asyncio.create_task(guard.check_url("http://slow11.example/"))
        await have_been_asked(13)
        with pytest.raises(HostUnsure, match="too many"):
            await guard.check_url("http://quick2.example/")
        assert await guard.check_url(f"http://{PUBLIC}/") == "", "an address needs no name server"
    finally:
        answered.set()
    assert set(await asyncio.gather(*slow, other)) == {""}
    assert len(asked) == 13, "a name that many ask for is looked up once"
    assert await guard.check_url("http://quick2.example/") == ""
