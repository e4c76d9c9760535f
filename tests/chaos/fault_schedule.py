"""Which faults, when, for how long: a pure function of the seed. What they meet is up to the machine.

Seven tracks run side by side, so that faults meet: processes, stores, network, sender, frozen sender, clocks, pending
lists.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """``at`` and ``seconds`` (how long it lasts) count from the start; ``target`` is a service with its number, a store or
    the sender. ``size``: seconds of a delay or of a clock, a number of replies or entries, the share of sends that a mood
    strikes."""

    at: float
    kind: str
    target: str
    seconds: float = 0.0
    size: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        size = f" ({self.size:.2f})" if self.size else ""
        return f"{self.at:6.1f} s  {self.kind} {self.target}{lasts}{size}"


REFUSALS = ("no_rights", "no_memory", "replica", "busy")
"""How a Redis refuses what it is asked for, though it is there."""

# How often each service is hit, and how.
_SERVICES = {"dispatcher": 6, "scheduler": 3, "gateway": 2, "monitor": 1}
_PROCESS_FAULTS = {"kill": 6, "terminate": 3, "stop": 1}
_STORE_FAULTS = (
    ("flush", "valkey"),
    ("kill", "valkey"),
    ("older_copy", "valkey"),
    ("empty_one", "valkey"),
    ("pause", "valkey"),
    ("restart", "valkey"),
    ("kill", "postgres"),
    ("restart", "postgres"),
    ("pause", "postgres"),
    ("read_only", "postgres"),
    *((refusal, "valkey") for refusal in REFUSALS),
)
_NETWORK_FAULTS = ("delay_request", "delay_reply", "cut", "half_close", "lose_reply", "hold_reply", "refuse")
_NETWORKS = ("redis", "postgres", "sender")
_MOODS = ("500", "cut-before", "cut-after", "hang", "504-taken", "logged-out", "lookups-out")


def schedule(seed: int, seconds: float, members: dict[str, int], stop_seconds: float) -> list[Fault]:
    """Faults of a run in their order. ``members``: how many there are of each service. ``stop_seconds``: how long a stopped
    process stands still, at least."""
    faults = [
        *_processes(random.Random(f"{seed} processes"), seconds, members, stop_seconds),
        *_stores(random.Random(f"{seed} stores"), seconds),
        *_network(random.Random(f"{seed} network"), seconds),
        *_moods(random.Random(f"{seed} sender"), seconds),
        *_frozen(random.Random(f"{seed} frozen sender"), seconds),
        *_clocks(random.Random(f"{seed} clocks"), seconds, members),
        *_pending_lists(random.Random(f"{seed} pending lists"), seconds),
    ]
    return sorted(faults, key=lambda fault: (fault.at, fault.kind, fault.target))


def _moments(chance: random.Random, seconds: float, least: float, most: float) -> Iterator[float]:
    at = chance.uniform(1, most)
    while at < seconds:
        yield at
        at += chance.uniform(least, most)


def _weighted(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _processes(chance: random.Random, seconds: float, members: dict[str, int], stop_seconds: float) -> Iterator[Fault]:
    # One dispatcher stands still from early on in every run, however short.
    yield Fault(1.5, "stop", f"dispatcher-{chance.randrange(members['dispatcher'])}", stop_seconds)
    for at in _moments(chance, seconds, 0.8, 2.5):
        service = _weighted(chance, _SERVICES)
        kind = _weighted(chance, _PROCESS_FAULTS)
        lasts = stop_seconds + chance.uniform(0, 3) if kind == "stop" else chance.uniform(0.1, 2)
        yield Fault(at, kind, f"{service}-{chance.randrange(members[service])}", lasts)


def _stores(chance: random.Random, seconds: float) -> Iterator[Fault]:
    bag: list[tuple[str, str]] = []
    lasts: dict[str, Callable[[], float]] = {
        "kill": lambda: chance.uniform(0.2, 2),
        "empty_one": lambda: chance.uniform(0.2, 2),
        "older_copy": lambda: chance.uniform(1.5, 3),
        "pause": lambda: chance.uniform(2, 5),
        "read_only": lambda: chance.uniform(2, 5),
    } | dict.fromkeys(REFUSALS, lambda: chance.uniform(0.5, 3))
    for at in _moments(chance, seconds, 4, 6):
        if not bag:
            bag = list(_STORE_FAULTS)
            chance.shuffle(bag)
        kind, target = bag.pop()
        yield Fault(at, kind, target, lasts[kind]() if kind in lasts else 0.0)


def _network(chance: random.Random, seconds: float) -> Iterator[Fault]:
    for at in _moments(chance, seconds, 0.8, 2):
        kind = chance.choice(_NETWORK_FAULTS)
        target = chance.choice(_NETWORKS)
        # Shorter than the sender's answer may take: what is held comes late, but not after everybody has given up.
        lasts = chance.uniform(0.3, 2) if kind in ("delay_request", "delay_reply", "hold_reply", "refuse") else 0.0
        size = 0.0
        if kind.startswith("delay"):
            size = chance.uniform(0.01, 0.15)
        elif kind == "lose_reply":
            size = float(chance.randint(1, 3))
        yield Fault(at, kind, target, lasts, size)


def _moods(chance: random.Random, seconds: float) -> Iterator[Fault]:
    for at in _moments(chance, seconds, 1, 3):
        mood = chance.choice(_MOODS)
        yield Fault(at, mood, "sender", chance.uniform(0.5, 2), chance.uniform(0.2, 0.8))


def _frozen(chance: random.Random, seconds: float) -> Iterator[Fault]:
    # Longer than anybody waits for an answer now and then, so that it goes on with what everybody has given up.
    for at in _moments(chance, seconds, 25, 60):
        yield Fault(at, "freeze", "sender", chance.choice((1.0, 3.0, 12.0)))


def _clocks(chance: random.Random, seconds: float, members: dict[str, int]) -> Iterator[Fault]:
    for at in _moments(chance, seconds, 1, 4):
        service = _weighted(chance, _SERVICES)
        hour = chance.choice((-3600.0, 3600.0))
        target = f"{service}-{chance.randrange(members[service])}"
        yield Fault(at, "move_clock", target, chance.uniform(1, 6), hour)


def _pending_lists(chance: random.Random, seconds: float) -> Iterator[Fault]:
    # Not often: each of its messages is handled alone afterwards.
    for at in _moments(chance, seconds, 8, 20):
        yield Fault(at, "fill_pending", "valkey", chance.uniform(1, 3), float(chance.randint(20, 60)))
