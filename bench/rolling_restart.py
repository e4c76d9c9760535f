"""All services replaced by their next version under full load: what clients saw, and how long each process took to end.

Two gateways, schedulers, monitors and dispatchers behind the real edge, as in ``tests/chaos/rolling_deploy.py``. Clients keep
their connections, repeat nothing, and ask again as soon as they have an answer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report import Row
from tests.chaos.rolling_deploy import ORDER, Deployment, Outcome

ACCOUNTS = 60
CLIENTS = 16


async def measure(rounds: int) -> list[Row]:
    """About 90 s a round."""
    outcomes: list[Outcome] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="paceline-bench-", ignore_cleanup_errors=True) as folder:
            deployment = Deployment(Path(folder), ACCOUNTS, CLIENTS, lambda text: None, rest=0.02)
            async with deployment.running():
                outcomes.append(await deployment.roll_out())
    rows = [
        Row("requests", [outcome.load.requests for outcome in outcomes]),
        Row("answered 5xx", [len(outcome.load.server_errors) for outcome in outcomes]),
        Row("connection errors", [len(outcome.load.connection_errors) for outcome in outcomes]),
        Row("slowest answer, s", [outcome.load.slowest for outcome in outcomes]),
        Row("messages", [len(outcome.load.phones) for outcome in outcomes]),
        Row("lost, doubled, left over or logged as errors", [len(outcome.wrong) for outcome in outcomes]),
        Row(
            "ended with an error or killed",
            [sum(stop.exit_code != 0 for stop in outcome.stopped) for outcome in outcomes],
        ),
    ]
    rows += [
        Row(
            f"{service}: SIGTERM to its end, s",
            [stop.seconds for outcome in outcomes for stop in outcome.stopped if stop.service == service],
        )
        for service in ORDER
    ]
    return [*rows, Row("requests a second, whole run", [_rate(outcome) for outcome in outcomes])]


def _rate(outcome: Outcome) -> float:
    return outcome.load.requests / max(1.0, outcome.load.seconds)
