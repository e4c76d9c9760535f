"""The faults that a device can be told to show, and where on a send's way each one strikes.

| mood | what it does |
|---|---|
| ``ok``, ``slow`` | takes the send; ``slow`` after ``latency_ms`` |
| ``500``, ``500-after`` | an error before, or after WhatsApp took the message |
| ``504-taken``, ``504-lost`` | GOWA's deadline passed; taken or not, no row in chat storage either way |
| ``cut-before``, ``cut-after``, ``hang`` | the connection ends without an answer; ``hang`` when the client leaves |
| ``401-json``, ``401-not-logged-in``, ``invalid-wa-cli`` | no session for the moment |
| ``401-text``, ``413``, ``garbage`` | what Fiber or a stranger in between says |
| ``429-timelock`` | no new chats; known ones go on |
| ``not-on-whatsapp`` | the number is not there, for the send and for ``/user/check`` |
| ``lookup-fails`` | the lookups before the sends that it strikes fail; those of ``/user/check`` while it lasts |
| ``answer`` | any ``status``, ``code``, ``message`` |
| ``logged-out``, ``offline`` (states) | no pairing; paired, but the socket is down |
| ``not-logged-in``, ``404-device`` (states) | socket up, session dead; no such slot |
| ``lookups-out``, ``lookups-hang`` (states) | no lookup is answered: at once, or after GOWA's limit of 10 s |
| ``frozen`` (state) | nothing is answered and nothing goes on until the next mood |

A mood may last for a number of sends (``count``), hit a share of them (``rate``, ``seed``), or only certain recipients or
kinds (``phone_suffix``, ``kinds``). States are of the whole account: they hold for typing and for the device routes too.
A failing lookup looks like a number that is not there: the send says INVALID_JID and ``/user/check`` false; only the
account's own number, which is always on WhatsApp, gives an outage away. Whether "WhatsApp" took the message, and
whether chat storage learns of it, follows the contract of GOWA v9.2: a row is written only after a successful send.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator import answers
from simulator.answers import Answer
from simulator.rules import KINDS
from simulator.settings import seconds

# door: before the fields are checked; session: client, socket and login; lookup: is the number on WhatsApp;
# whatsapp: the send itself.
Stage = Literal["door", "session", "lookup", "whatsapp"]
Ending = Literal["answer", "cut-before", "cut-after", "hang", "killed", "reset"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one mood does when it strikes. ``answer`` None means GOWA's ordinary one."""

    stage: Stage
    answer: Answer | None = None
    taken: bool = False
    stored: bool = False
    ending: Ending = "answer"
    is_state: bool = False


BEHAVIOURS: Mapping[str, Behaviour] = {
    "ok": Behaviour("whatsapp", taken=True, stored=True),
    "slow": Behaviour("whatsapp", taken=True, stored=True),
    "500": Behaviour("whatsapp", answers.USYNC_FAILED),
    "500-after": Behaviour("whatsapp", answers.DROPPED_DURING_SEND, taken=True),
    "401-json": Behaviour("session", answers.NOT_CONNECTED),
    "401-not-logged-in": Behaviour("session", answers.NOT_LOGGED_IN),
    "401-text": Behaviour("door", answers.UNAUTHORIZED),
    "invalid-wa-cli": Behaviour("session", answers.NO_CLIENT),
    "logged-out": Behaviour("session", answers.NO_CLIENT, is_state=True),
    "offline": Behaviour("session", answers.NOT_CONNECTED, is_state=True),
    "not-logged-in": Behaviour("session", answers.NOT_LOGGED_IN, is_state=True),
    "404-device": Behaviour("door", is_state=True),
    "not-on-whatsapp": Behaviour("lookup"),
    # The lookups before the sends that it strikes fail; while it lasts, those of /user/check do too.
    "lookup-fails": Behaviour("lookup"),
    # WhatsApp answers no lookup (429, lost socket): at once, or after GOWA's limit of 10 s.
    "lookups-out": Behaviour("lookup", is_state=True),
    "lookups-hang": Behaviour("lookup", is_state=True),
    "429-timelock": Behaviour("whatsapp", answers.TIMELOCK),
    "504-taken": Behaviour("whatsapp", answers.DEADLINE, taken=True),
    "504-lost": Behaviour("whatsapp", answers.DEADLINE),
    # The client gives up, GOWA does not: it finishes the send and stores it.
    "hang": Behaviour("whatsapp", taken=True, stored=True, ending="hang"),
    "cut-before": Behaviour("door", ending="cut-before"),
    "cut-after": Behaviour("whatsapp", taken=True, stored=True, ending="cut-after"),
    "413": Behaviour("door", answers.TOO_LARGE),
    "garbage": Behaviour("whatsapp", answers.GARBAGE),
    # Nothing is answered and nothing goes on while it lasts; then the next mood decides.
    "frozen": Behaviour("whatsapp", taken=True, stored=True, is_state=True),
    # Any line of the contract's error table: status, code and message are given with the mood.
    "answer": Behaviour("whatsapp"),
}


class MoodError(ValueError):
    """A mood that makes no sense; the text says what would."""


@dataclass(slots=True)
class Mood:
    """One mood of one device. ``latency`` is seconds and takes the place of the device's own while the mood hits."""

    kind: str = "ok"
    count: int | None = None
    rate: float = 1.0
    seed: int = 0
    latency: float | None = None
    phone_suffix: str = ""
    kinds: frozenset[str] = frozenset()
    taken: bool | None = None
    stored: bool | None = None
    answer: Answer | None = None
    _chance: random.Random = field(init=False)
    _chance_of_checks: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - picks faults, guards nothing
        # Apart, so that a check between two sends does not change which sends are struck.
        self._chance_of_checks = random.Random(self.seed)  # noqa: S311 - picks faults, guards nothing

    @property
    def behaviour(self) -> Behaviour:
        """What it does when it strikes."""
        return BEHAVIOURS[self.kind]

    @property
    def is_taken(self) -> bool:
        """Whether WhatsApp takes a message that it strikes."""
        return self.behaviour.taken if self.taken is None else self.taken

    @property
    def is_stored(self) -> bool:
        """Whether chat storage gets a row of a message that it strikes; never of one that was not taken."""
        stored = self.behaviour.stored if self.stored is None else self.stored
        return stored and self.is_taken

    def concerns(self, kind: str, jid: str) -> bool:
        """Whether a request of this kind to this recipient is in its range at all, chance apart."""
        if self.kind == "ok" or not self._reaches(jid):
            return False
        # Presence meets a mood only when it is named: typing must not use up the faults meant for sends.
        return kind in self.kinds if self.kinds else not KINDS[kind].is_presence

    def strikes(self, kind: str, jid: str) -> bool:
        """Whether it strikes this send; draws from the chance, and uses up one of ``count`` when it does."""
        if not self.concerns(kind, jid) or self.count == 0:
            return False
        if self.rate < 1.0 and self._draw(jid) >= self.rate:
            return False
        if self.count is not None:
            self.count -= 1
        return True

    def hides(self, jid: str) -> bool:
        """Whether ``/user/check`` says false because this number is said not to be on WhatsApp; uses nothing up."""
        return self.kind == "not-on-whatsapp" and self._reaches(jid) and self._draw(jid) < self.rate

    def fails_lookup(self, jid: str) -> bool:
        """Whether the lookup of ``/user/check`` fails; uses nothing up."""
        fails = self.behaviour.stage == "lookup" and self.kind != "not-on-whatsapp"
        return fails and self._reaches(jid) and (self.rate == 1.0 or self._chance_of_checks.random() < self.rate)

    def strikes_all(self, jid: str) -> bool:
        """Whether typing and ``/user/check`` meet it: when the account as a whole is in trouble. Uses nothing up."""
        whole = self.behaviour.is_state or self.behaviour.stage == "session" or self.kind == "401-text"
        return whole and self.rate == 1.0 and not self.kinds and self._reaches(jid)

    def _reaches(self, jid: str) -> bool:
        # Persons alone are looked up.
        if self.behaviour.stage == "lookup" and not jid.endswith("@s.whatsapp.net"):
            return False
        return not self.phone_suffix or jid.partition("@")[0].endswith(self.phone_suffix)

    def _draw(self, jid: str) -> float:
        if self.kind == "not-on-whatsapp":
            # A number is on WhatsApp or it is not: the send and the check must agree.
            return random.Random(f"{self.seed} {jid}").random()  # noqa: S311 - picks faults, guards nothing
        return self._chance.random()

    def described(self) -> dict[str, Any]:
        """For the control API."""
        return {
            "mood": self.kind,
            "count": self.count,
            "rate": self.rate,
            "seed": self.seed,
            "latency_ms": None if self.latency is None else self.latency * 1000,
            "phone_suffix": self.phone_suffix,
            "kinds": sorted(self.kinds),
            "taken": self.taken,
            "stored": self.stored,
        }


_PARAMETERS: Mapping[str, type | tuple[type, ...]] = {
    "count": int,
    "rate": (int, float),
    "seed": int,
    "latency_ms": (int, float),
    "phone_suffix": str,
    "kinds": list,
    "taken": bool,
    "stored": bool,
    "status": int,
    "code": str,
    "message": str,
}


def mood_from_json(content: Mapping[str, Any]) -> Mood:
    """A mood as the control API takes it. Raises MoodError."""
    kind = content.get("mood", "ok")
    if kind not in BEHAVIOURS:
        raise MoodError(f"no mood {kind!r}; there are: {', '.join(BEHAVIOURS)}")
    given = {name: value for name, value in content.items() if name != "mood" and value is not None}
    for name, value in given.items():
        if name not in _PARAMETERS:
            raise MoodError(f"no parameter {name!r}; there are: {', '.join(_PARAMETERS)}")
        wanted = _PARAMETERS[name]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise MoodError(f"{name} has the wrong type")
    kinds = frozenset(given.get("kinds", ()))
    if not kinds <= KINDS.keys():
        raise MoodError(f"kinds must be out of: {', '.join(KINDS)}")
    if BEHAVIOURS[kind].is_state and given.keys() & {"rate", "phone_suffix", "kinds"}:
        raise MoodError(f"{kind} is a state of the whole account: no rate, phone_suffix or kinds")
    if kind == "frozen" and len(given) > 0:
        raise MoodError("frozen lasts until the next mood and has no parameters")
    if not 0 <= given.get("rate", 1) <= 1 or given.get("count", 1) < 1:
        raise MoodError("rate is 0 to 1, count 1 or more")
    latency = given.get("latency_ms")
    if kind == "slow" and latency is None:
        raise MoodError("slow needs latency_ms")
    return Mood(
        kind=kind,
        count=given.get("count"),
        rate=float(given.get("rate", 1.0)),
        seed=given.get("seed", 0),
        latency=None if latency is None else latency / 1000,
        phone_suffix=given.get("phone_suffix", ""),
        kinds=kinds,
        taken=given.get("taken"),
        stored=given.get("stored"),
        answer=_custom_answer(kind, given),
    )


def _custom_answer(kind: str, given: Mapping[str, Any]) -> Answer | None:
    if kind == "answer" and "status" not in given:
        raise MoodError("answer needs a status, and may have code and message")
    if not given.keys() & {"status", "code", "message"}:
        return None
    usual = BEHAVIOURS[kind].answer
    status = given.get("status", usual.status if usual is not None else 500)
    return answers.error(status, given.get("code", "INTERNAL_SERVER_ERROR"), given.get("message", "simulated"))


def mood_from_text(text: str) -> tuple[dict[str, Any], int | None]:
    """A mood as the command line takes it: the JSON form, and after how many sends the device logs out, if at all.

    ``slow:300ms``, ``500:rate=0.1:count=3``, ``logout-after:40``. Raises MoodError.
    """
    kind, *parts = text.split(":")
    try:
        if kind == "logout-after":
            (count,) = parts
            return {}, int(count)
        content: dict[str, Any] = {"mood": kind}
        for part in parts:
            name, is_named, value = part.partition("=")
            if not is_named:
                content["latency_ms"] = seconds(part) * 1000
            elif name == "latency":
                content["latency_ms"] = seconds(value) * 1000
            elif name == "rate":
                content[name] = float(value)
            elif name in {"count", "seed", "status"}:
                content[name] = int(value)
            elif name in {"taken", "stored"}:
                content[name] = value == "true"
            else:
                content[name] = value
    except ValueError as error:
        raise MoodError(f"cannot read the mood {text!r}: {error}") from None
    return content, None
