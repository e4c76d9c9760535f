"""What the caller gave reaches the sender exactly; what is wrong is named."""

from typing import Any

import pytest

from services.gateway.intake.fields import Wish, form_values, read_wish, take_phones
from shared.endpoints.identity import Endpoint
from shared.messages import Kind, Lane, OnUnknown
from shared.runtime.envelope import InvalidInput

ENDPOINTS = {
    "aaa": Endpoint("aaa", "http://one:3000", ""),
    "bbb": Endpoint("bbb", "http://two:3000", "first"),
    "ccc": Endpoint("ccc", "http://two:3000", "second"),
}


def wish(kind: Kind, uploaded: bool = False, **values: Any) -> Wish:
    return read_wish(kind, values, ENDPOINTS, uploaded)


def wrong_fields(error: InvalidInput) -> list[str]:
    return [field for field, _ in error.errors]


def test_a_text_with_everything_is_kept_exactly() -> None:
    content = {
        "message": "  hello\n👋 ",
        "mentions": ["15550100002", "@everyone"],
        "reply_message_id": "3EB0A1B2C3D4E5F6071829",
        "is_forwarded": True,
        "duration": 86400,
    }
    assert wish(Kind.MESSAGE, **content).content == content


def test_an_image_with_everything_is_kept_exactly() -> None:
    content = {
        "caption": "",
        "image_url": "https://example.com/a.png",
        "view_once": True,
        "compress": False,
        "hd": False,
        "reply_message_id": "3EB0",
        "is_forwarded": False,
        "duration": 0,
    }
    assert wish(Kind.IMAGE, **content).content == content


def test_what_is_not_given_stays_out() -> None:
    assert wish(Kind.MESSAGE, message="hi", duration=None, reference="r", lane="bulk").content == {"message": "hi"}
    assert wish(Kind.FILE, uploaded=True).content == {}


def test_options_are_ours() -> None:
    known = wish(
        Kind.MESSAGE,
        message="hi",
        reference="order 1",
        endpoint="one:3000",
        on_unknown="hold",
        lane="bulk",
        expires_at="2100-01-01T00:00:00+07:00",
    )
    assert (known.reference, known.endpoint, known.on_unknown, known.lane) == (
        "order 1",
        "aaa",
        OnUnknown.HOLD,
        Lane.BULK,
    )
    assert known.expires_at is not None
    assert known.expires_at.isoformat() == "2099-12-31T17:00:00+00:00"


def test_nul_is_taken_out() -> None:
    assert wish(Kind.MESSAGE, message="a\x00b").content == {"message": "ab"}


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (Kind.MESSAGE, {}, "message"),
        (Kind.MESSAGE, {"message": ""}, "message"),
        (Kind.MESSAGE, {"message": " \n"}, "message"),
        (Kind.MESSAGE, {"message": "\x00"}, "message"),
        (Kind.MESSAGE, {"message": "x" * 65_537}, "message"),
        (Kind.MESSAGE, {"message": 5}, "message"),
        (Kind.MESSAGE, {"message": "a\ud800"}, "message"),
        (Kind.MESSAGE, {"message": "x", "duration": 60}, "duration"),
        (Kind.MESSAGE, {"message": "x", "duration": True}, "duration"),
        (Kind.MESSAGE, {"message": "x", "duration": "86400"}, "duration"),
        (Kind.MESSAGE, {"message": "x", "is_forwarded": "true"}, "is_forwarded"),
        (Kind.MESSAGE, {"message": "x", "mentions": "15550100002"}, "mentions"),
        (Kind.MESSAGE, {"message": "x", "mentions": [1]}, "mentions.0"),
        (Kind.MESSAGE, {"message": "x", "mentions": ["15550100002", "bob"]}, "mentions.1"),
        (Kind.MESSAGE, {"message": "x", "mentions": ["0812 3456 7890"]}, "mentions.0"),
        (Kind.MESSAGE, {"message": "x", "mentions": ["15550100002,15550100003"]}, "mentions.0"),
        (Kind.MESSAGE, {"message": "x", "caption": "y"}, "caption"),
        (Kind.MESSAGE, {"message": "x", "send_at": "2100-01-01"}, "send_at"),
        (Kind.MESSAGE, {"message": "x", "endpoint": "nowhere"}, "endpoint"),
        (Kind.MESSAGE, {"message": "x", "endpoint": "http://two:3000"}, "endpoint"),
        (Kind.MESSAGE, {"message": "x", "on_unknown": "maybe"}, "on_unknown"),
        (Kind.MESSAGE, {"message": "x", "lane": "fast"}, "lane"),
        (Kind.MESSAGE, {"message": "x", "expires_at": "9999-12-31T23:59:59-23:00"}, "expires_at"),
        (Kind.MESSAGE, {"message": "x", "expires_at": "2100-01-01T00:00:00"}, "expires_at"),
        (Kind.MESSAGE, {"message": "x", "expires_at": "tomorrow"}, "expires_at"),
        (Kind.IMAGE, {}, "image"),
        (Kind.IMAGE, {"image": "aGVsbG8="}, "image"),
        (Kind.IMAGE, {"image_url": "https://example.com/a.png", "message": "x"}, "message"),
        (Kind.FILE, {}, "file"),
        (Kind.FILE, {"file_url": "https://example.com/a.pdf", "view_once": True}, "view_once"),
    ],
)
def test_what_is_wrong_is_named(kind: Kind, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        wish(kind, **values)
    assert wrong_fields(caught.value) == [field]


def test_upload_and_address_exclude_each_other() -> None:
    with pytest.raises(InvalidInput) as caught:
        wish(Kind.IMAGE, uploaded=True, image_url="https://example.com/a.png")
    assert wrong_fields(caught.value) == ["image_url"]


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("ON", True), ("false", False), ("0", False), ("off", False)]
)
def test_booleans_of_forms(text: str, value: bool) -> None:
    assert form_values({"view_once": [text]}) == {"view_once": value}


def test_forms_become_what_json_has() -> None:
    assert form_values(
        {
            "message": [""],
            "caption": [""],
            "duration": ["86400"],
            "compress": [""],
            "reply_message_id": [""],
            "mentions": ["15550100001", '["15550100002"]', ""],
        }
    ) == {"message": "", "caption": "", "duration": 86400, "mentions": ["15550100001", "15550100002"]}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("view_once", ["yes"]),
        ("duration", ["1e3"]),
        ("duration", ["²"]),
        ("caption", ["a", "b"]),
        ("mentions", ["[1"]),
    ],
)
def test_forms_that_cannot_be_read_are_named(name: str, given: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        form_values({name: given})
    assert wrong_fields(caught.value) == [name]


@pytest.mark.parametrize(
    ("given", "form", "phones"),
    [
        ("15550100001", False, ["15550100001"]),
        ("15550100001,15550100002", False, ["15550100001", "15550100002"]),
        (["15550100001", 5], False, ["15550100001", 5]),
        (["15550100001,15550100002", "15550100003"], True, ["15550100001", "15550100002", "15550100003"]),
        (['["15550100001", "15550100002"]'], True, ["15550100001", "15550100002"]),
    ],
)
def test_phones_in_every_form(given: Any, form: bool, phones: list[object]) -> None:
    fields = {"phone": given, "message": "hi"}
    assert take_phones(fields, form, 10) == phones
    assert fields == {"message": "hi"}


@pytest.mark.parametrize("given", [None, "", [], 5, {"a": 1}, ",", ["1"] * 11])
def test_no_phones_or_too_many(given: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        take_phones({"phone": given}, False, 10)
    assert wrong_fields(caught.value) == ["phone"]
