"""Against a sender that is not ours: the standard library's HTTP server, which knows Content-Length and nothing fancy.

It shares no code with Paceline, aiohttp or the simulator, so what it receives is what any server would.
"""

from __future__ import annotations

import asyncio
import base64
import email.parser
import email.policy
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers import StartService

IMAGE = Path(__file__).parent.parent.parent / "examples" / "offer.png"
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 3000 + b"%%EOF"
LOGIN = "sender:s3cret"


@dataclass
class ForeignSender:
    """``received``: (path, device, fields, files as {name: (filename, content type, bytes)})."""

    url: str = ""
    received: list[tuple[str, str | None, dict[str, Any], dict[str, tuple[str, str, bytes]]]] = field(
        default_factory=list
    )
    in_flight: dict[str | None, int] = field(default_factory=dict)
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], dict[str, tuple[str, str, bytes]]]:
    if content_type.startswith("application/json"):
        return json.loads(body), {}
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields, files = {}, {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        filename = part.get_filename()
        if filename is None:
            fields[str(name)] = content.decode()
        else:
            files[str(name)] = (filename, part.get_content_type(), content)
    return fields, files


@pytest.fixture
def sender() -> Iterator[ForeignSender]:
    state = ForeignSender()
    right = "Basic " + base64.b64encode(LOGIN.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            length = self.headers["Content-Length"]
            body = self.rfile.read(int(length))
            if self.headers.get("Authorization") != right:
                return self._answer(401, {"code": "AUTHENTICATION_ERROR", "message": "no"})
            device = self.headers.get("X-Device-Id")
            if self.path.endswith("presence"):
                return self._answer(200, {"code": "SUCCESS", "message": "ok", "results": {"message_id": "presence"}})
            with state.lock:
                state.in_flight[device] = state.in_flight.get(device, 0) + 1
                state.most_in_flight = max(state.most_in_flight, state.in_flight[device])
                number = len(state.received)
                state.received.append((self.path, device, *_parts(self.headers["Content-Type"], body)))
            with state.lock:
                state.in_flight[device] -= 1
            results = {"message_id": f"3EB0{number:018X}", "status": "sent"}
            return self._answer(200, {"code": "SUCCESS", "message": "sent", "results": results})

        def do_GET(self) -> None:
            self._answer(404, {"code": "NOT_FOUND", "message": "no such route"})

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/base"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


async def test_no_field_is_lost_and_images_arrive_byte_for_byte(
    sender: ForeignSender, start_service: StartService, service_environment: dict[str, str]
) -> None:
    service_environment |= {
        "WHATSAPP_ENDPOINTS": f"{sender.url},{sender.url}",
        "WHATSAPP_AUTHS": f"{LOGIN},{LOGIN}",
        "WHATSAPP_DEVICE_IDS": "one,two+three",
        "RATE_LIMIT_DELAY_MIN": "10ms",
        "RATE_LIMIT_DELAY_MAX": "20ms",
        "TYPING_DELAY_MIN": "10ms",
        "TYPING_DELAY_MAX": "20ms",
        "NATURAL_BREAK_INTERVAL": "0",
    }
    gateway, _, _ = await asyncio.gather(
        *(start_service(f"services.{name}") for name in ("gateway", "scheduler", "dispatcher"))
    )
    login = aiohttp.encode_basic_auth(
        service_environment["DASHBOARD_USERNAME"], service_environment["DASHBOARD_PASSWORD"]
    )
    text = {
        "message": "Grüße 👋",
        "reply_message_id": "3EB0A1B2C3D4E5F60718",
        "is_forwarded": False,
        "duration": 7776000,
        "mentions": ["15550100099"],
    }
    phones = [f"1555010{number:04d}" for number in range(20)]
    async with aiohttp.ClientSession(headers={"Authorization": login}) as session:

        async def post(path: str, **options: Any) -> dict[str, Any]:
            async with session.post(gateway.url + path, **options) as response:
                assert response.status == 202, await response.text()
                results: dict[str, Any] = (await response.json())["results"]
                return results

        await post("/api/send/message", json={"phone": "15550109999", **text})
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("phone", ",".join(phones))
        form.add_field("caption", "today;\r\nonly")
        form.add_field("view_once", "false")
        form.add_field("compress", "false")
        form.add_field("image", IMAGE.read_bytes(), filename="Ana's offer.png", content_type="image/png")
        token = (await post("/api/send/image", data=form))["campaign_token"]
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("phone", "15550109998")
        form.add_field(
            "file",
            PDF,
            filename="menu.pdf",
            content_type="application/pdf",
        )
        await post("/api/send/file", data=form)

        async def finished() -> bool:
            async with session.get(f"{gateway.url}/api/campaigns/{token}") as response:
                return bool((await response.json())["results"]["status"] == "finished")

        while not (await finished() and len(sender.received) == 22):  # noqa: ASYNC110 - polled over HTTP
            await asyncio.sleep(0.05)

    by_kind: dict[str, list[tuple[str | None, dict[str, Any], dict[str, tuple[str, str, bytes]]]]] = {}
    for path, device, fields, files in sender.received:
        by_kind.setdefault(path, []).append((device, fields, files))
    ((_, fields, _),) = by_kind["/base/send/message"]
    assert fields == {"phone": "15550109999@s.whatsapp.net", **text}
    ((_, fields, files),) = by_kind["/base/send/file"]
    assert fields == {"phone": "15550109998@s.whatsapp.net"}
    assert files == {"file": ("menu.pdf", "application/pdf", PDF)}
    images = by_kind["/base/send/image"]
    assert sorted(fields["phone"] for _, fields, _ in images) == [f"{phone}@s.whatsapp.net" for phone in phones]
    for _, fields, files in images:
        assert fields | {"phone": ""} == {
            "phone": "",
            "caption": "today;\r\nonly",
            "view_once": "false",
            "compress": "false",
        }
        name, *rest = files["image"]
        assert name.endswith("-Ana's offer.png")
        assert rest == ["image/png", IMAGE.read_bytes()]
    assert {device for _, device, _, _ in sender.received} == {"one", "two%2Bthree"}
    assert sender.most_in_flight == 1
