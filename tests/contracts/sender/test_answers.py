"""The simulator as a process of its own answers every request of the table as GOWA does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.pictures import png

ROWS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "answers.toml").read_text())["row"]
PHONE = "15550100001@s.whatsapp.net"
LOGINS = "user:pass,other:word"
PICTURE = png()
FILES = {"png": PICTURE, "broken": PICTURE[:8] + bytes(range(256)) * 3, "text": b"not at all a picture"}
FIELDS = {
    "says",
    "seen",
    "given",
    "ask",
    "login",
    "device",
    "headers",
    "json",
    "form",
    "multipart",
    "raw",
    "status",
    "code",
    "message",
    "results",
    "result",
    "absent",
    "header",
}


class _Site(BaseHTTPRequestHandler):
    """What addresses in messages point to."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif path.startswith("/404/"):
            self.send_error(404)
        elif path == "/short.pdf":
            self._give("application/pdf", b"%PDF", length=100)
        else:
            self._give(*_PAGES[path])

    def _give(self, content_type: str, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


_PAGES = {
    "/a.png": ("image/png", PICTURE),
    "/broken.png": ("image/png", PICTURE[:40]),
    "/bytes.png": ("application/octet-stream", PICTURE),
    "/anim.gif": ("image/gif", b"GIF89a"),
    "/picture": ("image/png", PICTURE),
    "/page.png": ("text/html", b"<p>sign in"),
}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Its address. The environment is its own, so that no setting of the machine changes an answer."""
    arguments = ("--listen", "127.0.0.1:0", "--devices", "sales-1,sales-2", "--basic-auth", LOGINS)
    instant = ("--latency", "0", "--storage-delay", "0", "--lookup-limit", "10ms")
    process = subprocess.Popen(
        (sys.executable, "-m", "simulator", *arguments, *instant),
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("SIMULATOR_")},
    )
    assert process.stdout is not None
    yield process.stdout.readline().removeprefix("simulator ready on ").strip()
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
async def session(simulator: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a simulator as it was at its start, stored chats apart."""
    async with aiohttp.ClientSession(simulator) as session:
        await _steer(session, "POST", "/simulator/restart", {"boot_ms": 0})
        await _steer(session, "PUT", "/simulator/mood", {"mood": "ok"})
        await _steer(session, "PUT", "/simulator/numbers", {"not_on_whatsapp": [], "lookup_fails": {}})
        await _steer(session, "PUT", "/simulator/groups", {"members": {}, "missing": []})
        yield session


async def _steer(session: aiohttp.ClientSession, method: str, path: str, content: Any) -> Any:
    async with session.request(method, path, json=content) as response:
        assert response.status == 200, await response.text()
        return await response.json()


def _filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {name: _filled(element, names) for name, element in value.items()}
    return [_filled(element, names) for element in value] if isinstance(value, list) else value


def _multipart(fields: dict[str, Any]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("phone", fields.get("phone", PHONE))
    for name, value in fields.items():
        if isinstance(value, dict):
            form.add_field(name, FILES[value["file"]], filename=value["filename"], content_type=value["type"])
        elif name != "phone":
            form.add_field(name, value, content_type="text/plain")
    return form


def _body(row: dict[str, Any]) -> dict[str, Any]:
    if "json" in row:
        return {"json": {"phone": PHONE, **row["json"]}}
    if "form" in row:
        return {"data": {"phone": PHONE, **row["form"]}}
    if "multipart" in row:
        return {"data": _multipart(row["multipart"])}
    return {"data": row["raw"].encode()} if "raw" in row else {}


def _headers(row: dict[str, Any]) -> dict[str, str]:
    login, device = row.get("login", "user:pass"), row.get("device", "sales-1")
    headers = {} if not login else {"Authorization": aiohttp.encode_basic_auth(*login.split(":"))}
    if device:
        headers["X-Device-Id"] = device
    return {**headers, **row.get("headers", {})}


@pytest.mark.parametrize("row", ROWS, ids=[row["says"] for row in ROWS])
async def test_the_stand_in_answers_as_gowa_does(
    session: aiohttp.ClientSession, site: str, row: dict[str, Any]
) -> None:
    devices = await _steer(session, "GET", "/simulator/devices", None)
    asked = _filled(row, {"site": site, "own": devices["sales-1"]["jid"].partition("@")[0]})
    for method, path, content in asked.get("given", []):
        await _steer(session, method, path, content)
    method, _, path = asked["ask"].partition(" ")
    async with session.request(method, path, headers=_headers(asked), **_body(asked)) as response:
        text = await response.text()
        assert response.status == row["status"], text
        for name, value in row.get("header", {}).items():
            assert response.headers[name] == value
        if "code" in row:
            _check_envelope(asked, await response.json())
        else:
            assert not response.content_type.endswith("json")
            assert re.search(row["message"], text), text


def _check_envelope(row: dict[str, Any], envelope: dict[str, Any]) -> None:
    assert envelope["code"] == row["code"]
    assert envelope.keys() <= {"code", "message", "results"}
    assert re.search(row.get("message", ""), envelope["message"]), envelope["message"]
    results = envelope.get("results", {})
    if isinstance(results, list):
        results = results[0]
    assert set(row.get("results", [])) <= results.keys()
    assert {name: results.get(name) for name in row.get("result", {})} == row.get("result", {})
    assert not results.keys() & set(row.get("absent", []))
    if row["status"] >= 400 and "result" not in row:
        assert "results" not in envelope


def test_the_table_is_whole() -> None:
    assert len(ROWS) >= 110
    assert not [says for says, count in Counter(row["says"] for row in ROWS).items() if count > 1]
    for row in ROWS:
        assert row.keys() <= FIELDS, row["says"]
        assert row["seen"] in {"wire", "code"}
        # A refusal is told by its words, too.
        assert row["status"] == 200 or "message" in row or "code" in row
