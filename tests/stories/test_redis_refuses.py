"""Redis refuses: what was accepted stays accepted and is sent once, callers never see an error of ours, and all is told."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
import redis

from shared.queue.keys import Keys
from shared.queue.rights import acl_rules
from standalone.embedded_valkey import EmbeddedValkey
from tests.redis_servers import Sentinels, replica_of, until_in_step
from tests.servers import redis_client
from tests.stories.conftest import Paceline, phones, until

MakePaceline = Callable[..., Awaitable[Paceline]]
Refusal = Callable[[EmbeddedValkey, str], AbstractAsyncContextManager[None]]
ROOT = Path(__file__).parents[2]
USER, PASSWORD = "paceline", secrets.token_urlsafe(16)


@pytest.fixture
def guarded(tmp_path: Path, queue_name: str, service_environment: dict[str, str]) -> Iterator[EmbeddedValkey]:
    """A Valkey with the ACL file of docs/operations.md; the services log in by its user, the test by `default`."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^ *(user paceline .*)$", page, re.MULTILINE)
    assert line.split()[4:] == ["resetchannels", *acl_rules(Keys("pending_messages"))], (
        "the page has the shortest rights"
    )
    line = line.replace(line.split()[3], f">{PASSWORD}").replace("pending_messages", queue_name)
    admin = secrets.token_urlsafe(16)
    (tmp_path / "users.acl").write_text(f"user default on >{admin} ~* &* +@all\n{line}\n")
    settings = {"aclfile": str(tmp_path / "users.acl"), "busy-reply-threshold": "100"}
    with EmbeddedValkey(tmp_path / "guarded", password=admin, settings=settings) as server:
        login = {"REDIS_USERNAME": USER, "REDIS_PASSWORD": PASSWORD}
        service_environment.update({"REDIS_PORT": str(server.port), "REDIS_READ_TIMEOUT": "1s"} | login)
        yield server


def told(server: EmbeddedValkey, *command: str) -> None:
    with redis_client(server) as client:
        client.execute_command(*command)


def setting(name: str, value: str) -> Refusal:
    @asynccontextmanager
    async def refuse(server: EmbeddedValkey, queue_name: str) -> AsyncIterator[None]:
        with redis_client(server) as client:
            before = client.config_get(name)[name]
        told(server, "CONFIG", "SET", name, value)
        yield
        told(server, "CONFIG", "SET", name, before)

    return refuse


def user(during: str, after: str, cut: bool = False) -> Refusal:
    """The user is changed, `{queue}` standing for the name of the queue; ``cut``: and its connections are ended."""

    @asynccontextmanager
    async def refuse(server: EmbeddedValkey, queue_name: str) -> AsyncIterator[None]:
        for rules in (during, after):
            told(server, "ACL", "SETUSER", USER, *rules.replace("{queue}", queue_name).split())
            if cut and rules is during:
                told(server, "CLIENT", "KILL", "USER", USER)
            if rules is during:
                yield

    return refuse


@asynccontextmanager
async def read_only(server: EmbeddedValkey, queue_name: str) -> AsyncIterator[None]:
    told(server, "REPLICAOF", "127.0.0.1", "9")
    yield
    told(server, "REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def busy(server: EmbeddedValkey, queue_name: str) -> AsyncIterator[None]:
    with redis_client(server) as client:
        loop = asyncio.get_running_loop()
        blocking = loop.run_in_executor(None, client.eval, "while true do end", 0)
        yield
        told(server, "SCRIPT", "KILL")
        with pytest.raises(redis.exceptions.ResponseError, match="killed"):
            await blocking


@asynccontextmanager
async def disk_full(server: EmbeddedValkey, queue_name: str) -> AsyncIterator[None]:
    """Snapshots cannot be written: a folder stands where the file would."""
    (server.data_dir / "dump.rdb").mkdir()
    told(server, "CONFIG", "SET", "save", "3600 1")
    told(server, "BGSAVE")

    async def failed() -> bool:
        with redis_client(server) as client:
            return bool(client.info("persistence")["rdb_last_bgsave_status"] == "err")

    await until(failed, "the snapshot fails")
    yield
    told(server, "CONFIG", "SET", "save", "")
    (server.data_dir / "dump.rdb").rmdir()


REFUSALS: dict[str, tuple[Refusal, str]] = {
    "a command": (user("-xadd", "+xadd"), r"lacks \+xadd"),
    "keys": (user("resetkeys ~pending_messages*", "resetkeys ~{{queue}}:*"), r"lacks ~\{queue_\w+\}:\*"),
    "login": (user("resetpass >another", f"resetpass >{PASSWORD}", cut=True), "REDIS_PASSWORD"),
    "scripts": (user("-evalsha", "+evalsha"), r"lacks \+evalsha"),
    "memory": (setting("maxmemory", "1"), "out of memory"),
    "replicas": (setting("min-replicas-to-write", "1"), "min-replicas-to-write"),
    "disk": (disk_full, "its disk"),
    "read-only": (read_only, "read-only"),
    "busy": (busy, "SCRIPT KILL|in time|no answer"),
}


async def answered(whole: Paceline, phone: str | list[str], words: str) -> str:
    """Sends as a caller who repeats what was not accepted; whatever is answered must be 202 or 503."""
    while True:
        body = {"phone": phone, "message": words}
        async with whole.session.post(f"{whole.gateway.url}/api/send/message", json=body) as response:
            results = orjson.loads(await response.read()).get("results")
            assert response.status in (202, 503), await response.text()
            if response.status == 202:
                return str(results.get("message_id") or results["campaign_token"])
            assert "Retry-After" in response.headers


async def problems(whole: Paceline) -> str:
    """What the gateway's /ready names; it stays ready."""
    async with aiohttp.ClientSession() as session, session.get(f"{whole.gateway.url}/ready") as response:
        assert response.status == 200
        return " ".join((await response.json())["problems"])


async def test_redis_refuses(paceline: MakePaceline, guarded: EmbeddedValkey, queue_name: str) -> None:
    """Each way to refuse comes while a campaign is being sent; texts are accepted meanwhile; then it is healed."""
    whole = await paceline(devices=3, dispatchers=2, latency="50ms", BULK_CHUNK_SIZE="10", RATE_DELAY_MEAN_MS="150")
    sent: dict[str, str] = {}
    for number, (name, (refuse, words)) in enumerate(REFUSALS.items()):
        news, texts = phones(24, first=100 * number), phones(4, first=100 * number + 50)
        campaign = await answered(whole, news, f"news {name}")
        await whole.message_of_campaign(campaign, "sent")
        async with refuse(guarded, queue_name):

            async def is_told(words: str = words) -> bool:
                report = await whole.health()
                health = " ".join(line["reason"] for line in report["reasons"] if line["part"] == "redis")
                return bool(re.search(words, await problems(whole)) and re.search(words, health))

            await until(is_told, f"{name}: it is told")
            ids = await asyncio.gather(*(answered(whole, phone, f"text {name}") for phone in texts))
            # What needs no Redis goes on.
            assert (await whole.message(ids[0]))["status"] == "queued"
            await whole.call("GET", "/api/endpoints")
            endpoint = whole.endpoint("account-1")
            async with whole.session.post(f"{whole.gateway.url}/api/endpoints/{endpoint}/reset-breaker") as response:
                assert response.status in (200, 503), "what needs Redis itself"
            await whole.call("PUT", "/api/rate-profile", json={"warmup_days": 14 + number})
        for message in ids:
            await whole.message_in(message, "sent")
        counts = (await whole.campaign_in(campaign, "finished"))["counts"]
        assert counts["sent"] == len(news), f"{name}: {counts}"
        sent |= dict.fromkeys(news, f"news {name}") | dict.fromkeys(texts, f"text {name}")

    taken = Counter((send["phone"], send["fields"]["message"]) for send in await whole.sends() if send["taken"])
    assert taken == Counter((f"{phone}@s.whatsapp.net", words) for phone, words in sent.items())
    assert "ok" in (await whole.health())["status"]
    for service in (whole.gateway, whole.scheduler, whole.monitor, *whole.dispatchers):
        log = service.log_text()
        assert not re.search("step failed|take failed|delivery failed|request failed|check failed|look failed", log)
    await whole.judge()


async def test_a_user_without_channels_is_enough(
    paceline: MakePaceline, guarded: EmbeddedValkey, queue_name: str
) -> None:
    """As Redis 7 makes users unless told otherwise."""
    told(guarded, "ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", f"~{{{queue_name}}}:*", "+@all")
    whole = await paceline(devices=2)
    for phone in phones(3):
        await whole.message_in(await answered(whole, phone, "hello"), "sent")
    async with aiohttp.ClientSession() as session, session.get(f"{whole.gateway.url}/ready") as response:
        body = await response.json()
    assert (response.status, body["problems"]) == (200, [])
    assert f"&{{{queue_name}}}:wake" in body["remarks"][0]
    report = await whole.health()
    assert report["status"] == "degraded"
    assert f"&{{{queue_name}}}:wake" in str(report["reasons"])
    await whole.judge()


async def test_with_the_shortest_rights_everything_works(paceline: MakePaceline, guarded: EmbeddedValkey) -> None:
    whole = await paceline(devices=3, dispatchers=2, latency="100ms", BULK_CHUNK_SIZE="20", HOURLY_CAP="900")
    text = await answered(whole, "15550109999", "a text")
    await whole.message_in(text, "sent")

    await whole.simulate("PUT", "numbers", json={"not_on_whatsapp": phones(3)})
    token = await answered(whole, phones(60), "news")
    await whole.message_of_campaign(token, "sent")
    await whole.call("POST", f"/api/campaigns/{token}/pause")
    await whole.call("POST", f"/api/endpoints/{whole.endpoint('account-3')}/suspend", json={"reason": "a look"})
    await whole.call("POST", f"/api/endpoints/{whole.endpoint('account-3')}/resume")
    await whole.call("PUT", "/api/rate-profile", json={"warmup_days": 15})
    await whole.call("POST", f"/api/campaigns/{token}/resume")
    # One dispatcher dies with messages in hand, and Redis is emptied.
    whole.dispatchers[0].kill()
    told(guarded, "FLUSHALL")
    counts = (await whole.campaign_in(token, "finished"))["counts"]
    assert counts["sent"] + counts["failed"] + counts["unknown"] == 60
    assert counts["failed"] == 3
    await whole.simulate("PUT", "numbers", json={"not_on_whatsapp": []})
    await whole.call("POST", f"/api/campaigns/{token}/retry")

    async def retried() -> bool:
        return bool((await whole.campaign(token))["counts"]["failed"] == 0)

    await until(retried, "what failed is sent")
    await whole.campaign_in(token, "finished")
    statistics = await whole.call("GET", "/api/statistics")
    assert statistics["status"] in ("ok", "degraded")

    async def all_is_well() -> bool:
        return bool((await whole.health())["status"] == "ok")

    await until(all_is_well, "the dead dispatcher is forgotten")
    for service in (whole.gateway, whole.scheduler, whole.monitor, *whole.dispatchers):
        log = service.log_text()
        assert "lacks" not in log, "a right is missing"
        assert "NOPERM" not in log
    with redis_client(guarded) as client:
        assert client.acl_log() == [], "nothing was refused, not even in silence"
    await whole.judge()


async def test_sentinels_fail_over_while_messages_are_under_way(
    paceline: MakePaceline, tmp_path: Path, service_environment: dict[str, str]
) -> None:
    password = secrets.token_urlsafe(16)
    with (
        EmbeddedValkey(tmp_path / "one", password=password) as primary,
        replica_of(primary, tmp_path / "two") as replica,
        Sentinels(primary, tmp_path, count=3, password=password) as sentinels,
    ):
        until_in_step(primary, replica)
        del service_environment["REDIS_HOST"], service_environment["REDIS_PORT"]
        service_environment |= {
            "REDIS_SENTINELS": ",".join(sentinels.addresses),
            "REDIS_SENTINEL_MASTER": sentinels.name,
            "REDIS_SENTINEL_PASSWORD": password,
            "REDIS_PASSWORD": password,
            "REDIS_DIAL_TIMEOUT": "1s",
            "REDIS_READ_TIMEOUT": "1s",
        }
        whole = await paceline(devices=3, dispatchers=2, latency="100ms", BULK_CHUNK_SIZE="10")
        news, texts = phones(150), phones(20, first=200)
        token = await answered(whole, news, "news")
        await whole.message_of_campaign(token, "sent")
        primary.kill()
        ids = [await answered(whole, phone, "a text") for phone in texts]
        for message in ids:
            await whole.message_in(message, "sent")
        counts = (await whole.campaign_in(token, "finished"))["counts"]
        assert counts["sent"] == len(news)
        taken = Counter(send["phone"] for send in await whole.sends() if send["taken"])
        assert taken == Counter(f"{phone}@s.whatsapp.net" for phone in (*news, *texts)), "none lost, none doubled"
        await whole.judge()
        for service in (whole.gateway, whole.scheduler, whole.monitor, *whole.dispatchers):
            service.kill()
