"""The demo's judgement finds everything that must not be, and its recipients are invented people."""

from pathlib import Path
from typing import Any

import pytest
from phonenumbers import is_possible_number, parse

from standalone.demo import judge, read_recipients
from standalone.process_plan import ROOT

CAMPAIGN: dict[str, Any] = {"total": 10, "counts": {"queued": 0, "sending": 0, "retrying": 0, "sent": 8, "failed": 2}}
LEDGER: dict[str, Any] = {"taken": 8, "doubles": 0, "malformed": 0, "max_in_flight": 1}


def test_a_clean_campaign_has_no_problems() -> None:
    assert judge(CAMPAIGN, 10, LEDGER) == []


def test_an_unknown_outcome_may_have_been_taken_or_not() -> None:
    counts = {"sent": 8, "failed": 1, "unknown": 1}
    assert judge(CAMPAIGN | {"counts": counts}, 10, LEDGER) == []
    assert judge(CAMPAIGN | {"counts": counts}, 10, LEDGER | {"taken": 9}) == []


@pytest.mark.parametrize(
    ("counts", "ledger", "problem"),
    [
        ({"retrying": 1, "sent": 8, "failed": 1}, {}, "1 recipients have come to no end"),
        ({"sent": 8, "failed": 1}, {}, "1 recipients have come to no end"),
        ({}, {"doubles": 1}, "taken twice"),
        ({}, {"malformed": 3}, "3 requests were malformed"),
        ({}, {"max_in_flight": 2}, "2 sends in flight"),
        ({}, {"taken": 7}, "but 7 were taken"),
        ({}, {"taken": 9}, "but 9 were taken"),
    ],
)
def test_each_fault_is_found(counts: dict[str, int], ledger: dict[str, int], problem: str) -> None:
    found = judge(CAMPAIGN | ({"counts": counts} if counts else {}), 10, LEDGER | ledger)
    assert len(found) == 1
    assert problem in found[0]


def test_recipients_that_were_lost_on_the_way_in_are_found() -> None:
    assert judge(CAMPAIGN, 11, LEDGER) == ["11 recipients were given, the campaign has 10"]


def test_the_recipients_are_300_possible_but_fictional_numbers() -> None:
    phones = read_recipients(ROOT / "examples" / "recipients.csv")
    assert len(set(phones)) == 300
    # Ranges that the numbering authorities keep for fiction.
    assert {phone[:-2] for phone in phones} == {"+120255501", "+4477009001", "+4477009002"}
    assert all(is_possible_number(parse(phone)) for phone in phones)
    assert sum(phone.endswith("99") for phone in phones) == 3


@pytest.mark.parametrize(
    "written", [b"\xef\xbb\xbfphone,name\r\n+15550100001,Ana\r\n", b"name;phone\nAna;+15550100001\n"]
)
def test_recipients_as_a_spreadsheet_writes_them(written: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(written)
    assert read_recipients(tmp_path / "list.csv") == ["+15550100001"]


def test_a_list_without_phones_says_so(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("number\n+15550100001\n")
    with pytest.raises(ValueError, match="no column phone"):
        read_recipients(tmp_path / "list.csv")


def test_the_image_is_a_png(tmp_path: Path) -> None:
    assert (ROOT / "examples" / "offer.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
