"""Whatever happens to the four services, their logs and metrics hold no secret, no phone number and no text of a message,
and no error that they answer holds a secret."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import orjson

from services.gateway.routes.gowa_webhook import PATH, SIGNATURE
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.gateway.webhooks import ack, signature
from tests.integration.gateway.webhooks import text as heard_text
from tests.servers import Database, ServiceProcess, StartService
from tests.stories.conftest import Paceline, until

SENDER_USER = "sender-user"
TEXT = "Walrus"
"""In each message's text, and nowhere else."""
REFUSED = f"{TEXT}, which Postgres refuses"
PHONES = re.compile(r"555[\s().-]*017[\s().-]*7|0815[\s().-]*0177")
"""What all phones of this test have, in any spelling."""


def phone(number: int) -> str:
    return f"1555017{7000 + number}"


@dataclass
class Told:
    """Secrets by their names, and what is searched for them."""

    known: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def secret(self, name: str, prefix: str = "") -> str:
        return self.known.setdefault(name, f"{prefix}{secrets.token_hex(12)}")

    def login(self, name: str, user: str, password: str) -> None:
        """Its password, and the pair as a header has it."""
        self.known[name] = password
        self.known[f"{name} in base64"] = base64.b64encode(f"{user}:{password}".encode()).decode().rstrip("=")

    def secrets_in(self, text: str) -> list[str]:
        return [name for name, secret in self.known.items() if secret in text]

    def found_in(self, text: str) -> list[str]:
        """The lines with something that may not be there; a secret goes by its name."""
        lines = [line for line in text.splitlines() if PHONES.search(line) or TEXT in line]
        return self.secrets_in(text) + lines


@dataclass
class Asking:
    """Requests whose errors are noted."""

    whole: Paceline
    told: Told

    async def ask(self, expect: int, path: str, method: str = "POST", **options: object) -> None:
        async with self.whole.session.request(method, self.whole.gateway.url + path, **options) as response:  # type: ignore[arg-type]
            text = await response.text()
            assert response.status == expect, f"{method} {path}: {response.status} {text}"
            if expect >= 400:
                self.told.errors.append(str(response.headers) + text)

    async def send(self, expect: int, recipients: str, message: str = TEXT) -> None:
        await self.ask(expect, "/api/send/message", json={"phone": recipients, "message": message})


async def good_and_bad_sends(whole: Paceline, asking: Asking) -> None:
    """Taken, refused here, refused by the sender, to be tried again, by upload and by campaign."""
    await whole.simulate("PUT", "numbers", json={"not_on_whatsapp": [phone(1), phone(11)]})
    sent = await whole.call("POST", "/api/send/message", 202, json={"phone": phone(0), "message": TEXT})
    absent = await whole.call("POST", "/api/send/message", 202, json={"phone": phone(1), "message": TEXT})
    await whole.message_in(sent["message_id"], "sent")
    await whole.message_in(absent["message_id"], "failed")
    for bad in (f"0815 0177 {number:03d}" for number in range(3)):
        await asking.send(400, bad)
    await asking.send(400, f"+{phone(2)} x")
    await asking.ask(400, "/api/send/message", json={"phone": phone(3), "message": TEXT, phone(4): TEXT})
    cut_off = f'{{"phone": "{phone(5)}", "message": "{TEXT}'
    await asking.ask(400, "/api/send/message", data=cut_off, headers={"Content-Type": "application/json"})
    form = aiohttp.FormData({"phone": f"+1 (555) 017-{7006}"})
    form.add_field("file", f"{phone(7)},{TEXT}\n".encode(), filename=f"{phone(7)}.csv", content_type="text/csv")
    await asking.ask(202, "/api/send/file", data=form)
    lines = [*(phone(number) for number in range(10, 30)), "0815 0177 123", f"{phone(30)};{TEXT}", phone(10)]
    campaign = await whole.call("POST", "/api/send/message", 202, json={"phone": ",".join(lines), "message": TEXT})
    await whole.campaign_in(campaign["campaign_token"], "finished")
    await asking.ask(404, f"/api/optouts/{phone(40)}", "GET")
    await asking.ask(404, f"/api/{phone(40)}", "GET")
    await asking.ask(405, f"/api/optouts/{phone(40)}", "PATCH")
    await asking.ask(200, f"/api/optouts/{phone(41)}", "PUT")


async def foreign_logins_and_webhooks(asking: Asking, webhook_secret: str, sent_to: str) -> None:
    wrong = asking.told.secret("wrong password")
    asking.told.login("wrong password", "tester", wrong)
    header = {"Authorization": aiohttp.encode_basic_auth("tester", wrong)}
    await asking.ask(401, "/api/messages", "GET", headers=header)
    stop = orjson.dumps(heard_text("STOP", f"{sent_to}@s.whatsapp.net"))
    for body, expect, key in (
        (stop, 401, asking.told.secret("wrong webhook secret")),
        (orjson.dumps(heard_text(TEXT, f"{phone(50)}@s.whatsapp.net")), 200, webhook_secret),
        (orjson.dumps(ack("3EB0") | {"device_id": f"{phone(51)}@s.whatsapp.net"}), 200, webhook_secret),
        (f'{{"from": "{phone(52)}'.encode(), 400, webhook_secret),
        (stop, 200, webhook_secret),
    ):
        await asking.ask(expect, PATH, data=body, headers={SIGNATURE: signature(body, key)})


async def refused_by_postgres(asking: Asking, postgres: EmbeddedPostgres, database: Database) -> None:
    """An error of ours, in a single send and in a campaign; Postgres says which row it is about."""
    postgres.execute(
        f"alter table messages add constraint refusing check (content ->> 'message' <> '{REFUSED}');"
        f" alter table campaigns add constraint refusing check (content ->> 'message' <> '{REFUSED}')",
        database.name,
    )
    await asking.send(500, phone(60), REFUSED)
    await asking.send(500, f"{phone(61)},{phone(62)}", REFUSED)


async def stores_away(asking: Asking, postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    """Nobody listens, then Redis is empty, and all goes on."""
    valkey.kill()
    await asking.send(202, phone(70))
    postgres.kill()
    await asking.send(503, phone(71))
    await asking.send(503, f"{phone(72)},{phone(73)}")
    valkey.start()
    postgres.start()

    async def all_done() -> bool:
        async with asking.whole.session.get(asking.whole.gateway.url + "/api/messages") as response:
            if response.status != 200:
                return False
            messages = orjson.loads(await response.read())["results"]["messages"]
        return all(message["status"] in ("sent", "failed", "canceled", "unknown") for message in messages)

    await until(all_done, "what was accepted has ended")


async def wrong_passwords(start_service: StartService, told: Told) -> ServiceProcess:
    """A service that the stores do not let in."""
    service = await start_service(
        "services.gateway",
        wait=False,
        DATABASE_PASSWORD=told.secret("wrong password of Postgres"),
        REDIS_PASSWORD=told.secret("wrong password of Redis"),
    )

    async def not_ready() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(service.url + "/ready") as response:
                told.errors.append(await response.text())
                return response.status == 503
        except aiohttp.ClientError:
            return False

    await until(not_ready, "it is not let in")
    return service


async def wrong_settings(start_service: StartService, told: Told) -> list[ServiceProcess]:
    """Services that do not start, since a secret of theirs is none."""
    wrong = [
        ("services.monitor", {"ALERT_WEBHOOK_SECRET": "whsec_%" + told.secret("secret that is not base64")}),
        ("services.monitor", {"ALERT_WEBHOOK_URL": "alerts/" + told.secret("address that is none")}),
        ("services.dispatcher", {"WHATSAPP_AUTHS": "user:" + told.secret("too few logins")}),
    ]
    services = [await start_service(module, wait=False, **settings) for module, settings in wrong]
    assert await asyncio.gather(*(service.ended() for service in services)) == [2] * len(wrong)
    return services


async def test_no_secret_and_no_phone_is_told(
    paceline: Callable[..., Awaitable[Paceline]],
    start_service: StartService,
    service_environment: dict[str, str],
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedValkey,
    database: Database,
) -> None:
    told = Told()
    told.login("DASHBOARD_PASSWORD", "tester", service_environment["DASHBOARD_PASSWORD"])
    told.login("WHATSAPP_AUTHS", SENDER_USER, told.secret("WHATSAPP_AUTHS"))
    told.known |= {"DATABASE_PASSWORD": database.password, "REDIS_PASSWORD": redis_server.password or ""}
    webhook_secret = told.secret("WHATSAPP_WEBHOOK_SECRET")
    whole = await paceline(
        devices=2,
        sender_login=f"{SENDER_USER}:{told.known['WHATSAPP_AUTHS']}",
        LOG_LEVEL="debug",
        WHATSAPP_WEBHOOK_SECRET=webhook_secret,
        ALERT_WEBHOOK_URL=f"http://127.0.0.1:9/{told.secret('ALERT_WEBHOOK_URL')}",
        ALERT_WEBHOOK_SECRET=told.secret("ALERT_WEBHOOK_SECRET"),
        ALERT_LANE_STOPPED_AFTER="1ms",
    )
    assert all(told.known.values())
    asking = Asking(whole, told)
    services = [whole.gateway, whole.monitor, whole.scheduler, *whole.dispatchers]

    await good_and_bad_sends(whole, asking)
    await foreign_logins_and_webhooks(asking, webhook_secret, phone(0))
    await asking.ask(200, "/api/stop", json={"lane": "bulk", "reason": "a look around"})

    async def alert_posted() -> bool:
        return "alert posted" in whole.monitor.log_text()

    await until(alert_posted, "an alert is posted")
    await asking.ask(200, "/api/start", json={})
    await refused_by_postgres(asking, postgres_server, database)
    await stores_away(asking, postgres_server, redis_server)
    others = [await wrong_passwords(start_service, told), *await wrong_settings(start_service, told)]

    for service in services:
        async with whole.session.get(service.url + "/metrics") as response:
            metrics = await response.text()
        assert "paceline_" in metrics
        assert told.found_in(metrics) == [], f"metrics of {service.name}"
    for error in told.errors:
        assert told.secrets_in(error) == [], "an error that is answered"
    for said in ("request failed", "store unavailable", "to be enqueued by a scheduler", "opted by a message"):
        assert said in whole.gateway.log_text(), f"this was to happen: {said}"
    assert '"verdict":"sent"' in whole.dispatchers[0].log_text(), "it writes a line for each attempt"
    assert "INVALID_JID" in whole.dispatchers[0].log_text(), "the sender named a phone in its answer"
    for service in (*services, *others):
        assert told.found_in(service.log_text()) == [], f"log of {service.name}"
