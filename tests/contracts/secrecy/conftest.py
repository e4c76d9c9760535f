"""The whole as in the stories."""

from tests.stories.conftest import paceline

__all__ = ["paceline"]
