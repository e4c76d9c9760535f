"""Who may call: a login for everything but what tells of life, and nothing that a foreign page makes a browser send."""

from __future__ import annotations

import re

import aiohttp
import pytest

from shared.runtime.login_throttle import FAILURES
from tests.integration.gateway.conftest import Client, StartGateway

OPEN = {"/health", "/ready", "/metrics"}
SIGNED = {"/api/webhooks/gowa"}
"""No login, but a signature."""
TEXT = {"phone": "15550100001", "message": "hi"}
FRIEND = "https://app.example.com"


async def test_every_route_wants_a_login_but_the_open_ones(start_gateway: StartGateway) -> None:
    client = await start_gateway(login=False, whatsapp_webhook_secret="a secret of ours")
    for route in client.server.app.router.routes():
        assert route.resource is not None
        path = re.sub(r"{\w+}", "x", route.resource.canonical)
        response = await client.request(route.method, path)
        if path in OPEN:
            assert response.status == 200, path
            continue
        assert response.status == 401, path
        if path in SIGNED:
            continue
        assert response.headers["WWW-Authenticate"].startswith('Basic realm="Paceline"')
        if route.method != "HEAD":
            assert (await response.json())["code"] == "AUTHENTICATION_ERROR"
    assert (await client.get("/there/is/none")).status == 401


@pytest.mark.parametrize(
    "authorization",
    [
        aiohttp.encode_basic_auth("tester", "wrong"),
        aiohttp.encode_basic_auth("somebody", "else"),
        aiohttp.encode_basic_auth("tester", ""),
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "",
    ],
)
@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_wrong_login(gateway: Client, authorization: str) -> None:
    response = await gateway.post("/api/send/message", json=TEXT, headers={"Authorization": authorization})
    assert response.status == 401


async def test_a_job_with_an_old_password_locks_nobody_out(start_gateway: StartGateway) -> None:
    client = await start_gateway()
    old = {"Authorization": aiohttp.encode_basic_auth("tester", "of last year")}
    for _ in range(3 * FAILURES):
        assert (await client.get("/api/rate-profile", headers=old)).status == 401
    assert (await client.get("/api/rate-profile")).status == 200
    for number in range(FAILURES):
        guess = {"Authorization": aiohttp.encode_basic_auth("tester", f"guess {number}")}
        await client.get("/api/rate-profile", headers=guess)
    assert (await client.get("/api/rate-profile")).status == 429, "a right one would be a guess that was answered"
    assert (await client.get("/api/rate-profile", headers=old)).status == 401, "which it has been told before"


async def test_clients_behind_a_proxy_that_writes_ports_are_many(start_gateway: StartGateway) -> None:
    client = await start_gateway()
    for number in range(FAILURES + 1):
        headers = {
            "Authorization": aiohttp.encode_basic_auth("tester", f"guess {number}"),
            "X-Forwarded-For": f"203.0.113.9:{5000 + number}",
        }
        guessed = await client.get("/api/rate-profile", headers=headers)
    assert guessed.status == 429
    other = {"X-Forwarded-For": "203.0.113.10:5678"}
    assert (await client.get("/api/rate-profile", headers=other)).status == 200


async def test_without_auth_nobody_is_asked(start_gateway: StartGateway) -> None:
    client = await start_gateway(login=False, enable_auth="false")
    assert (await client.post("/api/send/message", json=TEXT)).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.example.com"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://paceline.example", "Host": "paceline.example"},
        {"Sec-Fetch-Site": "anything new"},
        {"Origin": "https://paceline.example:8443", "Host": "paceline.example"},
        {"Origin": "http://paceline.example", "Host": "paceline.example:443"},
        {"Origin": "https://paceline.example.evil.example", "Host": "paceline.example"},
        {"Origin": "https://paceline.example@evil.example", "Host": "paceline.example"},
        {"Origin": "https://evil.example", "Host": "gateway:8080", "X-Forwarded-Host": "paceline.example"},
        {"Origin": "https://evil.example:99999", "Host": "evil.example:99999"},
        {"Origin": "https://evil.example", "X-Forwarded-Port": "9" * 5000, "X-Forwarded-Host": "[, ::1, "},
    ],
)
@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_foreign_page_changes_nothing(gateway: Client, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/api/send/message"), ("PUT", "/api/rate-profile"), ("POST", "/api/stop")):
        response = await gateway.request(method, path, data=TEXT, headers=headers)
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://@own@", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://@own@"},
        # A proxy that asks by its own name for us.
        {"Origin": "https://paceline.example", "Host": "gateway:8080", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://paceline.example", "Sec-Fetch-Site": "none"},
        {"Origin": "http://paceline.example", "Host": "gateway:8080", "X-Forwarded-Host": "paceline.example"},
        {"Origin": "http://paceline.example", "X-Forwarded-Host": "inner.example, PACELINE.example:80"},
        {"Origin": "http://paceline.example:8081", "Host": "paceline.example", "X-Forwarded-Port": "8081"},
        # A port that goes without saying.
        {"Origin": "https://paceline.example", "Host": "paceline.example:443"},
        {"Origin": "https://paceline.example:443", "Host": "paceline.example"},
        {"Origin": "http://paceline.example", "Host": "paceline.example:80"},
        {"Origin": "http://paceline.example", "Host": "Paceline.Example."},
        {"Origin": "http://[::1]:8081", "Host": "[::1]:8081"},
        {},
    ],
)
async def test_our_own_page_may(gateway: Client, headers: dict[str, str]) -> None:
    own = {name: value.replace("@own@", f"{gateway.host}:{gateway.port}") for name, value in headers.items()}
    # Nothing is wrong with the request but what is asked for.
    assert (await gateway.post("/api/send/message", data={"phone": "12"}, headers=own)).status == 400


async def test_an_allowed_origin_may_and_is_told_so(start_gateway: StartGateway) -> None:
    client = await start_gateway(cors_origins=FRIEND)
    headers = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
    response = await client.post("/api/send/message", json=TEXT, headers=headers)
    assert response.status == 202
    assert response.headers["Access-Control-Allow-Origin"] == FRIEND
    refused = await client.post("/api/send/message", json={}, headers=headers | {"Authorization": "Basic x"})
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == FRIEND, "else the page could not read why"
    preflight = await client.options(
        "/api/send/message",
        headers={"Origin": FRIEND, "Access-Control-Request-Method": "POST", "Authorization": ""},
    )
    assert preflight.status == 204
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    for name in ("Authorization", "Content-Type", "Idempotency-Key", "X-Device-Id"):
        assert name in preflight.headers["Access-Control-Allow-Headers"]


async def test_without_cors_no_origin_is_allowed(start_gateway: StartGateway) -> None:
    client = await start_gateway(cors_origins=FRIEND, enable_cors="false")
    response = await client.post("/api/send/message", json=TEXT, headers={"Origin": FRIEND})
    assert response.status == 403


async def test_the_documentation_comes_from_here_alone(client: Client) -> None:
    page = await client.get("/docs")
    assert page.status == 200
    text = await page.text()
    for address in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert address.startswith("docs/")
        assert (await client.get(f"/{address}")).status == 200, address
    document = await client.get("/docs/openapi.yml")
    assert document.content_type == "application/yaml"
    assert (await document.text()).startswith('openapi: "3.1.0"')


@pytest.mark.parametrize(
    ("prefix", "root"),
    [
        ("/tools/paceline", "/tools/paceline/"),
        ("/paceline/", "/paceline/"),
        ("", "./"),
        ("/", "./"),
        ("//evil.example", "./"),
        ("https://evil.example", "./"),
        ("/a/..%2f", "./"),
        ('/"><script>', "./"),
        ("/a, /b", "./"),
    ],
)
async def test_the_page_lies_where_its_proxy_says(gateway: Client, prefix: str, root: str) -> None:
    text = await (await gateway.get("/", headers={"X-Forwarded-Prefix": prefix})).text()
    assert f'<script type="module" src="{root}static/' in text
    assert f'href="{root}docs"' in text
    assert "evil" not in text
