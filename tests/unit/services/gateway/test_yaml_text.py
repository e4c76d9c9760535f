"""The YAML that we write is read back as what it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.yaml_text import yaml_text

printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]))
scalars = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | printable
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4), max_leaves=20
)


@given(data)
def test_it_is_read_back(value: Any) -> None:
    assert yaml.safe_load(yaml_text(value)) == value


@pytest.mark.parametrize(
    "word", ["yes", "No", "null", "1e3", "0x1", "12:30", "a: b", "a #b", "- a", "", "2026-01-01", "="]
)
def test_words_that_mean_something_stay_strings(word: str) -> None:
    assert yaml.safe_load(yaml_text({word: [word]})) == {word: [word]}
