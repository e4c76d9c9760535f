"""``python -m bench [NAME ...] [--rounds N] [--json FILE]``"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from bench import (
    campaign,
    dispatcher,
    gateway,
    growth,
    idle,
    long_list,
    overtaking,
    pacing,
    recovery,
    rolling_restart,
    scale_out,
    upload,
)
from bench.peers import comparing
from bench.report import Row, as_json, table

MEASUREMENTS: dict[str, Callable[[int], Awaitable[list[Row]]]] = {
    "dispatcher": dispatcher.measure,
    "gateway": gateway.measure,
    "campaign": campaign.measure,
    "long_list": long_list.measure,
    "overtaking": overtaking.measure,
    "upload": upload.measure,
    "scale_out": scale_out.measure,
    "idle": idle.measure,
    "growth": growth.measure,
    "peers": comparing.measure,
    "rolling_restart": rolling_restart.measure,
    "recovery": recovery.measure,
    "pacing": pacing.measure,
}
DEFAULT = tuple(
    name
    for name in MEASUREMENTS
    if name not in {"long_list", "growth", "peers", "rolling_restart", "recovery", "pacing"}
)
"""Without the one that fills a database with ten million rows first, and those whose rounds last a minute and more."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure against the raw limits of this machine."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(MEASUREMENTS)} (default: {', '.join(DEFAULT)})"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each measurement (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in MEASUREMENTS]
    if unknown or arguments.rounds < 1:
        parser.error(f"no measurement {unknown[0]}" if unknown else "--rounds must be 1 or more")
    figures = {}
    for name in arguments.names or DEFAULT:
        rows = asyncio.run(_measured(name, arguments.rounds))
        print(f"\n{name}\n{table(rows)}", flush=True)
        figures[name] = as_json(rows)
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    return 0


async def _measured(name: str, rounds: int) -> list[Row]:
    return await MEASUREMENTS[name](rounds)


if __name__ == "__main__":
    sys.exit(main())
