"""Every default of a message to come is decided in one place, out of what was asked, the settings and the clock."""

from __future__ import annotations

from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.gateway.intake.asked import Asked
from services.gateway.intake.drafts import bound_to_original, draft_of, plan, rules_of
from services.gateway.intake.fields import Wish
from services.gateway.intake.phones import read_recipients
from services.gateway.intake.uploads import Upload
from shared.database.messages import Draft
from shared.messages import Kind, Lane, OnUnknown
from shared.runtime.envelope import InvalidInput
from tests.unit.services.gateway.settings import settings

NOW = datetime(2031, 5, 17, 9, 30, tzinfo=UTC)
TICK = timedelta(microseconds=1)
RULES = rules_of(
    settings(
        on_unknown_transactional="resend",
        on_unknown_bulk="hold",
        transactional_expires_after="2h",
        bulk_expires_after="3d",
        default_region="ID",
    )
)
ONE, TWO = RULES.endpoints
CONTENT = {"message": "hi"}


def draft(default: Lane = Lane.TRANSACTIONAL, **wanted: Any) -> Draft:
    return draft_of(Kind.MESSAGE, Wish(CONTENT, **wanted), default, RULES, NOW)


def asked(*phones: str, kind: Kind = Kind.MESSAGE, upload: Upload | None = None, **values: Any) -> Asked:
    return Asked(kind, read_recipients(phones, "ID"), values, upload, [])


def refused(wrong: Asked) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        plan(wrong, RULES, NOW)
    return caught.value.errors


@pytest.mark.parametrize(
    ("lane", "wanted", "taken", "on_unknown", "expires_after"),
    [
        (Lane.TRANSACTIONAL, None, Lane.TRANSACTIONAL, OnUnknown.RESEND, 7_200.0),
        (Lane.BULK, None, Lane.BULK, OnUnknown.HOLD, 259_200.0),
        (Lane.TRANSACTIONAL, Lane.BULK, Lane.BULK, OnUnknown.HOLD, 259_200.0),
        (Lane.BULK, Lane.TRANSACTIONAL, Lane.TRANSACTIONAL, OnUnknown.RESEND, 7_200.0),
    ],
)
def test_the_lane_that_is_taken_brings_its_defaults(
    lane: Lane, wanted: Lane | None, taken: Lane, on_unknown: OnUnknown, expires_after: float
) -> None:
    assert draft(lane, lane=wanted) == Draft(
        kind=Kind.MESSAGE, lane=taken, content=CONTENT, on_unknown=on_unknown, expires_after=expires_after
    )


def test_what_the_caller_chose_goes_before_the_defaults() -> None:
    expires_at = NOW + timedelta(hours=1)
    found = draft(on_unknown=OnUnknown.HOLD, endpoint=TWO, reference="order 7", expires_at=expires_at)
    assert (found.on_unknown, found.endpoint, found.reference, found.expires_at, found.send_at, found.media) == (
        OnUnknown.HOLD,
        TWO,
        "order 7",
        expires_at,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("ahead", "begins"),
    [
        (timedelta(seconds=-60), False),
        (timedelta(0), False),
        (TICK, True),
        (timedelta(days=366), True),
    ],
)
def test_a_send_for_this_minute_is_one_for_now(ahead: timedelta, begins: bool) -> None:
    assert draft(send_at=NOW + ahead).send_at == (NOW + ahead if begins else None)


@pytest.mark.parametrize(
    ("send_at", "expires_at", "field", "reason"),
    [
        (timedelta(seconds=-60) - TICK, None, "send_at", "more than 60 seconds in the past"),
        (timedelta(days=366) + TICK, None, "send_at", "more than 366 days ahead"),
        (None, timedelta(0), "expires_at", "in the past"),
        (timedelta(hours=1), -TICK, "expires_at", "in the past"),
        (timedelta(hours=1), timedelta(hours=1), "expires_at", "after send_at"),
        (timedelta(hours=1), timedelta(hours=1) - TICK, "expires_at", "after send_at"),
    ],
)
def test_times_that_cannot_be(send_at: timedelta | None, expires_at: timedelta | None, field: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        draft(
            send_at=None if send_at is None else NOW + send_at,
            expires_at=None if expires_at is None else NOW + expires_at,
        )
    assert [name for name, _ in caught.value.errors] == [field]


@pytest.mark.parametrize("send_at", [None, timedelta(seconds=-1), timedelta(hours=1) - TICK])
def test_times_that_just_can_be(send_at: timedelta | None) -> None:
    expires_at = NOW + (TICK if send_at is None or send_at < timedelta(0) else timedelta(hours=1))
    assert draft(send_at=send_at and NOW + send_at, expires_at=expires_at).expires_at == expires_at


def test_moments_are_compared_in_whatever_zone_they_are_written() -> None:
    later = (NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-11)))
    assert draft(send_at=later, expires_at=later + TICK).send_at == later


def test_several_recipients_are_a_campaign_and_one_is_not() -> None:
    recipients, found = plan(asked("15550100001", "15550100002", **CONTENT), RULES, NOW)
    assert (recipients.several, found.lane) == (True, Lane.BULK)
    recipients, found = plan(asked("15550100001", **CONTENT), RULES, NOW)
    assert (recipients.several, found.lane) == (False, Lane.TRANSACTIONAL)
    # Given twice they were several, though one person is left.
    recipients, found = plan(asked("15550100001", "+1 555 010 0001", **CONTENT), RULES, NOW)
    assert (len(recipients.accepted), found.lane) == (1, Lane.BULK)


def test_a_list_of_which_some_can_be_sent_to_is_planned() -> None:
    recipients, _ = plan(asked("15550100001", "nobody", **CONTENT), RULES, NOW)
    assert (recipients.accepted, len(recipients.rejected)) == (["15550100001@s.whatsapp.net"], 1)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    wrong = asked("nobody", "0", message="hi", expires_at="2001-01-01T00:00:00Z")
    assert [field for field, _ in refused(changed(wrong, errors=[("mentions", "of the form")]))] == [
        "mentions",
        "phone",
        "phone",
        "expires_at",
    ]
    assert [field for field, _ in refused(asked("nobody", messages="hi"))] == ["phone", "message", "messages"]


def test_of_a_long_list_of_nobody_a_hundred_are_named() -> None:
    assert len(refused(asked(*["nobody"] * 101, **CONTENT))) == 100


@pytest.mark.parametrize("part", ["recipients", "values"])
def test_what_could_not_be_read_is_no_plan(part: str) -> None:
    unread = changed(asked("15550100001", **CONTENT), errors=[("phone", "it could not be read")], **{part: None})
    assert refused(unread) == [("phone", "it could not be read")]


def test_an_upload_takes_the_place_of_an_address() -> None:
    upload = Upload("image", Path("a.upload"), "a.png", "image/png", 1, b"")
    _, found = plan(asked("15550100001", kind=Kind.IMAGE, upload=upload, caption="x"), RULES, NOW)
    assert (found.kind, found.content) == (Kind.IMAGE, {"caption": "x"})
    assert refused(asked("15550100001", kind=Kind.IMAGE, caption="x")) == [
        ("image", "it is required: upload a file, or give image_url")
    ]


def test_what_was_asked_stays_as_it_was() -> None:
    values = {"caption": "x", "image": None, "image_url": "https://example.com/a.png"}
    given = asked("15550100001", kind=Kind.IMAGE, **values)
    plan(given, RULES, NOW)
    assert given.values == values


@pytest.mark.parametrize(
    ("chosen", "having", "taken"),
    [
        (None, [], None),
        (None, [TWO], TWO),
        (None, [TWO, ONE], TWO),
        (None, ["gone", ONE], ONE),
        (None, ["gone"], None),
        (ONE, [], ONE),
        (ONE, ["gone"], ONE),
        (ONE, [TWO, ONE], ONE),
    ],
)
def test_an_answer_goes_through_an_account_that_can_quote(
    chosen: str | None, having: list[str], taken: str | None
) -> None:
    before = draft(endpoint=chosen)
    assert bound_to_original(before, having, RULES) == replace(before, endpoint=taken)


def test_an_account_that_cannot_quote_is_refused_with_the_one_that_can() -> None:
    with pytest.raises(InvalidInput, match=f"only {TWO} can quote") as caught:
        bound_to_original(draft(endpoint=ONE), [TWO], RULES)
    assert [field for field, _ in caught.value.errors] == ["reply_message_id", "endpoint"]
