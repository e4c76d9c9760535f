"""The table of the kinds of message, and that those who read it have what it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from services.gateway.api_routes import ROUTES
from services.gateway.send_requests import FIELDS_OF, OPTIONS
from services.gateway.settings import GatewaySettings
from services.scheduler.storage_match import comparable, stored_contents
from shared.media.file_types import FAMILIES
from shared.messages import KINDS, Kind
from shared.messages.kinds import FILE_NAME, Traits, fields_in, stored_row
from shared.settings import EndpointSettings, UnknownSettings
from simulator.rules import KINDS as SENDER_KINDS

EVERY = pytest.mark.parametrize("kind", Kind)


def test_every_kind_has_an_entry_and_a_model() -> None:
    assert set(KINDS) == set(Kind)
    assert set(FIELDS_OF) == set(Kind)


@EVERY
def test_its_path_and_part_are_the_senders(kind: Kind) -> None:
    sender = SENDER_KINDS[KINDS[kind].path.removeprefix("/send/")]
    file = KINDS[kind].file
    assert sender.file == (file.part if file else None)
    ours = {file.name_field} if file else set()
    assert set(FIELDS_OF[kind].model_fields) - OPTIONS - ours == set(sender.fields) - {"phone"}


@EVERY
def test_the_fields_that_it_names_are_in_its_model(kind: Kind) -> None:
    traits = KINDS[kind]
    named = {name for row in traits.stored for text in row for name in fields_in(text)} - {FILE_NAME}
    if traits.file is not None:
        named |= {traits.file.url, traits.file.name_field} - {""}
        assert set(traits.file.formats) <= FAMILIES.keys()
        assert traits.file.by_sender is None or traits.file.by_sender.families <= FAMILIES.keys()
    assert named <= FIELDS_OF[kind].model_fields.keys()


def test_a_field_of_one_name_holds_the_same_in_every_kind() -> None:
    """A form's fields are read by their names alone."""
    held: dict[str, set[str]] = {}
    for model in FIELDS_OF.values():
        for name, field in model.model_fields.items():
            held.setdefault(name, set()).add(str(field.annotation))
    assert {name: types for name, types in held.items() if len(types) > 1} == {}


@EVERY
def test_it_has_a_route(kind: Kind) -> None:
    (route,) = [route for route in ROUTES if route.path == f"/api/send/{kind.value}"]
    file = KINDS[kind].file
    fields = route.bodies["multipart/form-data"].model_fields
    assert set(fields) == {*FIELDS_OF[kind].model_fields, "phone", *([file.part] if file else [])}
    assert (507 in route.errors) is (file is not None)


def test_its_upload_has_a_limit_of_its_own() -> None:
    settings = GatewaySettings.model_construct(max_image_size=1, max_file_size=2)
    assert [settings.upload_limit(kind) for kind in Kind] == [0, 1, 2]


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> dict[Kind, Traits]:
    """A table that a test may change."""
    table = dict(KINDS)
    for module in ("shared.messages.kinds", "shared.settings.sending", "services.scheduler.storage_match"):
        monkeypatch.setattr(f"{module}.KINDS", table)
    return table


def test_an_unknown_outcome_of_every_kind_is_looked_up() -> None:
    assert set(UnknownSettings().check_seconds()) == set(Kind)


def test_a_kind_that_takes_the_sender_longer_is_waited_for_longer(kinds: dict[Kind, Traits]) -> None:
    endpoint = EndpointSettings(whatsapp_base_url="http://unused", whatsapp_text_timeout=timedelta(seconds=70))
    unknown = UnknownSettings()
    before = endpoint.request_seconds(Kind.IMAGE), unknown.check_seconds()
    assert endpoint.longest_request_seconds() == before[0]
    kinds[Kind.IMAGE] = replace(KINDS[Kind.IMAGE], extra_seconds=120)
    assert endpoint.request_seconds(Kind.IMAGE) == endpoint.longest_request_seconds() == before[0] + 120
    assert unknown.check_seconds() == before[1] | {"image": before[1]["image"] + 120}


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ({"caption": "prices"}, 0),
        ({"caption": " "}, 1),
        ({"caption": None}, 1),
        ({}, 1),
    ],
)
def test_the_first_row_holds_whose_fields_are_given(content: Mapping[str, object], row: int) -> None:
    assert stored_row(Kind.FILE, content) == KINDS[Kind.FILE].stored[row]


@pytest.mark.parametrize(
    ("stored", "content", "found"),
    [
        ((("📍 {latitude}, {longitude}",),), {"latitude": "0", "longitude": "12.5"}, "📍 0, 12.5"),
        ((("🎥 {caption}",), ("🎥 Video",)), {}, "🎥 Video"),
        ((("👤 {contact_name}",),), {"contact_name": "{message} {0}"}, "👤 {message} {0}"),
    ],
)
def test_what_kinds_to_come_are_stored_as(
    kinds: dict[Kind, Traits], stored: tuple[tuple[str, ...], ...], content: dict[str, str], found: str
) -> None:
    kinds[Kind.MESSAGE] = replace(KINDS[Kind.MESSAGE], stored=stored)
    assert stored_contents(Kind.MESSAGE, content, "", ()) == {comparable(found)}


def test_a_kind_whose_label_nobody_knows_is_not_told_to_be_absent(kinds: dict[Kind, Traits]) -> None:
    kinds[Kind.MESSAGE] = replace(KINDS[Kind.MESSAGE], stored=())
    assert stored_contents(Kind.MESSAGE, {"message": "hello"}, "", ()) is None
