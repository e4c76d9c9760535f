"""Brings a database to the schema of this code: the numbered files that it has not had, each in a transaction; in that of the
last one also all functions, views and triggers whose text has changed.

So a run that was killed goes on where it stopped, services never meet half of a change, and the newest number is there only
when all is. A database that something else made, or that is newer, is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from migrations.definitions import Definition, read_definitions
from migrations.takeover import BASELINE, FORMER, is_former
from shared.database.statements import load_statements

_LOCK = 7205759403792792
_FOLDER = Path(__file__).parent
_SQL = load_statements("bookkeeping", _FOLDER / "sql")
_TOLD = 5
"""Tables of a strange database that are named; enough to recognize it."""


class RefusedDatabase(Exception):
    """Nothing can be applied here; nothing was changed. The text says why, and what would help."""


class NewerDatabase(Exception):
    """A later version has been here. Nothing was changed, and nothing has to be: this version's services can use it."""


class WrongDefinition(Exception):
    """A file of ``functions/`` does not make what it is named after, or leaves its former signature beside it."""


async def migrate(connection: asyncpg.Connection) -> list[str]:
    """Applies what is missing and returns the names of the files applied.

    Raises RefusedDatabase, NewerDatabase, WrongNeeds, WrongDefinition, or asyncpg.PostgresError where a file fails; its
    transaction then left nothing behind.
    """
    definitions = read_definitions(_FOLDER / "functions")
    numbered = {file.name: file.read_text(encoding="utf-8") for file in sorted(_FOLDER.glob("[0-9]*.sql"))}
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    async with _alone(connection):
        applied = await _applied(connection)
        if not applied.keys() & (numbered.keys() | FORMER.keys()):
            await _refuse_strange(connection)
        _refuse_unfit(applied, numbered)
        await connection.execute(_SQL["create"])
        former = is_former(applied)
        missing = [name for name in numbered if name not in applied and not (former and name <= BASELINE)]
        for name in missing[:-1]:
            async with connection.transaction():
                await _apply(connection, name, numbered[name])
        async with connection.transaction():
            for name in missing[-1:]:
                await _apply(connection, name, numbered[name])
            defined = await _define(connection, definitions, applied)
            if former:
                await _take_over(connection, numbered)
    return missing + defined


@asynccontextmanager
async def _alone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """One run at a time; the others wait and find nothing to do."""
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        yield
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def _applied(connection: asyncpg.Connection) -> dict[str, str]:
    """The files that were applied, with their hashes. Raises RefusedDatabase where something else notes there what it did."""
    columns = {row["name"] for row in await connection.fetch(_SQL["columns"])}
    if not columns:
        return {}
    if not columns >= {"name", "sha256"}:
        raise RefusedDatabase(_strange(["applied_migrations"]))
    return {row["name"]: row["sha256"] for row in await connection.fetch(_SQL["applied"])}


async def _refuse_strange(connection: asyncpg.Connection) -> None:
    if tables := [row["name"] for row in await connection.fetch(_SQL["tables"])]:
        raise RefusedDatabase(_strange(tables))


def _strange(tables: list[str]) -> str:
    named = ", ".join(tables[:_TOLD]) + (" and others" if len(tables) > _TOLD else "")
    return (
        f"this database holds what this version of Paceline did not make: {named}. Nothing was changed;"
        " give it an empty one (DATABASE_NAME)"
    )


def _refuse_unfit(applied: Mapping[str, str], numbered: Mapping[str, str]) -> None:
    """Raises RefusedDatabase, NewerDatabase."""
    if applied.keys() & FORMER.keys() and not is_former(applied):
        raise RefusedDatabase(
            f"the schema is one of before {max(FORMER)}. Nothing was changed;"
            " bring it there first, by the version that it is of"
        )
    for name in sorted(applied.keys() & numbered.keys()):
        if applied[name] != _digest(numbered[name]):
            raise RefusedDatabase(f"{name} was changed after it was applied; put a new file beside it instead")
    if newer := sorted(name for name in applied.keys() - numbered.keys() - FORMER.keys() if name[:1].isdigit()):
        raise NewerDatabase(f"the schema is newer than this version: it has {newer[-1]}. Nothing was changed")


async def _define(
    connection: asyncpg.Connection, definitions: Sequence[Definition], applied: Mapping[str, str]
) -> list[str]:
    """Applies those that have changed, or are gone since a numbered file dropped them; answers their files."""
    present = {row["name"] for row in await connection.fetch(_SQL["present"])}
    changed = [
        definition
        for definition in definitions
        if definition.name not in present or applied.get(_file(definition)) != _digest(definition.text)
    ]
    if changed:
        # What belongs to the owner keeps this path; a caller's tables must not come before ours.
        schema = await connection.fetchval(_SQL["schema"])
        await connection.execute(f"set local search_path = {schema}, pg_temp")
        for definition in changed:
            await _apply(connection, _file(definition), definition.text)
        await _check(connection, changed)
        await connection.execute(_SQL["months"])
    return [_file(definition) for definition in changed]


async def _check(connection: asyncpg.Connection, changed: list[Definition]) -> None:
    """Raises WrongDefinition."""
    names = [definition.name for definition in changed]
    present = {row["name"] for row in await connection.fetch(_SQL["present"])}
    if lacking := set(names) - present:
        raise WrongDefinition(f"functions/{min(lacking)}.sql does not make {min(lacking)}")
    for row in await connection.fetch(_SQL["overloaded"], names):
        raise WrongDefinition(
            f"functions/{row['name']}.sql leaves its former signature, drop it there first: {row['signatures']}"
        )


async def _take_over(connection: asyncpg.Connection, numbered: Mapping[str, str]) -> None:
    await connection.execute((_FOLDER / "sql" / "takeover.sql").read_text(encoding="utf-8"))
    await connection.execute(_SQL["forget"], list(FORMER))
    for name in [name for name in numbered if name <= BASELINE]:
        await connection.execute(_SQL["note"], name, _digest(numbered[name]))


async def _apply(connection: asyncpg.Connection, name: str, text: str) -> None:
    await connection.execute(text)
    await connection.execute(_SQL["note"], name, _digest(text))


def _file(definition: Definition) -> str:
    """Under which name it is noted."""
    return f"functions/{definition.name}.sql"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
