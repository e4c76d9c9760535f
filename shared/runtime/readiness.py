"""Whether a service may get traffic, and what is wrong with its stores.

A service is not ready while a check finds a problem. The gateway outlives its stores: once they have all been well it stays
ready while one is away, since it has an answer for its callers, 202 or 503 with Retry-After; taken out of the rota, they
would get a proxy's word instead, and what was accepted without Redis would not be accepted at all. Before that it is not
ready, so that a rollout with a wrong password stops at its first replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.errors import StoreUnavailable

log = structlog.get_logger()

ReadyCheck = Callable[[], Awaitable[str]]
"""Answers '' or why the service should get no traffic. Raises StoreUnavailable while the store is away or refuses."""

_CHECK_LIMIT = 3.0
"""Seconds for all checks, which run side by side: a probe of Kubernetes waits for 5."""


class Readiness:
    """Add to ``checks`` before the first ``look``. ``remarks`` answer '' or what works worse than it could, and keep nobody
    from traffic."""

    def __init__(self, outlives_stores: bool = False) -> None:
        self.checks: list[ReadyCheck] = []
        self.remarks: list[Callable[[], str]] = []
        self._outlives_stores = outlives_stores
        self._were_well = False

    async def look(self) -> tuple[bool, list[str]]:
        """Whether the service may get traffic, and what is wrong."""
        answers = await asyncio.gather(*map(_told, self.checks))
        problems = [problem for _, problem in answers if problem]
        self._were_well = self._were_well or not problems
        forgiven = self._outlives_stores and self._were_well and all(is_away for is_away, problem in answers if problem)
        return forgiven or not problems, problems


async def _told(check: ReadyCheck) -> tuple[bool, str]:
    """(whether it only is that a store is away, the problem or '')."""
    try:
        return False, await asyncio.wait_for(check(), _CHECK_LIMIT)
    except StoreUnavailable as error:
        return True, error.reason
    except TimeoutError:
        return True, f"a store had no answer within {_CHECK_LIMIT:.0f} s"
    except Exception as error:
        log.exception("check failed")
        return False, f"a check failed: {type(error).__name__}"
