"""One send from arrival to answer, in GOWA's order: user, device, body, fields, session, lookup, media, WhatsApp.

Every step may refuse; a mood strikes at the step where its cause would be in GOWA. As in GOWA a client that leaves does
not stop its send, and sends of one account wait for each other behind a lock that no deadline cuts short.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass, field, replace
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


@dataclass(slots=True)
class _Send:
    """One send under way. ``restarts`` is how often GOWA had been restarted when it arrived."""

    kind: Kind
    account: Account
    line: Line
    restarts: int
    bound: Bound = field(default_factory=Bound)
    started: float = 0.0
    fate: Mood | None = None
    is_decided: bool = False

    @property
    def phone(self) -> str:
        """The JID that GOWA makes of the phone; a leading ``+`` is still there."""
        return recipient_jid(self.bound.fields.get("phone", ""))


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
        in_flight = resolved.arrived(request, counts)
        line.in_flight = in_flight if counts else 0
        send = _Send(kind, resolved, line, resolved.restarts)
        try:
            answer = await self._answer(send, request)
            if resolved.restarts != send.restarts:
                raise _Struck("killed")
            return _finish(line, request, answer)
        except _Struck as struck:
            return await self._end(struck, line, request)
        except (ConnectionError, aiohttp.ClientPayloadError):
            line.outcome = "client-gone"
            return web.Response()
        finally:
            resolved.left(request)
            if line.finished_at is None:
                line.finished_at = time.time()
            if line.outcome is None:
                line.outcome = "client-gone"  # only a server that cancels handlers, or one that stops, comes here

    async def _answer(self, send: _Send, request: web.Request) -> Answer:
        refusal = await self._bind(send, request)
        await send.account.until_thawed()
        if refusal is not None:
            return refusal
        # GOWA's deadline runs from here, although lookups and downloads do not heed it.
        send.started = time.monotonic()
        self._decide_fate(send)
        kind, fields = send.kind, send.bound.fields
        send.line.malformed = send.bound.problems + offences(kind, fields, send.bound.file)
        self._strike(send, "door")
        refusal = field_refusal(kind, {**fields, "phone": send.phone}, send.bound.file)
        if refusal is not None:
            send.line.malformed.append("refused by the rules on fields")
            return refusal
        if send.account.is_booting:
            return answers.NO_CLIENT
        self._strike(send, "session")
        refusal = await self._lookup_refusal(send) or await self._media_refusal(send)
        if refusal is not None:
            return refusal
        quoted = fields.get("reply_message_id")
        if quoted:
            send.line.quote_found = self._simulation.storage.holds(send.account, quoted)
        if kind.is_presence and send.fate is None:
            return _presence_answer(kind, fields, send.phone.removeprefix("+"))
        return await self._through_whatsapp(send)

    async def _bind(self, send: _Send, request: web.Request) -> Answer | None:
        """Fill ``send.bound`` and the line; GOWA's answer to a body that it cannot use."""
        bound, line = send.bound, send.line

        def stop_at_file() -> bool:
            self._decide_fate(send)
            return send.fate is not None and send.fate.kind in {"cut-before", "413"}

        try:
            await bind(request, send.kind, bound, stop_at_file)
        except BindError as error:
            line.malformed = [error.problem]
            if error.answer is answers.TOO_LARGE:
                raise _Struck("reset", error.answer) from None
            return error.answer
        except StoppedAtFile:
            pass
        finally:
            line.fields = bound.fields
            line.file = bound.file
            line.phone = bound.fields.get("phone")
        return None

    def _decide_fate(self, send: _Send) -> None:
        if not send.is_decided:
            send.is_decided = True
            send.fate = self._fate(send.kind, send.account, send.phone)

    def _fate(self, kind: Kind, account: Account, jid: str) -> Mood | None:
        if account.mood.kind in {"ok", "frozen"} or account.is_booting:
            return None
        if kind.is_presence and account.mood.strikes_all(jid):
            return account.mood
        return account.fate(kind.name, jid, self._simulation.storage.knows(account, jid))

    def _strike(self, send: _Send, stage: str) -> None:
        fate = send.fate
        if fate is None or fate.behaviour.stage != stage:
            return
        if fate.behaviour.ending != "answer":
            raise _Struck(fate.behaviour.ending)
        answer = fate.answer or fate.behaviour.answer or answers.device_not_found(send.account.device)
        raise _Struck("answer", answer)

    async def _lookup_refusal(self, send: _Send) -> Answer | None:
        """What the lookup of the number comes to; a fate of this stage is over when it comes to nothing."""
        fate, jid, is_presence = send.fate, send.phone, send.kind.is_presence
        numbers = self._simulation.numbers
        if fate is not None and fate.behaviour.stage == "lookup":
            send.fate = None
            if fate.kind == "not-on-whatsapp":
                return fate.answer or numbers.absence(jid)
            if fate.kind == "lookups-hang":
                await asyncio.sleep(self._simulation.settings.lookup_limit)
            needs_lid = not is_presence and not self._simulation.storage.knows(send.account, jid.removeprefix("+"))
            refusal = fate.answer or numbers.failure(jid, needs_lid)
            if refusal is not None:
                return refusal
        return numbers.refusal(jid, is_presence)

    async def _media_refusal(self, send: _Send) -> Answer | None:
        refusal = media_refusal(send.kind, send.bound.fields, send.bound.file)
        if refusal is not None:
            return refusal
        fetched = await self._simulation.downloads.fetch(send.kind, send.bound.fields)
        if isinstance(fetched, Answer):
            return fetched
        send.line.fetched = fetched
        return None

    async def _through_whatsapp(self, send: _Send) -> Answer:
        account, fate = send.account, send.fate
        latency = account.latency if fate is None or fate.latency is None else fate.latency
        await account.until_thawed()
        if latency == 0 and not account.lock.locked():
            return self._decide(send)
        deadline = self._simulation.settings.deadline
        async with account.lock:
            left = deadline - (time.monotonic() - send.started)
            if left <= 0:
                # The deadline passed in the queue before the lock: nothing was written to WhatsApp.
                return answers.DEADLINE
            if latency > left:
                send.fate = Mood("504-taken")
            if send.fate is not None and send.fate.kind == "504-taken":
                # WhatsApp has it long before the deadline: the receipts may come first.
                refusal = self._take(send)
                if refusal is not None:
                    return refusal
            await asyncio.sleep(min(latency, left))
            await account.until_thawed()
            if time.monotonic() - send.started > deadline:
                send.fate = Mood("504-taken")
            return self._decide(send)

    def _take(self, send: _Send) -> Answer | None:
        """Hand the message to WhatsApp, if the mood lets it get there; whatsmeow's refusal when it does not leave."""
        account, line, fate = send.account, send.line, send.fate
        if account.restarts != send.restarts:
            raise _Struck("killed")
        if send.kind.is_presence or line.taken:
            return None
        jid = send.phone.removeprefix("+")
        refusal = self._simulation.groups.refusal(account.device, jid)
        if refusal is not None:
            return refusal
        if fate is None or fate.is_taken:
            line.taken = True
            line.whatsapp_id = "3EB0" + secrets.token_hex(9).upper()
            self._simulation.receipts.message_taken(account, jid, line.whatsapp_id)
            if fate is None or fate.is_stored:
                self._simulation.storage.store(account, jid, _row(send, line.whatsapp_id))
            account.count_taken()
        return None

    def _decide(self, send: _Send) -> Answer:
        """What WhatsApp makes of it; without an ``await``, so that a line, its row and its receipts agree."""
        kind, line, fate = send.kind, send.line, send.fate
        behaviour = BEHAVIOURS["ok"] if fate is None else fate.behaviour
        refusal = self._take(send)
        if refusal is not None:
            return refusal
        if behaviour.ending != "answer":
            raise _Struck(behaviour.ending)
        refusal = (None if fate is None else fate.answer) or behaviour.answer
        if refusal is not None:
            return refusal
        if kind.is_presence:
            return _presence_answer(kind, send.bound.fields, send.phone.removeprefix("+"))
        when = time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime())
        status = f"{kind.says} {send.phone} (server timestamp: {when})"
        return success(status, {"message_id": line.whatsapp_id, "status": status})

    async def _end(self, struck: _Struck, line: Line, request: web.Request) -> web.StreamResponse:
        if struck.ending == "answer" and struck.answer is not None:
            return _finish(line, request, struck.answer)
        if struck.ending == "reset" and struck.answer is not None and request.transport is not None:
            # Fiber answers and closes without reading on: whoever is still writing sees a reset, not the answer.
            request.transport.write(struck.answer.raw())
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


def _row(send: _Send, whatsapp_id: str) -> Row:
    kind, bound = send.kind, send.bound
    source = send.line.fetched or bound.file
    content = stored_content(kind, bound.fields, bound.file)
    row = Row(whatsapp_id, send.account.own_jid, content, int(time.time()))
    if kind.name not in {"image", "file"}:
        return row
    return replace(
        row,
        media_type="image" if kind.name == "image" else "document",
        filename=media_name(kind, bound.fields, bound.file),
        file_length=0 if source is None else source.size,
    )
