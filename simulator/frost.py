"""Freezing: GOWA, or one account of it, neither answers nor goes on until it is thawed, then does both.

What it has read by then is not forgotten: a send goes out after the thaw although its client left long ago. The
control API never freezes. Stopping the process (SIGSTOP, SIGCONT) has the same effect on all of it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Frost:
    """The gates: one for the whole process, one for each device that was ever asked after."""

    def __init__(self) -> None:
        self._whole = _open_gate()
        self._devices: defaultdict[str, asyncio.Event] = defaultdict(_open_gate)

    def set_whole(self, is_frozen: bool) -> None:
        """Freeze or thaw everything."""
        _set(self._whole, is_frozen)

    def set_device(self, device: str, is_frozen: bool) -> None:
        """Freeze or thaw one account."""
        _set(self._devices[device], is_frozen)

    @property
    def is_whole(self) -> bool:
        """Whether everything is frozen."""
        return not self._whole.is_set()

    def holds(self, device: str) -> bool:
        """Whether this account, or everything, is frozen."""
        return self.is_whole or not self._devices[device].is_set()

    async def wait(self, device: str | None = None) -> None:
        """Return once neither the process nor the device is frozen."""
        gates = [self._whole] if device is None else [self._whole, self._devices[device]]
        while not all(gate.is_set() for gate in gates):
            for gate in gates:
                await gate.wait()


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


def _set(gate: asyncio.Event, is_frozen: bool) -> None:
    if is_frozen:
        gate.clear()
    else:
        gate.set()
