"""The circuit breakers of the endpoints: aiobreaker in front, Redis behind.

Whether a breaker is open, counts a failure or closes again is decided by the scripts that take and settle, for all
dispatchers together: aiobreaker 1.2 has no success threshold and no limit of trials, and its storage is synchronous. Here
each breaker is given a snapshot of the shared state; it refuses a call that was admitted before its endpoint opened, and
its listeners feed log and metrics. Nothing is decided from the snapshot alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import structlog
from aiobreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerListener
from aiobreaker.state import CircuitBreakerBaseState, CircuitBreakerState
from aiobreaker.storage.base import CircuitBreakerStorage
from prometheus_client import Counter

from services.dispatcher.sending.verdict import Answer, not_sent
from shared.endpoints.breaker_state import BreakerOutcome, BreakerState
from shared.queue.taking import BreakerChange

log = structlog.get_logger()
_changes = Counter(
    "paceline_breaker_changes_total", "Breakers that changed as this dispatcher saw it", ["endpoint", "to"]
)
_STATES = {
    BreakerState.CLOSED: CircuitBreakerState.CLOSED,
    BreakerState.OPEN: CircuitBreakerState.OPEN,
    BreakerState.HALF_OPEN: CircuitBreakerState.HALF_OPEN,
}


class EndpointFailure(Exception):
    """An answer that speaks against the endpoint; how aiobreaker is told of it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class _Snapshot(CircuitBreakerStorage):  # type: ignore[misc]
    """The state of an endpoint as Redis last told it, with its generation."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.shared_state = CircuitBreakerState.CLOSED
        self.version = (0, 0)
        """(epoch, generation): a rebuild of Redis starts the generations anew."""

    @property
    def state(self) -> CircuitBreakerState:
        return self.shared_state

    @state.setter
    def state(self, state: CircuitBreakerState) -> None:
        raise AssertionError("the scripts in Redis decide about the state")

    def increment_counter(self) -> None:
        """Counted in Redis, when the attempt is settled."""

    def reset_counter(self) -> None:
        """Counted in Redis, when the attempt is settled."""

    @property
    def counter(self) -> int:
        return 0

    @property
    def opened_at(self) -> datetime:
        return datetime.now(UTC)

    @opened_at.setter
    def opened_at(self, date_time: datetime) -> None:
        raise AssertionError("the scripts in Redis decide about the state")


class _SharedState(CircuitBreakerBaseState):  # type: ignore[misc]
    """A state that lets calls pass or not, and draws no conclusion from how they end."""

    def __init__(self, breaker: CircuitBreaker, state: CircuitBreakerState, previous: Any, notify: bool) -> None:
        super().__init__(breaker, state)
        if notify:
            for listener in breaker.listeners:
                listener.state_change(breaker, previous, self)

    def before_call(self, func: Any, *args: Any, **kwargs: Any) -> None:
        if self.state is CircuitBreakerState.OPEN:
            raise CircuitBreakerError("the breaker is open", datetime.now(UTC))


class EndpointBreaker(CircuitBreaker):  # type: ignore[misc]
    def _create_new_state(
        self, new_state: CircuitBreakerState, prev_state: Any = None, notify: bool = False
    ) -> CircuitBreakerBaseState:
        return _SharedState(self, new_state, prev_state, notify)


class _Listener(CircuitBreakerListener):  # type: ignore[misc]
    def state_change(self, breaker: CircuitBreaker, old: Any, new: Any) -> None:
        _changes.labels(breaker.name, new.state.name.lower()).inc()
        log.info("breaker changed", endpoint=breaker.name, before=old.state.name.lower(), after=new.state.name.lower())


class Breakers:
    """One breaker for each endpoint of the settings."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._snapshots = {endpoint: _Snapshot(endpoint) for endpoint in endpoints}
        self._breakers = {
            endpoint: EndpointBreaker(state_storage=snapshot, listeners=[_Listener()], name=endpoint)
            for endpoint, snapshot in self._snapshots.items()
        }

    def saw(self, endpoint: str, state: BreakerState, epoch: int, generation: int) -> None:
        """Notes what an assignment or a settlement told of an endpoint, unless something newer is known."""
        snapshot = self._snapshots[endpoint]
        if snapshot.version == (epoch, generation) and snapshot.shared_state is _STATES[state]:
            return
        if (epoch, generation) >= snapshot.version:
            snapshot.version = (epoch, generation)
            snapshot.shared_state = _STATES[state]
            # Reading it makes aiobreaker notice the change and tell its listeners.
            _ = self._breakers[endpoint].state

    def changed(self, changes: Iterable[BreakerChange]) -> None:
        """Notes what settling changed."""
        for change in changes:
            log.warning(
                "breaker", endpoint=change.endpoint, before=change.before, after=change.after, reason=change.reason
            )
            if change.endpoint in self._snapshots:
                epoch, generation = self._snapshots[change.endpoint].version
                self.saw(change.endpoint, change.after, epoch, generation + 1)

    async def send(self, endpoint: str, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Sends through the endpoint's breaker; an open one answers 'not sent' without a call."""

        async def guarded() -> Answer:
            answer = await send()
            if answer.breaker_outcome in (BreakerOutcome.FAIL, BreakerOutcome.CRITICAL):
                raise EndpointFailure(answer)
            return answer

        try:
            answer: Answer = await self._breakers[endpoint].call_async(guarded)
            return answer
        except EndpointFailure as failure:
            return failure.answer
        except CircuitBreakerError:
            return not_sent("the endpoint's breaker opened meanwhile")
