"""The roles of docs/operations.md: one that migrates and owns, one that reads and writes rows and may do nothing else."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import asyncpg
import pytest

from shared.database.connection import Database
from shared.database.retention import drop_old_partitions, ensure_partitions
from shared.errors import DatabaseUnavailable
from standalone.embedded_postgres import EmbeddedPostgres
from tests import servers
from tests.integration.conftest import settings_of_database
from tests.servers import ROOT, database_of, heal
from tests.stories.conftest import Paceline, phones

DOCUMENTED = re.compile(r"^```sql\n-- (.+?)\n(.+?)^```", re.MULTILINE | re.DOTALL)


def statements() -> dict[str, str]:
    """The blocks of SQL in the page by their first line."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    return dict(DOCUMENTED.findall(page))


@pytest.fixture
def roles(postgres_server: EmbeddedPostgres) -> Iterator[tuple[servers.Database, servers.Database]]:
    """A database as the page says to make it, migrated: as the owner and as the services see it."""
    heal(postgres_server)
    mark = secrets.token_hex(6)
    password = secrets.token_urlsafe(12)

    def own(text: str) -> str:
        """As it stands, with names and passwords of our own."""
        return re.sub(r"paceline(_owner)?\b", rf"p_{mark}\1", text).replace("'…'", f"'{password}'")

    documented = statements()
    postgres_server.execute(own(documented["as a superuser, in any database"]))
    name = f"p_{mark}"
    postgres_server.execute(own(documented["as a superuser, in the new database"]), name)
    owner = replace(database_of(postgres_server, name), user=f"{name}_owner", password=password)
    servers.migrate(owner)
    yield owner, replace(owner, user=name)
    heal(postgres_server)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    postgres_server.execute(f"DROP ROLE {name}; DROP ROLE {name}_owner")


@pytest.fixture
async def pool(roles: tuple[servers.Database, servers.Database]) -> AsyncIterator[Database]:
    opened = await Database(settings_of_database(roles[1]), 2, "test").open()
    yield opened
    await opened.close()


async def test_the_services_lack_nothing(pool: Database) -> None:
    assert await pool.problem() == ""
    assert await ensure_partitions(pool) == 0
    assert await drop_old_partitions(pool, 0) == []
    await pool.execute("select analyze_messages()")


async def test_months_are_made_by_a_role_that_may_make_no_table(
    pool: Database, roles: tuple[servers.Database, servers.Database]
) -> None:
    owner = await asyncpg.connect(roles[0].dsn)
    months = "select count(*) from pg_inherits where inhparent = 'messages'::regclass"
    before = await owner.fetchval(months)
    await owner.execute("select ensure_partitions(5)")
    made = await owner.fetchval(months)
    newest = "select max(c.relname) from pg_inherits i join pg_class c on c.oid = i.inhrelid"
    for table in ("messages", "attempts"):
        await owner.execute(
            "drop table "
            + await owner.fetchval(f"{newest} where inhparent = '{table}'::regclass and relname ~ '[0-9]'")
        )
    await owner.close()
    assert made > before
    assert await pool.fetchval("select ensure_partitions(5)") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "create table another (id integer)",
        "drop table messages",
        "truncate messages",
        "alter table messages add column more text",
        "create function own() returns integer language sql return 1",
        "create schema another",
    ],
)
async def test_the_services_may_change_nothing_but_rows(pool: Database, statement: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="right"):
        await pool.execute(statement)


async def test_what_is_lacking_is_named(
    pool: Database, roles: tuple[servers.Database, servers.Database], postgres_server: EmbeddedPostgres
) -> None:
    role, name = roles[1].user, roles[1].name
    postgres_server.execute(f"revoke insert, update on messages from {role}", name)
    postgres_server.execute(f"revoke update on sequence beat_number from {role}", name)
    with pytest.raises(
        DatabaseUnavailable, match=r"operations\.md.*beat_number \(update\), messages \(insert, update\)"
    ):
        await pool.problem()
    postgres_server.execute(f"revoke all on applied_migrations from {role}", name)
    with pytest.raises(DatabaseUnavailable, match=r"right.*applied_migrations"):
        await pool.problem()


async def test_the_whole_runs_with_no_more(
    paceline: Callable[..., Awaitable[Paceline]],
    service_environment: dict[str, str],
    roles: tuple[servers.Database, servers.Database],
) -> None:
    service_environment.update(roles[1].environment)
    whole = await paceline(devices=2)
    campaign = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(20), "message": "news"})
    text = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550109999", "message": "hello"})
    await whole.call("PUT", "/api/optouts/15550109998", 200, json={"scope": "all"})
    await whole.call("PUT", "/api/rate-profile", 200, json={"name": "bulk"})
    await whole.message_in(text["message_id"], "sent")
    assert (await whole.campaign_in(campaign["campaign_token"], "finished"))["counts"]["sent"] == 20
    assert (await whole.health())["status"] == "ok"
    for service in (whole.gateway, whole.monitor, whole.scheduler, *whole.dispatchers):
        assert "lacks a right" not in service.log_text(), service.name
        assert "Traceback" not in service.log_text(), service.name
    await whole.judge()
