"""What a check answers, and what the findings come to together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    """Messages are accepted and some are sent, but somebody should look."""
    DOWN = "down"
    """Nothing can be accepted, or nothing can be sent."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``reason`` may be read by anybody; ``detail`` (addresses, an operator's words, a sender's answer) needs a login."""

    health: Health
    part: str
    reason: str
    detail: str = ""


_ORDER = list(Health)


def worst(findings: Iterable[Finding]) -> Health:
    return max((finding.health for finding in findings), key=_ORDER.index, default=Health.OK)
