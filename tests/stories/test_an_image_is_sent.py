"""An image is sent: uploaded once, sent to everybody byte for byte with all its fields, and deleted in the end."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from tests.stories.conftest import Paceline, phones

IMAGE = Path(__file__).parent.parent.parent / "examples" / "offer.png"


def _form(phone: str, **fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)  # names as browsers send them
    form.add_field("phone", phone)
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("image", IMAGE.read_bytes(), filename="offer für Ana.png", content_type="image/png")
    return form


async def test_an_image_is_sent(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2)
    form = _form(
        "15550100001",
        caption="Only today: 10 %\n– for you",
        view_once="true",
        compress="false",
        is_forwarded="true",
        duration="604800",
        reply_message_id="3EB0A1B2C3D4E5F60718",
    )
    accepted = await whole.call("POST", "/api/send/image", 202, data=form)
    await whole.message_in(accepted["message_id"], "sent")
    (send,) = await whole.sends()
    assert send["fields"] == {
        "phone": "15550100001@s.whatsapp.net",
        "caption": "Only today: 10 %\n– for you",
        "view_once": True,
        "compress": False,
        "is_forwarded": True,
        "duration": 604800,
        "reply_message_id": "3EB0A1B2C3D4E5F60718",
    }
    file = send["file"]
    assert file["sha256"] == hashlib.sha256(IMAGE.read_bytes()).hexdigest()
    assert file["filename"].endswith("-offer für Ana.png")
    assert file["content_type"] == "image/png"
    await whole.judge()


async def test_a_campaign_with_an_image(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=3, dispatchers=2)
    accepted = await whole.call(
        "POST", "/api/send/image", 202, data=_form(",".join(phones(30)), caption="for everybody")
    )
    campaign = await whole.campaign_in(accepted["campaign_token"], "finished")
    assert campaign["counts"]["sent"] == 30
    digest = hashlib.sha256(IMAGE.read_bytes()).hexdigest()
    sends = await whole.sends()
    assert {send["file"]["sha256"] for send in sends} == {digest}
    assert all("compress" not in send["fields"] for send in sends), "the sender's default holds where none was given"
    await whole.judge()
