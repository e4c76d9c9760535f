"""``python -m tests.chaos``: Paceline under load while everything around it breaks, then a judgement in one table.

The schedule of faults is a function of the seed; what they meet depends on the machine, so the same seed breaks the same
things at the same times and may still end differently. Exit code 1: something was lost, doubled, unexplained, overlapping,
begun in spite of an acknowledgement, or left over.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.fault_injection import Faults
from tests.chaos.fault_schedule import Fault, schedule
from tests.chaos.judgement import Judgement, judge, settled
from tests.chaos.offered_load import Client
from tests.chaos.running_whole import ATTEMPT_DEADLINE, Size, Whole, running_whole

_LONG = 120.0
"""Seconds from which on a run has the patience to let leases end by themselves."""


@dataclass(frozen=True, slots=True)
class Run:
    """``patient``: at the end wait until leases end, instead of restarting the dispatchers. ``keep``: a directory for logs
    and data, None: a temporary one."""

    seed: int
    seconds: float
    rate: float
    size: Size
    only: str
    patient: bool
    keep: Path | None
    verbose: bool

    def faults(self) -> list[Fault]:
        # Longer than the death of a dispatcher and the deadline of the attempt that it may have open.
        stop_seconds = max(self.size.dead_after, ATTEMPT_DEADLINE) + 3
        faults = schedule(self.seed, self.seconds, self.size.members(), stop_seconds)
        return [fault for fault in faults if self.only in f"{fault.kind} {fault.target}"]


def arguments(given: list[str] | None = None) -> Run:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    size = Size()
    parser.add_argument("--seconds", type=float, default=300, help="how long faults are injected")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the schedule; without it one is taken from the clock"
    )
    parser.add_argument("--rate", type=float, default=20, help="messages offered a second")
    parser.add_argument("--dispatchers", type=int, default=size.dispatchers)
    parser.add_argument("--schedulers", type=int, default=size.schedulers)
    parser.add_argument("--gateways", type=int, default=size.gateways)
    parser.add_argument("--accounts", type=int, default=size.accounts)
    parser.add_argument("--dead-after", type=int, default=size.dead_after, help="DISPATCHER_DEAD_AFTER, seconds")
    parser.add_argument("--only", default="", help='only faults that contain this, such as "kill dispatcher"')
    parser.add_argument(
        "--patient",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="at the end let leases end (about 100 s) instead of restarting the dispatchers; default: in runs of "
        f"{_LONG:.0f} s and more",
    )
    parser.add_argument("--keep", type=Path, default=None, help="directory for logs and data, which then stay")
    parser.add_argument("--verbose", action="store_true", help="say each fault as it ends")
    parser.add_argument("--show-schedule", action="store_true", help="only print the schedule of the seed")
    options = parser.parse_args(given)
    run = Run(
        seed=options.seed if options.seed is not None else int(time.time()) % 1_000_000,
        seconds=options.seconds,
        rate=options.rate,
        size=Size(options.dispatchers, options.schedulers, options.gateways, options.accounts, options.dead_after),
        only=options.only,
        patient=options.patient if options.patient is not None else options.seconds >= _LONG,
        keep=options.keep,
        verbose=options.verbose,
    )
    if options.show_schedule:
        print("\n".join(str(fault) for fault in run.faults()))
        sys.exit(0)
    return run


async def perform(run: Run, directory: Path) -> Judgement:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    say(f"seed {run.seed}, {run.seconds:.0f} s of faults, {run.rate:.0f} messages a second, logs in {directory}")
    async with running_whole(run.size, directory, say) as whole:
        faults = Faults(whole, run.seed, say if run.verbose else _nothing)
        client = Client(whole, run.seed, run.rate)
        begun_injecting = time.monotonic()
        async with client.offering():
            await faults.inject(run.faults())
            await asyncio.sleep(max(0.0, begun_injecting + run.seconds - time.monotonic()))
            # The client resumes what it has paused, for which the whole must be there.
            await whole.heal()
        say("the faults are over, everything runs")
        await _come_to_rest(whole, run, faults, say)
        return await judge(whole, client.record, faults)


async def _come_to_rest(whole: Whole, run: Run, faults: Faults, say: Callable[[str], None]) -> None:
    if not run.patient:
        faults.late_stops += await whole.restart_dispatchers()
    # A minute until an entry that vanished counts as lost; a lease that nobody settles lasts 95 s, a stuck entry as long.
    passed = await settled(whole, 400 if run.patient else 130, say)
    say(f"came to rest in {passed:.1f} s")


def _nothing(_: str) -> None:
    return


def main() -> int:
    run = arguments()
    if run.keep is not None:
        run.keep.mkdir(parents=True, exist_ok=True)
        judgement = asyncio.run(perform(run, run.keep.absolute()))
    else:
        with tempfile.TemporaryDirectory(prefix="paceline-chaos-", ignore_cleanup_errors=True) as directory:
            judgement = asyncio.run(perform(run, Path(directory)))
    print(f"\n{judgement.table()}")
    if judgement.defects:
        print(f"\nDEFECTS (seed {run.seed}): {'; '.join(judgement.defects)}")
    return 1 if judgement.defects else 0


if __name__ == "__main__":
    sys.exit(main())
