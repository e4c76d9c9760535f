"""What can be set: each option once, with its environment variable, default and sentence."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def seconds(text: str) -> float:
    """A duration such as ``50ms``, ``2s``, ``1.5m`` or ``0``, in seconds. Raises ValueError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration: {text!r} (write 50ms, 2s or 1m)")
    return float(match[1]) * _SECONDS[match[2]]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _devices(text: str) -> tuple[str, ...]:
    names = _listed(text)
    if not names or len(set(names)) != len(names):
        raise ValueError("needs one device or more, each name once")
    return names


def _credentials(text: str) -> tuple[str, ...]:
    pairs = _listed(text)
    # GOWA exits at start unless each entry has exactly one colon.
    if any(pair.count(":") != 1 for pair in pairs):
        raise ValueError("each entry must be user:password")
    return pairs


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"not an address: {text!r} (write 127.0.0.1:3000)")
    return host or "127.0.0.1", int(port)


def _switch(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("write true or false")
    return text.lower() == "true"


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations are seconds."""

    listen: tuple[str, int] = ("127.0.0.1", 3000)
    devices: tuple[str, ...] = ("device-1",)
    basic_auth: tuple[str, ...] = ()
    latency: float = 0.05
    moods: tuple[str, ...] = ()
    account_validation: bool = True
    not_on_whatsapp_suffix: str = ""
    storage_delay: float = 0.05
    boot: float = 0.0
    lookup_limit: float = 10.0
    download_limit: float = 30.0
    fetch_urls: bool = True
    deadline: float = 45.0
    webhook: str = ""
    webhook_secret: str = "secret"  # noqa: S105 - GOWA's own default
    receipt_delay: float = 0.2
    read_delay: float = 0.5


def read_settings(arguments: Sequence[str] | None = None) -> Settings:
    """The command line wins over ``SIMULATOR_*``, that over the defaults; exits with a sentence when one is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A stand-in for GOWA with its real answers and a ledger.",
        epilog="Each option may also be given as an environment variable: --storage-delay as SIMULATOR_STORAGE_DELAY.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def default(name: str, otherwise: str) -> str:
        return os.environ.get(f"SIMULATOR_{name}", otherwise)

    def option(name: str, convert: Callable[[str], Any], otherwise: str, sentence: str) -> None:
        def read(text: str) -> Any:
            try:
                return convert(text)
            except ValueError as error:
                # argparse shows the text of this error only.
                raise argparse.ArgumentTypeError(str(error)) from None

        variable = name.upper().replace("-", "_")
        parser.add_argument(f"--{name}", type=read, default=default(variable, otherwise), help=sentence)

    option("listen", _address, "127.0.0.1:3000", "where to listen; port 0 takes a free one and prints it")
    option("devices", _devices, "device-1", "comma list of device ids; with a single one X-Device-Id may be absent")
    option("basic-auth", _credentials, "", "comma list of user:password; empty leaves the API open, as in GOWA")
    option("latency", seconds, "50ms", "how long WhatsApp takes for one send; sends of one device wait for each other")
    option("account-validation", _switch, "true", "look every number up before a send, as GOWA does")
    option("not-on-whatsapp-suffix", str, "", "numbers that end so are not on WhatsApp")
    option("boot", seconds, "0", "after the start, how long the accounts have no client (2s in GOWA)")
    option("lookup-limit", seconds, "10s", "after which GOWA gives a lookup up (fixed there)")
    option("download-limit", seconds, "30s", "after which GOWA gives the download of a URL up (fixed there)")
    option("fetch-urls", _switch, "true", "fetch image_url and the like, from loopback only; false: count them as had")
    option("storage-delay", seconds, "50ms", "after a successful send, how long until chat storage has it")
    option("deadline", seconds, "45s", "GOWA's own limit on one request (fixed there); past it comes a 504")
    option("webhook", str, "", "where receipts are posted; may be set later by PUT /simulator/webhook")
    option("webhook-secret", str, "secret", "HMAC key of the receipts")
    option("receipt-delay", seconds, "200ms", "from taken to delivered")
    option("read-delay", seconds, "500ms", "from delivered to read")
    parser.add_argument(
        "--mood",
        action="append",
        default=None,
        metavar="DEVICE=MOOD",
        help="mood of a device at start, may be repeated: sales-1=slow:300ms, sales-2=500:rate=0.1, "
        "sales-3=logout-after:40; DEVICE may be * (SIMULATOR_MOOD takes a comma list)",
    )
    given = parser.parse_args(arguments)
    return Settings(
        listen=given.listen,
        devices=given.devices,
        basic_auth=given.basic_auth,
        latency=given.latency,
        moods=tuple(given.mood) if given.mood is not None else _listed(default("MOOD", "")),
        account_validation=given.account_validation,
        not_on_whatsapp_suffix=given.not_on_whatsapp_suffix,
        boot=given.boot,
        lookup_limit=given.lookup_limit,
        download_limit=given.download_limit,
        fetch_urls=given.fetch_urls,
        storage_delay=given.storage_delay,
        deadline=given.deadline,
        webhook=given.webhook,
        webhook_secret=given.webhook_secret,
        receipt_delay=given.receipt_delay,
        read_delay=given.read_delay,
    )
