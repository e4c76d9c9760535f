"""One send from arrival to answer, in GOWA's order: user, device, body, fields, session, lookup, media, WhatsApp.

Every step may refuse; a mood strikes at the step where its cause would be in GOWA. As in GOWA a client that leaves does
not stop its send, and sends of one account wait for each other behind a lock that no deadline cuts short.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web

from simulator import answers
from simulator.accounts import Account, is_gone
from simulator.answers import Answer, success
from simulator.binding import BindError, Bound, StoppedAtFile, bind
from simulator.chat_storage import Row
from simulator.ledger import Line
from simulator.moods import BEHAVIOURS, Ending, Mood
from simulator.rules import KINDS, Kind, field_refusal, media_name, media_refusal, recipient_jid, stored_content
from simulator.simulation import Simulation
from simulator.strictness import offences

# How often a hanging send looks whether its client is still there; nothing in aiohttp says so unasked.
_LOOK_EVERY = 0.02


def send_routes(simulation: Simulation) -> list[web.RouteDef]:
    """``POST /send/<kind>`` for every kind."""
    sending = Sending(simulation)
    return [web.post(f"/send/{kind.name}", partial(sending.receive, kind)) for kind in KINDS.values()]


class _Struck(Exception):
    """The mood ends this request here and now."""

    def __init__(self, ending: Ending, answer: Answer | None = None) -> None:
        super().__init__(ending)
        self.ending = ending
        self.answer = answer


class Sending:
    """The handlers of ``/send/*``."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._accounts = simulation.accounts
        self._ledger = simulation.ledger

    async def receive(self, kind: Kind, request: web.Request) -> web.StreamResponse:
        """Write a line, have the request answered, and note how it ended."""
        arrived = time.time()
        refusal = self._simulation.auth_refusal(request)
        resolved = self._accounts.resolve(request) if refusal is None else refusal
        if isinstance(resolved, Answer):
            named = self._accounts.named(request)
            line = self._ledger.open(kind.name, None if named is None else named.device, arrived)
            if named is None or refusal is not None:
                line.malformed.append(_door_offence(resolved))
            else:
                # A slot that a mood has taken away: the send counts as struck.
                self._fate(kind, named, "")
            await self._simulation.frost.wait()
            return _finish(line, request, resolved)
        line = self._ledger.open(kind.name, resolved.device, arrived)
        counts = not kind.is_presence
        if counts:
            line.in_flight = resolved.arrived(request)
        try:
            answer = await self._answer(kind, resolved, line, request)
            return _finish(line, request, answer)
        except _Struck as struck:
            return await self._end(struck, line, request)
        except (ConnectionError, aiohttp.ClientPayloadError):
            line.outcome = "client-gone"
            return web.Response()
        finally:
            if counts:
                resolved.left(request)
            if line.finished_at is None:
                line.finished_at = time.time()
            if line.outcome is None:
                line.outcome = "client-gone"  # only a server that cancels handlers, or one that stops, comes here

    async def _answer(self, kind: Kind, account: Account, line: Line, request: web.Request) -> Answer:
        bound = Bound()
        fate: Mood | None = None
        is_decided = False

        def decide() -> Mood | None:
            nonlocal fate, is_decided
            if not is_decided:
                is_decided = True
                fate = self._fate(kind, account, recipient_jid(bound.fields.get("phone", "")))
            return fate

        def stop_at_file() -> bool:
            struck = decide()
            return struck is not None and struck.kind in {"cut-before", "413"}

        try:
            await bind(request, kind, bound, stop_at_file)
        except BindError as error:
            line.malformed = [error.problem]
            await account.until_thawed()
            return error.answer
        except StoppedAtFile:
            pass
        finally:
            line.fields = bound.fields
            line.file = bound.file
            line.phone = bound.fields.get("phone")
        await account.until_thawed()
        # GOWA's deadline runs from here, although lookups and downloads do not heed it.
        started = time.monotonic()
        fields = bound.fields
        line.malformed = bound.problems + offences(kind, fields, bound.file)
        decide()
        if fate is not None:
            self._strike(fate, "door", account)
        jid = recipient_jid(fields.get("phone", ""))
        refusal = field_refusal(kind, {**fields, "phone": jid}, bound.file)
        if refusal is not None:
            line.malformed.append("refused by the rules on fields")
            return refusal
        if fate is not None:
            self._strike(fate, "session", account)
            if fate.behaviour.stage == "lookup":
                refusal = await self._lookup_refusal(fate, kind, account, jid)
                if refusal is not None:
                    return refusal
                fate = None
        refusal = self._simulation.numbers.refusal(jid, kind.is_presence)
        if refusal is None:
            refusal = media_refusal(kind, fields, bound.file) or await self._download_refusal(kind, line)
        if refusal is not None:
            return refusal
        quoted = fields.get("reply_message_id")
        if quoted:
            line.quote_found = self._simulation.storage.holds(account, quoted)
        if kind.is_presence and fate is None:
            return _presence_answer(kind, fields, jid)
        return await self._through_whatsapp(kind, account, line, bound, fate, started)

    async def _download_refusal(self, kind: Kind, line: Line) -> Answer | None:
        fetched = await self._simulation.downloads.fetch(kind, line.fields)
        if isinstance(fetched, Answer):
            return fetched
        line.fetched = fetched
        return None

    def _fate(self, kind: Kind, account: Account, jid: str) -> Mood | None:
        if account.mood.kind in {"ok", "frozen"}:
            return None
        if kind.is_presence and account.mood.strikes_all(jid):
            return account.mood
        return account.fate(kind.name, jid, self._simulation.storage.knows(account, jid))

    async def _lookup_refusal(self, fate: Mood, kind: Kind, account: Account, jid: str) -> Answer | None:
        if fate.kind == "not-on-whatsapp":
            return fate.answer or self._simulation.numbers.absence(jid)
        if fate.kind == "lookups-hang":
            await asyncio.sleep(self._simulation.settings.lookup_limit)
        needs_lid = not kind.is_presence and not self._simulation.storage.knows(account, jid.removeprefix("+"))
        return fate.answer or self._simulation.numbers.failure(jid, needs_lid)

    def _strike(self, fate: Mood, stage: str, account: Account) -> None:
        behaviour = fate.behaviour
        if behaviour.stage != stage:
            return
        if behaviour.ending != "answer":
            raise _Struck(behaviour.ending)
        answer = fate.answer or behaviour.answer or answers.device_not_found(account.device)
        raise _Struck("answer", answer)

    async def _through_whatsapp(
        self, kind: Kind, account: Account, line: Line, bound: Bound, fate: Mood | None, started: float
    ) -> Answer:
        latency = account.latency if fate is None or fate.latency is None else fate.latency
        await account.until_thawed()
        if latency == 0 and not account.lock.locked():
            return self._decide(kind, account, line, bound, fate)
        async with account.lock:
            left = self._simulation.settings.deadline - (time.monotonic() - started)
            if left <= 0:
                # The deadline passed in the queue before the lock: nothing was written to WhatsApp.
                return answers.DEADLINE
            if latency > left:
                fate = Mood("504-taken")
            if fate is not None and fate.kind == "504-taken":
                # WhatsApp has it long before the deadline: the receipts may come first.
                refusal = self._take(kind, account, line, bound, fate)
                if refusal is not None:
                    return refusal
            await asyncio.sleep(min(latency, left))
            await account.until_thawed()
            if time.monotonic() - started > self._simulation.settings.deadline:
                fate = Mood("504-taken")
            return self._decide(kind, account, line, bound, fate)

    def _take(self, kind: Kind, account: Account, line: Line, bound: Bound, fate: Mood | None) -> Answer | None:
        """Hand the message to WhatsApp, if the mood lets it get there; whatsmeow's refusal when it does not leave."""
        if kind.is_presence or line.taken:
            return None
        jid = recipient_jid(bound.fields.get("phone", "")).removeprefix("+")
        refusal = self._simulation.groups.refusal(account.device, jid)
        if refusal is not None:
            return refusal
        if fate is None or fate.is_taken:
            line.taken = True
            line.whatsapp_id = "3EB0" + secrets.token_hex(9).upper()
            self._simulation.receipts.message_taken(account, jid, line.whatsapp_id)
            if fate is None or fate.is_stored:
                self._simulation.storage.store(account, jid, _row(kind, account, line, bound, int(time.time())))
            account.count_taken()
        return None

    def _decide(self, kind: Kind, account: Account, line: Line, bound: Bound, fate: Mood | None) -> Answer:
        """What WhatsApp makes of it; without an ``await``, so that a line, its row and its receipts agree."""
        jid = recipient_jid(bound.fields.get("phone", "")).removeprefix("+")
        behaviour = BEHAVIOURS["ok"] if fate is None else fate.behaviour
        now = int(time.time())
        refusal = self._take(kind, account, line, bound, fate)
        if refusal is not None:
            return refusal
        if behaviour.ending != "answer":
            raise _Struck(behaviour.ending)
        refusal = (None if fate is None else fate.answer) or behaviour.answer
        if refusal is not None:
            return refusal
        if kind.is_presence:
            return _presence_answer(kind, bound.fields, jid)
        phone = recipient_jid(bound.fields["phone"])
        when = time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(now))
        status = f"{kind.says} {phone} (server timestamp: {when})"
        return success(status, {"message_id": line.whatsapp_id, "status": status})

    async def _end(self, struck: _Struck, line: Line, request: web.Request) -> web.StreamResponse:
        if struck.answer is not None:
            return _finish(line, request, struck.answer)
        if struck.ending == "hang":
            await self._until_gone(request)
        line.outcome = struck.ending
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _until_gone(self, request: web.Request) -> None:
        """Wait until the client leaves, or this process stops."""
        while not is_gone(request):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._simulation.closing.wait(), _LOOK_EVERY)
                return


def _finish(line: Line, request: web.Request, answer: Answer) -> web.StreamResponse:
    line.outcome = "client-gone" if is_gone(request) else answer.status
    line.finished_at = time.time()
    return answer.response()


def _door_offence(refusal: Answer) -> str:
    if refusal is answers.DEVICE_ID_REQUIRED:
        return "device id missing"
    return "unknown device" if refusal.status == 404 else "wrong credentials"


def _presence_answer(kind: Kind, fields: dict[str, Any], jid: str) -> Answer:
    if kind.name == "presence":
        status, message_id = f"Send presence success {fields.get('type', '')}", "presence"
    else:
        action = fields["action"]
        status, message_id = f"Send chat presence {action} typing success {jid}", f"chat-presence-{action}"
    return success(status, {"message_id": message_id, "status": status})


def _row(kind: Kind, account: Account, line: Line, bound: Bound, now: int) -> Row:
    whatsapp_id = line.whatsapp_id or ""
    source = line.fetched or bound.file
    content = stored_content(kind, bound.fields, bound.file)
    if kind.name not in {"image", "file"}:
        return Row(whatsapp_id, account.own_jid, content, now)
    return Row(
        whatsapp_id,
        account.own_jid,
        content,
        now,
        media_type="image" if kind.name == "image" else "document",
        filename=media_name(kind, bound.fields, bound.file),
        file_length=0 if source is None else source.size,
    )
