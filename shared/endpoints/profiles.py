"""The rate profiles in force: the settings' with what was changed for all accounts, and for single ones on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from shared.endpoints.pacing import RateProfile, longest_pause

ENDPOINTS = "endpoints"
"""Key of the published changes under which those of single endpoints stand."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """``usual``: of every endpoint that has none of its own."""

    usual: RateProfile
    own: Mapping[str, RateProfile] = field(default_factory=dict)

    def of(self, endpoint: str) -> RateProfile:
        return self.own.get(endpoint, self.usual)

    def longest_pause_ms(self) -> int:
        """The pause that is long enough for any endpoint, ms."""
        return max(longest_pause(profile).bulk_ready_ms for profile in (self.usual, *self.own.values()))


def profiles_of(defaults: RateProfile, published: Mapping[str, Any]) -> Profiles:
    """``published``: the changes for all, with those of single endpoints under ENDPOINTS. Raises ValueError where those for
    all make no sense; those of an endpoint that do not go with them are left out.

    Values that only a newer version knows are passed over, those beside them hold: in a rollout nobody may send faster than
    somebody has slowed them down to."""
    if not isinstance(published, dict):
        raise ValueError("an object with the values to change is wanted")
    usual = defaults.with_changes(_known(published))
    of_endpoints = published.get(ENDPOINTS, {})
    if not isinstance(of_endpoints, dict):
        raise ValueError(f"{ENDPOINTS}: an object is wanted")
    own = {}
    for endpoint, of_endpoint in of_endpoints.items():
        try:
            own[endpoint] = usual.with_changes(_known(of_endpoint))
        except ValueError:
            continue
    return Profiles(usual, own)


def _known(changes: Any) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise ValueError("an object with the values to change is wanted")
    names = {known.name for known in fields(RateProfile)}
    return {name: value for name, value in changes.items() if name in names}
