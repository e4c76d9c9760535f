"""What is a traceparent, and what is ignored."""

import pytest

from shared.traceparent import read_traceparent, trace_id_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize("given", [GOOD, f"00-{TRACE}-{PARENT}-00", f"cc-{TRACE}-{PARENT}-ff"])
def test_one_of_the_right_form_is_passed_along(given: str) -> None:
    assert read_traceparent(given) == given
    assert trace_id_of(given) == TRACE


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "mine",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"{GOOD}, {GOOD}",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        f"00_{TRACE}_{PARENT}_01",
    ],
)
def test_anything_else_is_none(given: str | None) -> None:
    assert read_traceparent(given) == ""
