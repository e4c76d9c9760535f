"""Does what the schedule says, to the whole that runs. A fault that meets a process already in one is left out and counted."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

import redis.exceptions

from shared.errors import RebuildNeeded, StoreUnavailable
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.taking import Taking
from shared.settings import BreakerSettings, RedisSettings
from tests.chaos.fault_proxy import Direction
from tests.chaos.fault_schedule import Fault
from tests.chaos.refusing_redis import refusing
from tests.chaos.running_whole import QUEUE, Killed, Member, OlderCopy, Whole, take_over_empty

LEASE_MS = 95_000
"""As long as a dispatcher's with the settings of the whole."""
POSTGRES_TAIL = 8.0
"""Seconds after Postgres is back in which a gateway may still say 503: a connection that hangs takes 6 s to be given up."""


class Faults:
    def __init__(self, whole: Whole, seed: int, say: Callable[[str], None]) -> None:
        self.done: Counter[str] = Counter()
        self.left_out = 0
        self.late_stops = 0
        self._whole = whole
        self._say = say
        self._chance = random.Random(f"{seed} devices")
        self._store_in_fault: set[str] = set()

    async def inject(self, faults: Iterable[Fault]) -> None:
        """All of them at their times; returns when the last is over."""
        begun = asyncio.get_running_loop().time()

        async def one(fault: Fault) -> None:
            await asyncio.sleep(max(0.0, begun + fault.at - asyncio.get_running_loop().time()))
            await self._inject(fault)

        await asyncio.gather(*(one(fault) for fault in faults))

    async def _inject(self, fault: Fault) -> None:
        if fault.kind == "move_clock":
            is_done = await self._move_clock(fault, self._whole.members[fault.target])
        elif fault.kind == "fill_pending":
            is_done = await self._fill_pending(fault)
        elif fault.target in self._whole.members:
            is_done = await self._to_member(fault, self._whole.members[fault.target])
        elif fault.target in ("valkey", "postgres") and not self._is_network(fault):
            is_done = await self._to_store(fault)
        elif fault.kind == "freeze":
            await self._freeze(fault)
            is_done = True
        elif fault.target == "sender" and not self._is_network(fault):
            await self._mood(fault)
            is_done = True
        else:
            await self._network(fault)
            is_done = True
        if is_done:
            kind = fault.target.partition("-")[0]
            self.done[f"{fault.kind} {kind}"] += 1
            self._say(str(fault))
        else:
            self.left_out += 1

    @staticmethod
    def _is_network(fault: Fault) -> bool:
        return fault.kind in _NETWORK

    # Processes.

    async def _to_member(self, fault: Fault, member: Member) -> bool:
        if member.in_fault:
            return False
        member.in_fault = True
        try:
            match fault.kind:
                case "kill":
                    await self._kill(member)
                case "terminate":
                    self.late_stops += not await self._whole.terminated(member)
                case "stop":
                    member.process.pause()
            await asyncio.sleep(fault.seconds)
            if fault.kind == "stop":
                member.process.resume()
            else:
                member.process.launch()
        finally:
            member.in_fault = False
        return True

    async def _kill(self, member: Member) -> None:
        if member.name.startswith("dispatcher"):
            # Standing still, what it has in hand stays what it is until it is dead.
            member.process.pause()
            waiting = await self._waiting_in_hand(member)
            member.process.kill()
            self._whole.killed.append(Killed(member.name, time.time(), waiting))
        else:
            member.process.kill()
        self._whole.kills[member.name.partition("-")[0]] += 1

    async def _move_clock(self, fault: Fault, member: Member) -> bool:
        """There and back while it runs, whatever else happens to it."""
        member.clock.move(fault.size)
        await asyncio.sleep(fault.seconds)
        member.clock.move(0)
        return True

    async def _fill_pending(self, fault: Fault) -> bool:
        """A dispatcher takes what it can get, says that it lives, reads more into its pending list, and is never heard of
        again. False: it got nothing."""
        whole = self._whole
        settings = RedisSettings(
            redis_host=whole.valkey.host,
            redis_port=whole.valkey.port,
            redis_password=whole.valkey.password,
            redis_queue_name=QUEUE,
        )
        queue = QueueConnection(settings)
        name = f"hoarder-{fault.at:.0f}"
        endpoints = [whole.endpoint(device) for device in whole.devices]
        taking = Taking(queue, name, endpoints, LEASE_MS, BreakerSettings(), 1)
        messages: list[str] = []
        end = time.monotonic() + fault.seconds
        try:
            await taking.beat()
            while len(messages) < fault.size and time.monotonic() < end:
                messages += [str(one.entry.message) for one in (await taking.take(2)).assignments]
                for lane in Lane:
                    messages += await self._read(queue, name, lane)
        except (StoreUnavailable, RebuildNeeded, redis.exceptions.RedisError):
            # Whatever it has by now it keeps.
            pass
        finally:
            await queue.close()
        whole.hoards.append(Killed(name, time.time(), messages))
        return bool(messages)

    async def _read(self, queue: QueueConnection, name: str, lane: Lane) -> list[str]:
        stream = queue.keys.lane(lane)
        answer = await queue.ask("XREADGROUP", "GROUP", queue.group, name, "COUNT", 5, "STREAMS", stream, ">")
        return [str(fields["m"]) for entries in dict(answer or {}).values() for _, fields in entries]

    async def _waiting_in_hand(self, member: Member) -> list[str]:
        """Ids of the messages whose entries the dispatcher has pending; none when Redis does not answer now."""
        messages: list[str] = []
        client = self._whole.redis()
        try:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                for lane in ("transactional", "bulk"):
                    stream = f"{{{QUEUE}}}:{lane}"
                    for line in await client.xpending_range(stream, "workers", "-", "+", 200):
                        if not str(line["consumer"]).startswith(f"{member.name}-"):
                            continue
                        for _, fields in await client.xrange(stream, line["message_id"], line["message_id"]) or []:
                            messages.append(str((fields or {})["m"]))
        finally:
            await client.aclose()
        return messages

    # Stores.

    async def _to_store(self, fault: Fault) -> bool:
        if fault.target in self._store_in_fault:
            return False
        self._store_in_fault.add(fault.target)
        begun = time.time()
        try:
            await (self._valkey(fault) if fault.target == "valkey" else self._postgres(fault))
        finally:
            self._store_in_fault.discard(fault.target)
            if fault.target == "postgres":
                self._whole.postgres_away.append((begun, time.time() + POSTGRES_TAIL))
        return True

    async def _valkey(self, fault: Fault) -> None:
        whole, valkey = self._whole, self._whole.valkey
        match fault.kind:
            case "flush":
                client = whole.redis()
                try:
                    await client.flushall()
                finally:
                    await client.aclose()
            case "kill":
                await whole.in_thread(valkey.kill)
                whole.kills["valkey"] += 1
                await asyncio.sleep(fault.seconds)
                await whole.in_thread(valkey.start)
            case "older_copy":
                copy = await whole.in_thread(OlderCopy, valkey)
                await asyncio.sleep(fault.seconds)
                await whole.in_thread(copy.take_over)
                whole.kills["valkey"] += 1
            case "empty_one":
                await whole.in_thread(take_over_empty, valkey)
                whole.kills["valkey"] += 1
            case "pause":
                await whole.in_thread(valkey.pause)
                await asyncio.sleep(fault.seconds)
                await whole.in_thread(valkey.resume)
            case "restart":
                await whole.in_thread(valkey.restart)
            case _:
                await refusing(whole.redis, fault.kind, fault.seconds)

    async def _postgres(self, fault: Fault) -> None:
        whole, postgres = self._whole, self._whole.postgres
        match fault.kind:
            case "kill":
                await whole.in_thread(postgres.kill)
                whole.kills["postgres"] += 1
                await asyncio.sleep(fault.seconds)
                await whole.in_thread(postgres.start)
            case "pause":
                await whole.in_thread(postgres.pause)
                await asyncio.sleep(fault.seconds)
                await whole.in_thread(postgres.resume)
            case "restart":
                await whole.in_thread(postgres.restart)
            case "read_only":
                await whole.set_read_only(True)
                await asyncio.sleep(fault.seconds)
                await whole.set_read_only(False)

    # Network and sender.

    async def _network(self, fault: Fault) -> None:
        proxy = self._whole.proxies[fault.target]
        begun = time.time()
        match fault.kind:
            case "delay_request" | "delay_reply":
                direction = Direction(fault.kind.removeprefix("delay_"))
                proxy.delay(direction, fault.size)
            case "cut":
                proxy.cut()
            case "half_close":
                proxy.half_close(self._chance.choice(list(Direction)))
            case "lose_reply":
                proxy.lose_replies(int(fault.size))
            case "hold_reply":
                proxy.hold(Direction.REPLY)
            case "refuse":
                proxy.refuse()
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
            proxy.heal()
        if fault.target == "postgres":
            self._whole.postgres_away.append((begun, time.time() + POSTGRES_TAIL))

    async def _freeze(self, fault: Fault) -> None:
        """SIGSTOP to all of the sender: what has reached it goes on after the thaw, whoever still waits for it."""
        begun = time.time()
        self._whole.simulator.pause()
        await asyncio.sleep(fault.seconds)
        self._whole.simulator.resume()
        self._whole.sender_frozen.append((begun, time.time()))

    async def _mood(self, fault: Fault) -> None:
        whole = self._whole
        # A state of the whole account has no rate.
        content: dict[str, object] = {"mood": fault.kind}
        if fault.kind not in _STATES:
            content |= {"rate": fault.size, "seed": self._chance.randrange(1 << 30)}
        devices = self._chance.sample(whole.devices, _STATES.get(fault.kind, 3))
        for device in devices:
            await whole.simulate("PUT", f"devices/{device}/mood", content)
        await asyncio.sleep(fault.seconds)
        for device in devices:
            await whole.simulate("PUT", f"devices/{device}/mood", {"mood": "ok"})


_STATES = {"logged-out": 1, "lookups-out": 6}
"""Moods of an account as a whole, and how many accounts are in them at once."""
_NETWORK = frozenset({"delay_request", "delay_reply", "cut", "half_close", "lose_reply", "hold_reply", "refuse"})
