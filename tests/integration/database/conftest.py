"""The fixture of the stories, for what the whole needs of Postgres; a database that nothing was made in yet."""

import secrets
from collections.abc import Iterator

import pytest

from standalone.embedded_postgres import EmbeddedPostgres
from tests.servers import Database, database_of, heal
from tests.stories.conftest import paceline

__all__ = ["empty_database", "paceline"]


@pytest.fixture
def empty_database(postgres_server: EmbeddedPostgres) -> Iterator[Database]:
    heal(postgres_server)
    name = f"empty_{secrets.token_hex(6)}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    yield database_of(postgres_server, name)
    heal(postgres_server)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
