"""The devices of one GOWA: their slots, the state that follows from their mood, and how a request names one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from simulator.answers import DEVICE_ID_REQUIRED, NOT_CONNECTED, Answer, device_not_found
from simulator.frost import Frost
from simulator.moods import Mood, MoodError, mood_from_json, mood_from_text


def is_gone(request: web.Request) -> bool:
    """Whether the client has left."""
    return request.transport is None or request.transport.is_closing()


def _number_of(device: str) -> str:
    """An invented number that stays the same over restarts and differs between processes with different devices."""
    return f"1555{int(hashlib.sha256(device.encode()).hexdigest(), 16) % 10_000_000:07d}"


@dataclass(slots=True)
class Account:
    """One slot. ``lock`` is whatsmeow's send mutex: sends of one account wait for each other, not for others."""

    device: str
    latency: float
    mood: Mood = field(default_factory=Mood)
    logout_after: int | None = None
    frost: Frost = field(default_factory=Frost)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    created_at: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    own_jid: str = ""
    # How often GOWA was restarted, and when the client is there after the last start, on the monotonic clock.
    restarts: int = 0
    up_at: float = 0.0
    # Made by a login: GOWA loses the name in memory.
    is_misnamed: bool = False
    # By id(), because a request is a mapping and has no hash.
    _open: dict[int, tuple[web.Request, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own_jid = f"{_number_of(self.device)}@s.whatsapp.net"

    @property
    def is_registered(self) -> bool:
        """The slot exists."""
        return self.mood.kind != "404-device"

    @property
    def is_paired(self) -> bool:
        """The slot belongs to a WhatsApp account."""
        return self.mood.kind not in {"404-device", "logged-out"}

    @property
    def is_logged_in(self) -> bool:
        """As GOWA says: not reset when the socket is lost, false while there is no client."""
        return self.is_paired and self.mood.kind != "not-logged-in" and not self.is_booting

    @property
    def is_connected(self) -> bool:
        """The socket to WhatsApp is up."""
        return self.is_paired and self.mood.kind != "offline" and not self.is_booting

    @property
    def is_booting(self) -> bool:
        """GOWA has just started: the account is paired and has its JID, but no client until it connects."""
        return time.monotonic() < self.up_at

    @property
    def storage_key(self) -> str:
        """GOWA files chats under the JID of the account, and under the slot id while it has none: after a logout the
        chats of before seem empty."""
        return self.own_jid if self.is_paired else self.device

    def restart(self, boot: float) -> None:
        """GOWA starts anew: sends in flight die, and for ``boot`` seconds there is no client."""
        self.restarts += 1
        self.up_at = time.monotonic() + boot
        for request, _ in self._open.values():
            if request.transport is not None:
                request.transport.abort()
        if self.mood.kind == "logged-out":
            # The slot gets an empty client then.
            self.mood.answer = NOT_CONNECTED

    async def until_thawed(self) -> None:
        """Return once neither this account nor all of GOWA is frozen."""
        await self.frost.wait(self.device)

    def arrived(self, request: web.Request, counts: bool) -> int:
        """One more request; how many that count (sends, not typing) are now in flight on HTTP level. One that its
        client has left no longer counts, although GOWA goes on with it."""
        self._open[id(request)] = (request, counts)
        return self.in_flight

    def left(self, request: web.Request) -> None:
        """One request less."""
        self._open.pop(id(request), None)

    @property
    def in_flight(self) -> int:
        """Sends whose client is waiting."""
        return sum(counts and not is_gone(request) for request, counts in self._open.values())

    def fate(self, kind: str, jid: str, chat_is_known: bool) -> Mood | None:
        """The mood that strikes this send, or None; one that has struck its last goes back to ``ok``."""
        mood = self.mood
        # A time lock is about new chats only: existing ones go on.
        if mood.kind == "ok" or (mood.kind == "429-timelock" and chat_is_known) or not mood.strikes(kind, jid):
            return None
        if mood.count == 0:
            self.mood = Mood()
        return mood

    def count_taken(self) -> None:
        """One more message taken; an account that was to log out after so many does."""
        if self.logout_after is not None:
            self.logout_after -= 1
            if self.logout_after <= 0:
                self.logout_after = None
                self.mood = Mood("logged-out")

    def set_mood(self, content: Mapping[str, Any]) -> None:
        """Take the control API's form, ``logout_after`` included. Raises MoodError and leaves everything as it was."""
        rest = dict(content)
        logout_after = rest.pop("logout_after", None)
        if logout_after is not None and (type(logout_after) is not int or logout_after < 1):
            raise MoodError("logout_after is a number of sends, 1 or more")
        self.mood = mood_from_json(rest)
        self.logout_after = logout_after
        self.frost.set_device(self.device, self.mood.kind == "frozen")

    def listed(self) -> dict[str, Any]:
        """As in ``GET /devices``. ``jid`` is absent without a pairing; ``state`` stays ``logged_in`` when the socket
        drops, as GOWA's does."""
        state = "logged_in" if self.is_logged_in else "connected" if self.is_connected else "disconnected"
        slot: dict[str, Any] = {"id": self.device, "display_name": self.device, "state": state}
        jid = {"jid": self.own_jid} if self.is_paired else {}
        return {**slot, **jid, "created_at": self.created_at}


class Accounts:
    """All slots of this process."""

    def __init__(self, devices: Sequence[str], latency: float, moods: Sequence[str], frost: Frost) -> None:
        """Raises MoodError when a mood cannot be read or its device is not among ``devices``."""
        self._latency = latency
        self._frost = frost
        self._by_device = {device: Account(device, latency, frost=frost) for device in devices}
        for text in moods:
            device, _, mood = text.partition("=")
            content, logout_after = mood_from_text(mood)
            if device != "*" and device not in self._by_device:
                raise MoodError(f"a mood for {device!r}, which is none of the devices")
            for account in self if device == "*" else [self._by_device[device]]:
                if content:
                    account.set_mood({**content, "logout_after": account.logout_after})
                else:
                    account.logout_after = logout_after

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_device.values())

    def get(self, device: str) -> Account | None:
        """By slot id alone, registered or not."""
        return self._by_device.get(device)

    def add(self, device: str) -> Account:
        """A new slot without a pairing; one of this id that was removed is forgotten."""
        account = Account(device, self._latency, Mood("logged-out"), frost=self._frost)
        self._by_device[device] = account
        return account

    def registered(self) -> list[Account]:
        """The slots that GOWA would list."""
        return [account for account in self if account.is_registered]

    def named(self, request: web.Request) -> Account | None:
        """The slot whose id the request gives, registered or not."""
        return self._by_device.get(_given_device(request))

    def resolve(self, request: web.Request) -> Account | Answer:
        """The device that a request means: header, then query, then the only one. Or GOWA's refusal.

        Accepted are the slot id, the account's JID, and the JID with a device suffix.
        """
        given = _given_device(request)
        account = self._by_device.get(given)
        if account is not None and account.is_registered:
            return account
        slots = self.registered()
        if not given:
            return slots[0] if len(slots) == 1 else DEVICE_ID_REQUIRED
        user, _, server = given.partition("@")
        jid = f"{user.partition(':')[0]}@{server}"
        for slot in slots:
            if slot.is_paired and slot.own_jid == jid:
                return slot
        return device_not_found(given)


def _given_device(request: web.Request) -> str:
    # The server decodes the header, so a "+" must come as %2B.
    given = unquote_plus(request.headers.get("X-Device-Id", "")).strip()
    return given or request.query.get("device_id", "").strip()
