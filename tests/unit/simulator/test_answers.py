"""Each send and each refusal is answered as GOWA v9.2 answers it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from aiohttp import FormData, MultipartWriter, encode_basic_auth

from .conftest import JPEG, PHONE, PNG, Gowa, Site, Start, content

SENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "message": ({"message": "hello"}, "Message sent to", "hello"),
    "contact": ({"contact_name": "Ana", "contact_phone": "15550100002"}, "Contact sent to", "👤 Ana"),
    "link": ({"link": "https://example.com/a", "caption": "read"}, "Link sent to", "🔗 read"),
    "location": ({"latitude": "-6.2", "longitude": "106.8"}, "Send location success", "📍 -6.2, 106.8"),
    "poll": ({"question": "When?", "options": ["now", "later"], "max_answer": 1}, "Send poll success", "📊 When?"),
    "image": ({"image_url": "SITE/a.png", "caption": "look"}, "Message sent to", "look"),
    "file": ({"file_url": "SITE/list.pdf"}, "Document sent to", "📄 list.pdf"),
    "video": ({"video_url": "SITE/a.mp4", "caption": "see"}, "Video sent to", "🎥 see"),
    "audio": ({"audio_url": "SITE/a.ogg", "ptt": True}, "Send audio success", "🎵 Audio"),
    "sticker": ({"sticker_url": "SITE/a.webp"}, "Sticker sent to", "🎨 Sticker"),
}


@pytest.mark.parametrize("kind", SENDS)
async def test_a_send_is_answered_with_an_id_and_stored(gowa: Gowa, site: Site, kind: str) -> None:
    given, says, stored = SENDS[kind]
    fields = {
        name: value.replace("SITE", site.url) if isinstance(value, str) else value for name, value in given.items()
    }
    status, envelope = await gowa.send(kind, phone=PHONE, **fields)
    assert status == 200
    assert envelope.keys() == {"code", "message", "results"}
    assert envelope["code"] == "SUCCESS"
    assert re.fullmatch(r"3EB0[0-9A-F]{18}", envelope["results"]["message_id"])
    assert envelope["message"] == envelope["results"]["status"]
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC"
    assert re.fullmatch(rf"{says} {re.escape(PHONE)} \(server timestamp: {when}\)", envelope["message"])
    (row,) = await gowa.stored()
    assert (row["id"], row["content"], row["is_from_me"]) == (envelope["results"]["message_id"], stored, True)
    line = await gowa.line()
    assert (line["malformed"], line["taken"], line["outcome"]) == ([], True, 200)
    assert line["fields"] == {"phone": PHONE, **fields}
    assert line["whatsapp_id"] == row["id"]


async def test_presence_has_constant_ids_and_is_counted_apart(gowa: Gowa) -> None:
    for action in ("start", "stop"):
        status, envelope = await gowa.send("chat-presence", phone=PHONE, action=action)
        assert (status, envelope["results"]["message_id"]) == (200, f"chat-presence-{action}")
    status, envelope = await gowa.send("presence", type="available")
    assert (status, envelope["results"]["message_id"]) == (200, "presence")
    summary = await gowa.summary()
    assert (summary["presence"], summary["sends"], summary["taken"], summary["malformed"]) == (3, 0, 0, 0)


RULES: list[tuple[str, dict[str, Any], str]] = [
    ("message", {"phone": "", "message": ""}, "message: cannot be blank; phone: cannot be blank."),
    ("message", {"phone": "08123456789", "message": "x"}, "international format"),
    ("message", {"phone": "+08123456789", "message": "x"}, "international format"),
    ("message", {"phone": PHONE, "message": "x", "duration": 3600}, "duration must be"),
    (
        "message",
        {"phone": PHONE, "message": "x", "mentions": ["08123456789"]},
        "mention 08123456789: phone number must",
    ),
    ("message", {"phone": PHONE, "message": "x", "mentions": ["15550100002", "+0"]}, "mention +0: phone number"),
    ("message", {"phone": PHONE, "message": "x", "mentions": [""]}, "mention : phone number must be in international"),
    ("image", {"phone": PHONE}, "either Image or ImageURL must be provided"),
    ("image", {"phone": PHONE, "image_url": ""}, "either Image or ImageURL must be provided"),
    ("image", {"phone": PHONE, "image_url": "no address"}, "ImageURL must be a valid URL"),
    ("file", {"phone": PHONE}, "either File or FileURL must be provided"),
    ("video", {"phone": PHONE, "video_url": "http://"}, "VideoURL must be a valid URL"),
    ("audio", {"phone": PHONE}, "either Audio or AudioURL must be provided"),
    ("sticker", {"phone": PHONE}, "either Sticker or StickerURL must be provided"),
    ("contact", {"phone": PHONE, "contact_name": "A"}, "contact_phone: cannot be blank."),
    ("contact", {"phone": PHONE, "contact_name": "A", "contact_phone": "0812"}, "contact phone number"),
    ("link", {"phone": PHONE, "link": "https://example.com"}, "caption: cannot be blank."),
    ("link", {"phone": PHONE, "link": "a b", "caption": "x"}, "link: must be a valid URL."),
    ("location", {"phone": PHONE, "latitude": "91", "longitude": "1"}, "latitude: must be a valid latitude."),
    ("location", {"phone": PHONE, "latitude": "1"}, "longitude: cannot be blank."),
    ("poll", {"phone": PHONE, "question": "?", "max_answer": 1}, "options: cannot be blank."),
    ("poll", {"phone": PHONE, "question": "?", "options": ["a"], "max_answer": 2}, "no greater than 1"),
    ("poll", {"phone": PHONE, "question": "?", "options": ["a", "a"], "max_answer": 1}, "options should be unique"),
    ("chat-presence", {"phone": PHONE, "action": "dance"}, "action: must be a valid value."),
    ("presence", {"type": "away"}, "type: must be a valid value."),
]


@pytest.mark.parametrize(("kind", "fields", "sentence"), RULES)
async def test_a_broken_rule_is_400_and_noted(gowa: Gowa, kind: str, fields: dict[str, Any], sentence: str) -> None:
    response = await gowa.client.post(f"/send/{kind}", json=fields)
    envelope = await response.json()
    assert (response.status, envelope["code"]) == (400, "VALIDATION_ERROR")
    assert sentence in envelope["message"]
    assert "results" not in envelope
    line = await gowa.line()
    assert line["malformed"]
    assert not line["taken"]


@pytest.mark.parametrize("duration", [0, 86_400, 604_800, 7_776_000])
async def test_the_four_disappearing_timers_pass(gowa: Gowa, duration: int) -> None:
    assert (await gowa.send(duration=duration))[0] == 200


@pytest.mark.parametrize(
    "mentions", [["15550100002"], ["@everyone"], ["bob"], ["+1 555 010 0002"], [], ["+15550100002"]]
)
async def test_other_mentions_pass_unchecked(gowa: Gowa, mentions: list[str]) -> None:
    assert (await gowa.send(mentions=mentions))[0] == 200


async def test_halves_of_surrogate_pairs_become_a_question_mark(gowa: Gowa) -> None:
    body = b'{"phone": "15550100001@s.whatsapp.net", "message": "a\\ud83d b\xff"}'
    response = await gowa.client.post("/send/message", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 200
    assert (await gowa.line())["fields"]["message"] == "a\ufffd b\ufffd"


UNBINDABLE: list[tuple[str, dict[str, Any], str]] = [
    (
        "message",
        {"phone": 15550100001, "message": "x"},
        'bind "BaseRequest.phone" from body: json: cannot unmarshal number',
    ),
    ("message", {"phone": PHONE, "message": "x", "duration": "86400"}, "duration"),
    ("message", {"phone": PHONE, "message": "x", "duration": 86400.5}, "duration"),
    ("message", {"phone": PHONE, "message": "x", "is_forwarded": "true"}, "is_forwarded"),
    ("message", {"phone": PHONE, "message": "x", "mentions": "15550100002"}, "mentions"),
    ("location", {"phone": PHONE, "latitude": 1.5, "longitude": "1"}, "latitude"),
    ("image", {"phone": PHONE, "image": "base64"}, "image"),
]


@pytest.mark.parametrize(("kind", "fields", "word"), UNBINDABLE)
async def test_json_of_the_wrong_type_is_500(gowa: Gowa, kind: str, fields: dict[str, Any], word: str) -> None:
    response = await gowa.client.post(f"/send/{kind}", json=fields)
    envelope = await response.json()
    assert (response.status, envelope["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert "from body" in envelope["message"]
    assert word in envelope["message"]
    assert (await gowa.line())["malformed"]


@pytest.mark.parametrize(
    ("body", "content_type", "sentence"),
    [
        (b"{", "application/json", 'bind "" from body: unexpected end of JSON input'),
        (b"[]", "application/json", "json: cannot unmarshal array into Go value of type send.MessageRequest"),
        (b"", "application/json", "unexpected end of JSON input"),
        (b'{"phone": 1,}', "application/json", "invalid character '}' looking for beginning of"),
        (b"{} x", "application/json", "invalid character 'x' after top-level value"),
        (b'{"phone": NaN}', "application/json", "invalid character 'N' looking for beginning of value"),
        (b"{}", "text/plain", "Unprocessable Entity"),
    ],
)
async def test_a_body_that_cannot_be_read_is_500(gowa: Gowa, body: bytes, content_type: str, sentence: str) -> None:
    response = await gowa.client.post("/send/message", data=body, headers={"Content-Type": content_type})
    envelope = await response.json()
    assert (response.status, envelope["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert sentence in envelope["message"]
    assert (await gowa.line())["malformed"]


async def test_names_match_in_any_case_and_unknown_ones_are_ignored(gowa: Gowa) -> None:
    response = await gowa.client.post("/send/message", json={"Phone": PHONE, "MESSAGE": "x", "reference": "r"})
    assert response.status == 200
    line = await gowa.line()
    assert line["fields"] == {"phone": PHONE, "message": "x"}
    assert "unknown field reference" in line["malformed"]


async def test_a_form_is_converted(gowa: Gowa) -> None:
    form = [("phone", PHONE), ("message", "x"), ("duration", "86400"), ("is_forwarded", "true")]
    form += [("mentions", "a"), ("mentions", "b,c")]
    response = await gowa.client.post("/send/message", data=form)
    assert response.status == 200
    line = await gowa.line()
    assert line["fields"]["mentions"] == ["a", "b,c"]
    assert (line["fields"]["duration"], line["fields"]["is_forwarded"], line["malformed"]) == (86400, True, [])


async def test_a_form_with_a_word_for_a_number_is_500(gowa: Gowa) -> None:
    response = await gowa.client.post("/send/message", data={"phone": PHONE, "message": "x", "duration": "soon"})
    assert response.status == 500


def upload(field: str, body: bytes | BytesIO, filename: str, content_type: str, **fields: str) -> FormData:
    form = FormData()
    for name, value in {"phone": PHONE, **fields}.items():
        form.add_field(name, value)
    form.add_field(field, body, filename=filename, content_type=content_type)
    return form


async def test_an_upload_is_hashed_and_not_kept(gowa: Gowa) -> None:
    body = JPEG + bytes(700_000)
    form = upload("image", body, "a.jpg", "image/jpeg", caption="look", view_once="true")
    response = await gowa.client.post("/send/image", data=form)
    assert response.status == 200
    line = await gowa.line()
    assert line["file"] == {
        "field": "image",
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert (line["fields"], line["malformed"]) == ({"phone": PHONE, "caption": "look", "view_once": True}, [])
    (row,) = await gowa.stored()
    assert (row["content"], row["media_type"], row["file_length"]) == ("look", "image", len(body))


UPLOADS = [
    ("image", "image", JPEG, "a.jpg", "image/webp", 400, "your image is not allowed"),
    ("image", "image", PNG, "a.png", "image/png", 200, "Message sent to"),
    ("image", "image", JPEG, "a.jpg", "image/jpeg", 200, "Message sent to"),
    ("image", "image", b"no image", "a.jpg", "image/jpeg", 500, "generation: image: unknown format. Possible"),
    (
        "image",
        "image",
        PNG[:8] + bytes(range(256)) * 3,
        "a.png",
        "image/png",
        500,
        "generation: unexpected EOF. Possible",
    ),
    ("image", "image", PNG[:8] + b"\xff" * 300, "a.png", "image/png", 500, "Bad chunk length: 4294967295"),
    ("image", "image", PNG[:50], "a.png", "image/png", 500, "png: invalid format: not enough pixel data"),
    ("image", "image", PNG[:30] + b"!" + PNG[31:], "a.png", "image/png", 500, "png: invalid format: invalid checksum"),
    ("image", "image", JPEG[:-2], "a.jpg", "image/jpeg", 500, "'statics/senditems/a.jpg' for thumbnail generation: un"),
    ("image", "image", b"\xff\xd8\xff\xd9" + bytes(9), "a.jpg", "image/jpeg", 500, "JPEG format: missing SOS marker"),
    ("image", "image", JPEG, "a.xyz", "image/jpeg", 500, "failed to save thumbnail"),
    ("image", "photo", JPEG, "a.jpg", "image/jpeg", 400, "either Image or ImageURL"),
    ("video", "video", b"x", "a.webm", "video/webm", 400, "your video type is not allowed"),
    ("audio", "audio", b"x", "a.ogg", "audio/ogg; codecs=opus", 400, "your audio type is not allowed"),
    ("audio", "audio", b"x", "a.ogg", "audio/ogg", 200, "Send audio success"),
    ("file", "file", b"x", "a.pdf", "application/pdf", 200, "Document sent to"),
    ("sticker", "sticker", b"x", "a.webp", "image/webp", 200, "Sticker sent to"),
]


@pytest.mark.parametrize(("kind", "field", "body", "filename", "content_type", "status", "sentence"), UPLOADS)
async def test_uploads_are_judged(
    gowa: Gowa, kind: str, field: str, body: bytes, filename: str, content_type: str, status: int, sentence: str
) -> None:
    with MultipartWriter("form-data") as writer:
        phone = writer.append(PHONE)
        phone.set_content_disposition("form-data", name="phone")
        part = writer.append(body, {"Content-Type": content_type})
        part.set_content_disposition("form-data", name=field, filename=filename)
    response = await gowa.client.post("/send/" + kind, data=writer)
    assert (response.status, sentence in (await response.json())["message"]) == (status, True)


async def test_a_document_over_50_mb_is_refused(gowa: Gowa) -> None:
    response = await gowa.client.post(
        "/send/file", data=upload("file", BytesIO(bytes(50_000_001)), "a.bin", "application/pdf")
    )
    assert (response.status, "max file upload is 50 MB" in await response.text()) == (400, True)


async def test_a_body_over_100_mb_is_413_in_plain_text_and_unread(gowa: Gowa) -> None:
    reader, writer = await asyncio.open_connection(gowa.client.host, gowa.client.port)
    head = "POST /send/file HTTP/1.1\r\nHost: simulator\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    writer.write(f"{head}Content-Length: 100000001\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\nRequest Entity Too Large")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Content-Type: text/plain" in answer
    assert (await gowa.line())["malformed"] == ["body over 100,000,000 bytes"]


async def test_whoever_is_still_writing_such_a_body_sees_a_reset(gowa: Gowa) -> None:
    _, writer = await asyncio.open_connection(gowa.client.host, gowa.client.port)
    head = "POST /send/file HTTP/1.1\r\nHost: simulator\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    writer.write(f"{head}Content-Length: 100000001\r\n\r\n".encode())

    async def write_on() -> None:
        for _ in range(400):
            writer.write(bytes(250_000))
            await writer.drain()

    with pytest.raises(ConnectionError):
        await write_on()
    writer.close()
    assert (await gowa.line())["outcome"] == "reset"


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=b", "application/json"])
async def test_a_body_without_a_length_is_counted_as_it_streams(
    start: Start, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    monkeypatch.setattr("simulator.binding.BODY_LIMIT", 1000)
    monkeypatch.setattr("simulator.app.BODY_LIMIT", 1000)
    gowa = await start()

    async def streamed() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        yield bytes(2000) + b"\r\n--b--\r\n"

    response = await gowa.client.post("/send/file", data=streamed(), headers={"Content-Type": content_type})
    assert (response.status, response.content_type) == (413, "text/plain")


PHONES = [
    ("15550100001", 200, "Message sent to 15550100001@s.whatsapp.net"),
    ("+15550100001", 200, "Message sent to +15550100001@s.whatsapp.net"),
    ("120363000000000001", 200, "120363000000000001@g.us"),
    ("+155501000012345", 200, "@g.us"),
    ("1 555 0100", 400, "Phone 1 555 0100@s.whatsapp.net is not on whatsapp"),
    ("15550100001:12@s.whatsapp.net", 500, "must be a user JID with no device part"),
]


@pytest.mark.parametrize(("phone", "status", "sentence"), PHONES)
async def test_a_careless_phone_is_bent_like_gowa_bends_it_and_noted(
    gowa: Gowa, phone: str, status: int, sentence: str
) -> None:
    answer, envelope = await gowa.send(phone=phone)
    assert (answer, sentence in envelope["message"]) == (status, True)
    assert "phone is not digits@s.whatsapp.net nor a group" in (await gowa.line())["malformed"]


async def test_a_group_and_a_person_are_well_formed(gowa: Gowa) -> None:
    for phone in (PHONE, "120363000000000001@g.us", "15550100001-1600000000@g.us"):
        assert (await gowa.send(phone=phone))[0] == 200
    assert (await gowa.summary())["malformed"] == 0


async def test_basic_auth(start: Start) -> None:
    gowa = await start(basic_auth=("user:pass", "other:word"))
    for headers in ({}, {"Authorization": encode_basic_auth("user", "wrong")}):
        response = await gowa.client.post("/send/message", json={"phone": PHONE, "message": "x"}, headers=headers)
        assert (response.status, response.content_type, await response.text()) == (401, "text/plain", "Unauthorized")
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Restricted", charset="UTF-8"'
    assert [line["malformed"] for line in await gowa.lines()] == [["wrong credentials"]] * 2
    broken = await gowa.client.get("/devices", headers={"Authorization": "Basic ###"})
    assert (broken.status, await broken.text()) == (400, "Bad Request")
    for name, word in (("user", "pass"), ("other", "word")):
        good = await gowa.client.get("/devices", headers={"Authorization": encode_basic_auth(name, word)})
        assert good.status == 200
    assert (await gowa.get("/health"))[1] == "OK"


async def test_device_selection(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    status, envelope = await gowa.send()
    assert (status, envelope["code"]) == (400, "DEVICE_ID_REQUIRED")
    status, envelope = await gowa.send(device="sales-9")
    assert (status, envelope["code"], envelope["results"]) == (404, "DEVICE_NOT_FOUND", {"device_id": "sales-9"})
    assert [line["malformed"] for line in await gowa.lines()] == [["device id missing"], ["unknown device"]]
    jid = (await gowa.results("/devices"))[1]["jid"]
    for device in ("sales-2", jid, jid.replace("@", ":32@")):
        assert (await gowa.send(device=device))[0] == 200
    by_query = await gowa.client.post("/send/message?device_id=sales-2", json={"phone": PHONE, "message": "x"})
    assert by_query.status == 200
    assert {line["device"] for line in await gowa.lines(since="2")} == {"sales-2"}


async def test_a_wrong_path_asks_for_the_device_first(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    assert (await gowa.get("/nowhere"))[0] == 400
    headers = {"X-Device-Id": "sales-1"}
    nowhere = await gowa.client.get("/nowhere", headers=headers)
    wrong_method = await gowa.client.get("/send/message", headers=headers)
    assert (nowhere.status, wrong_method.status) == (404, 405)
    assert wrong_method.content_type == "text/plain"


async def test_the_front_page_asks_for_no_device(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    response = await gowa.client.get("/")
    assert (response.status, response.content_type) == (200, "text/html")


async def test_the_advice_with_a_time_lock_is_long(gowa: Gowa) -> None:
    await gowa.mood("429-timelock")
    assert 550 < len((await gowa.send())[1]["message"]) < 650


async def test_device_pages(gowa: Gowa) -> None:
    (slot,) = await gowa.results("/devices")
    assert slot.keys() == {"id", "display_name", "state", "jid", "created_at"}
    assert (slot["id"], slot["state"]) == ("sales-1", "logged_in")
    assert await gowa.results("/devices/sales-1") == slot
    healthy = {"device_id": "sales-1", "is_connected": True, "is_logged_in": True}
    assert await gowa.results("/devices/sales-1/status") == healthy
    assert await gowa.results("/app/status") == {**healthy, "jid": slot["jid"]}
    assert (await gowa.results("/app/info"))["version"] == "v9.2.0"
    for path in ("/devices/none", "/devices/none/status"):
        assert (await gowa.get(path))[0] == 500
    reconnect = await gowa.client.post("/devices/sales-1/reconnect")
    assert await content(reconnect) == {"code": "SUCCESS", "message": "Reconnect requested"}
