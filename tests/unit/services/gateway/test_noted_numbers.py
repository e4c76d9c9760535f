"""What a gateway remembers of hidden ids: bounded, for a day, and never a number that has changed."""

from __future__ import annotations

from services.gateway.inbound.noted_numbers import NotedNumbers


def test_a_number_is_remembered_until_it_changes_or_a_day_is_over() -> None:
    now = 100.0
    noted = NotedNumbers(clock=lambda: now)
    assert not noted.has("1@lid", "15550300001")
    noted.add("1@lid", "15550300001")
    assert noted.has("1@lid", "15550300001")
    assert not noted.has("1@lid", "15550300002")
    noted.add("1@lid", "15550300002")
    assert not noted.has("1@lid", "15550300001")
    now += 86_399
    assert noted.has("1@lid", "15550300002")
    now += 1
    assert not noted.has("1@lid", "15550300002")


def test_the_oldest_go_when_there_are_many() -> None:
    noted = NotedNumbers(most=2)
    for number in (1, 2, 1, 3):
        noted.add(f"{number}@lid", "key")
    assert [noted.has(f"{number}@lid", "key") for number in (1, 2, 3)] == [True, False, True]
