"""`python -m standalone demo`: a campaign with an image through three troubled accounts, and a judgement.

One account is slow, one fails now and then, one logs out midway; some recipients are not on WhatsApp. The demo succeeds
when every recipient has come to an end and the simulator's ledger shows each message once, none malformed, and never
two sends at a time in one account.
"""

import argparse
import asyncio
import csv
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.endpoints.identity import endpoint_id
from standalone.process_plan import Plan, Simulation, read_settings
from standalone.stack import Stack, sole_user
from standalone.supervisor import supervise
from standalone.up import say

CAPTION = "This week only: two for one. Reply STOP to hear no more from us."

# A human pace would need an hour for 300 recipients; everything else is as in production.
PACE = {
    "RATE_PROFILE": "bulk",
    "RATE_DELAY_MEAN_MS": "100",
    "RATE_DELAY_JITTER_MS": "50",
    # A cooldown lasts up to a minute more than what is set.
    "RATE_BURST_LIMIT": "0",
    "TYPING_DELAY_MIN": "50ms",
    "TYPING_DELAY_MAX": "150ms",
    "BULK_TYPING_DELAY_MIN": "50ms",
    "BULK_TYPING_DELAY_MAX": "150ms",
    "RATE_LIMIT_DELAY_MIN": "50ms",
    "RATE_LIMIT_DELAY_MAX": "150ms",
    "NATURAL_BREAK_INTERVAL": "0",
    "RETRY_BASE_DELAY": "1s",
    "CIRCUIT_BREAKER_OPEN_TIMEOUT": "5s",
    "CIRCUIT_BREAKER_HALF_OPEN_TIMEOUT": "5s",
    "UNKNOWN_CHECK_DELAY": "2s",
    "UNKNOWN_CHECK_DELAY_MEDIA": "2s",
    "UNKNOWN_REACHABLE_TIME": "2s",
}

SIMULATION = Simulation(
    devices=("slow", "flaky", "logs-out"),
    options=(
        *("--latency", "50ms"),
        *("--mood", "slow=slow:300ms"),
        *("--mood", "flaky=500:rate=0.1"),
        *("--mood", "logs-out=logout-after:40"),
        *("--not-on-whatsapp-suffix", "99"),
    ),
)

WAITING = ("queued", "sending", "retrying")
POLL = 0.5  # seconds between two looks at the campaign
RECEIPTS_WAIT = 10.0  # seconds; simulated people have read everything within one
PLAIN_STEP = 5.0  # seconds between two lines of progress where there is no terminal


class DemoFailedError(RuntimeError):
    """The demo did not end as it should; the text says what was seen."""


@dataclass(frozen=True)
class _Options:
    recipients: list[str]
    image: Path
    deadline: float


def run(options: argparse.Namespace) -> int:
    """Returns 0 when every recipient came to an end and the ledger is clean, else 1. Raises what `Stack` does."""
    try:
        wanted = _Options(read_recipients(options.recipients), options.image, options.deadline)
    except (OSError, ValueError) as error:
        say(f"{options.recipients} cannot be read: {error}")
        return 1
    settings = read_settings(options.env_file)
    # The demo never touches real accounts, whatever `.env` says; its pace goes before other settings.
    settings = {name: value for name, value in settings.items() if not name.startswith("WHATSAPP_")} | PACE
    directory: Path = options.data_dir.absolute()
    with sole_user(directory):
        for old in directory.iterdir():
            if old.name != "lock":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        stack = Stack(
            directory, settings, dispatchers=options.dispatchers, ports="demo", simulation=SIMULATION, say=say
        )
        return asyncio.run(supervise(stack.supervisor, _demo(stack, wanted), say, told_code=1))


def read_recipients(file: Path) -> list[str]:
    """The column `phone` of a CSV file, as spreadsheets write it: with a byte order mark or without, with , or ; between the
    cells. Raises OSError, ValueError."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        header = lines.readline()
        lines.seek(0)
        rows = csv.DictReader(lines, delimiter=";" if ";" in header else ",")
        if "phone" not in (rows.fieldnames or ()):
            raise ValueError("it has no column phone")
        return [row["phone"] or "" for row in rows]


async def _demo(stack: Stack, options: _Options) -> int:
    plan = await stack.start()
    console = Console()
    async with aiohttp.ClientSession(
        auth=aiohttp.BasicAuth(*plan.login), timeout=aiohttp.ClientTimeout(total=30)
    ) as session:
        try:
            token = await _send(session, plan, options)
            say(f"campaign {token}: {len(options.recipients)} recipients, watch it at {plan.address}/")
            campaign = await _finished(session, plan, token, options.deadline, console)
            messages = await _messages(session, plan, token)
            receipts = await _receipts(session, plan, token)
            # Without our login, which is not the simulator's.
            async with (
                aiohttp.ClientSession() as plain,
                plain.get(f"{plan.simulator_address}/simulator/summary") as got,
            ):
                summary = await got.json()
        except DemoFailedError as error:
            say(f"the demo failed: {error}")
            return 1
    names = {endpoint_id(plan.simulator_address, device): device for device in SIMULATION.devices}
    _show(console, campaign, messages, summary, names)
    say(f"receipts: {receipts['delivered']} delivered, {receipts['read']} read")
    problems = judge(campaign, len(options.recipients), summary)
    for problem in problems:
        say(f"wrong: {problem}")
    say("the demo failed" if problems else "every recipient came to an end, each message was taken once")
    return 1 if problems else 0


async def _send(session: aiohttp.ClientSession, plan: Plan, options: _Options) -> str:
    form = aiohttp.FormData()
    form.add_field("phone", ",".join(options.recipients))
    form.add_field("caption", CAPTION)
    form.add_field("image", options.image.read_bytes(), filename=options.image.name, content_type="image/png")
    results = await _call(
        session,
        "POST",
        f"{plan.address}/api/send/image",
        data=form,
        headers={"Idempotency-Key": secrets.token_hex(16)},
    )
    for refused in results.get("rejected") or []:
        say(f"refused: {refused['reason']}")
    return str(results["campaign_token"])


async def _finished(
    session: aiohttp.ClientSession, plan: Plan, token: str, deadline: float, console: Console
) -> dict[str, Any]:
    """The campaign when it is finished. Raises DemoFailedError after `deadline` seconds."""
    end = time.monotonic() + deadline
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[states]}"),
        console=console,
        disable=not console.is_terminal,
    )
    said = 0.0
    with progress:
        bar = progress.add_task("sending", total=None, states="")
        while True:
            campaign = await _call(session, "GET", f"{plan.address}/api/campaigns/{token}")
            counts: dict[str, int] = campaign["counts"]
            ended = campaign["total"] - sum(counts.get(state, 0) for state in WAITING)
            states = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
            progress.update(bar, total=campaign["total"], completed=ended, states=states)
            finished = campaign["status"] == "finished"
            if not console.is_terminal and (finished or time.monotonic() >= said + PLAIN_STEP):
                said = time.monotonic()
                say(f"{ended} of {campaign['total']} ended ({states})")
            if finished:
                return campaign
            if time.monotonic() > end:
                raise DemoFailedError(f"the campaign is {campaign['status']} after {deadline:.0f} s: {states}")
            await asyncio.sleep(POLL)


async def _receipts(session: aiohttp.ClientSession, plan: Plan, token: str) -> dict[str, int]:
    """The receipts, once all that were sent have been read or a while has passed: some may never come."""
    end = time.monotonic() + RECEIPTS_WAIT
    while True:
        campaign = await _call(session, "GET", f"{plan.address}/api/campaigns/{token}")
        receipts: dict[str, int] = campaign["receipts"]
        if receipts["read"] >= campaign["counts"]["sent"] or time.monotonic() > end:
            return receipts
        await asyncio.sleep(POLL)


async def _messages(session: aiohttp.ClientSession, plan: Plan, token: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"cursor": cursor} if cursor else {}
        page = await _call(session, "GET", f"{plan.address}/api/campaigns/{token}/messages", params=query)
        messages += page["messages"]
        cursor = page.get("next_cursor") or None
    return messages


async def _call(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> dict[str, Any]:
    """The `results` of an answer. Raises DemoFailedError for anything but a 2xx."""
    try:
        async with session.request(method, url, **options) as response:
            text = await response.text()
            if response.status // 100 != 2:
                raise DemoFailedError(f"{method} {response.url.path} answered {response.status}: {text[:500]}")
            results: dict[str, Any] = (await response.json())["results"]
            return results
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoFailedError(f"{method} {url}: {error!r}") from error


def _show(
    console: Console,
    campaign: Mapping[str, Any],
    messages: list[dict[str, Any]],
    summary: Mapping[str, Any],
    names: Mapping[str, str],
) -> None:
    outcomes = Counter(
        (names.get(message.get("endpoint") or "", message.get("endpoint") or "none"), message["status"])
        for message in messages
    )
    states = sorted({state for _, state in outcomes})
    table = Table("account", *states, title="Outcomes")
    for endpoint in sorted({endpoint for endpoint, _ in outcomes}):
        table.add_row(endpoint, *(str(outcomes[endpoint, state]) for state in states))
    table.add_row("all", *(str(campaign["counts"].get(state, 0)) for state in states))
    console.print(table)
    reasons = Counter(message.get("reason") or "" for message in messages if message["status"] != "sent")
    for reason, number in reasons.most_common():
        say(f"{number} not sent: {reason}")
    table = Table(
        "account", "requests", "taken", "doubles", "malformed", "most in flight", title="The simulator's ledger"
    )
    for device, counts in summary["devices"].items():
        table.add_row(device, *(str(counts[name]) for name in _LEDGER))
    table.add_row("all", *(str(summary[name]) for name in _LEDGER))
    console.print(table)


_LEDGER = ("sends", "taken", "doubles", "malformed", "max_in_flight")


def judge(campaign: Mapping[str, Any], recipients: int, summary: Mapping[str, Any]) -> list[str]:
    """What is wrong with a finished campaign; empty when all is well."""
    counts: Mapping[str, int] = campaign["counts"]
    problems = []
    if campaign["total"] != recipients:
        problems.append(f"{recipients} recipients were given, the campaign has {campaign['total']}")
    if (ended := sum(number for state, number in counts.items() if state not in WAITING)) != campaign["total"]:
        problems.append(f"{campaign['total'] - ended} recipients have come to no end")
    if summary["doubles"]:
        problems.append(f"{summary['doubles']} messages were taken twice")
    if summary["malformed"]:
        problems.append(f"{summary['malformed']} requests were malformed")
    if summary["max_in_flight"] > 1:
        problems.append(f"one account had {summary['max_in_flight']} sends in flight at a time")
    # A message whose outcome stays unknown may or may not have been taken.
    sent, unknown = counts.get("sent", 0), counts.get("unknown", 0)
    if not sent <= summary["taken"] <= sent + unknown:
        problems.append(f"{sent} messages count as sent and {unknown} as unknown, but {summary['taken']} were taken")
    return problems
