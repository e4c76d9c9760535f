"""Every service is replaced by a version that differs, under load, and nobody notices."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.rolling_deploy import ORDER, REPLICAS, Deployment


async def test_two_versions_side_by_side(tmp_path: Path) -> None:
    async with Deployment(tmp_path, accounts=10, clients=8, say=print).running() as deployment:
        outcome = await deployment.roll_out()
    load = outcome.load
    print(f"{load.requests} requests, slowest {load.slowest:.2f} s, {len(load.phones)} messages")
    print("\n".join(outcome.wrong[:20]))
    assert load.server_errors == []
    assert load.connection_errors == []
    assert load.refused == []
    assert outcome.wrong == []
    assert [(stop.service, stop.exit_code) for stop in outcome.stopped] == [
        (service, 0) for service in ORDER for _ in range(REPLICAS[service])
    ]
    assert outcome.by_newcomer > 0, "the next version has sent nothing by the account that it alone knows"
    assert len(load.campaigns) > 0
