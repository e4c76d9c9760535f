"""The rate profile in force: the defaults of the settings with what an operator changed at run time."""

from __future__ import annotations

from typing import Any

import structlog

from shared.endpoints.pacing import RateProfile
from shared.endpoints.profiles import Profiles, profiles_of

log = structlog.get_logger()


class RateInForce:
    """``redis_rebuild`` reads the changes every second and tells them here; others read ``profiles``."""

    def __init__(self, defaults: RateProfile) -> None:
        self._defaults = defaults
        self._changes: dict[str, Any] = {}
        self.profiles = Profiles(defaults)

    def apply(self, changes: dict[str, Any]) -> None:
        if changes == self._changes:
            return
        self._changes = dict(changes)
        try:
            self.profiles = profiles_of(self._defaults, changes)
        except ValueError as error:
            # Better our defaults than none.
            log.error("rate profile not understood", reason=str(error))
            self.profiles = Profiles(self._defaults)
