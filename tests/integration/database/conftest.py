"""The fixture of the stories, for what the whole needs of Postgres."""

from tests.stories.conftest import paceline

__all__ = ["paceline"]
