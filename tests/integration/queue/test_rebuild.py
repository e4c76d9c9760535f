"""rebuild.lua: an empty or outdated Redis becomes that of a new epoch."""

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.rebuild import RebuiltState, epoch_is_current, rebuild
from shared.queue.taking import Settlement
from tests.integration.queue.rota import (
    LEASE,
    NOW,
    OPEN_TIMEOUT,
    build,
    busy,
    dispatcher,
    done,
    entries_in,
    entry,
    parked,
    put,
    rota,
    state,
    take,
    take_one,
)

BULK, TEXT = Lane.BULK, Lane.TRANSACTIONAL


class TestRebuild:
    """An empty or outdated Redis becomes the one of a new epoch."""

    async def test_old_work_is_dropped_and_the_new_state_stands(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0", "b/0"])
        await put(queue, entry(), entry(BULK), entry(endpoint="a"), entry(BULK, endpoint="b"))
        await enqueue(queue, [Placement(entry(), NOW)])
        await take(dispatcher(queue, "a", "b"))
        await build(
            queue,
            {"a/0": (NOW + 1, NOW + 2), "b/0": (NOW + 3, NOW + 9)},
            busy={"b/0": NOW + 5},
            states={"a": {"since_break": "4"}},
            epoch=2,
        )
        assert await rota(queue) == {"a/0": (NOW + 1, NOW + 2)}
        assert await busy(queue) == {"b/0": NOW + 5}
        assert await state(queue, "a") == {"since_break": "4", "slots": "1"}
        assert await parked(queue) == []
        for suffix in (":transactional", ":bulk", ":endpoint:a:transactional", ":endpoint:b:bulk"):
            assert await entries_in(queue, suffix) == []
        # A slot that was in use then keeps the campaign's pause when its lease ends.
        await promote(queue, 10, 0, OPEN_TIMEOUT, NOW + 5)
        assert (await rota(queue))["b/0"] == (NOW + 5, NOW + 9)

    async def test_a_later_rebuild_is_not_undone_by_an_earlier(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"], epoch=5)
        assert not await rebuild(queue, 5, RebuiltState({}, {}, {}))
        assert not await rebuild(queue, 4, RebuiltState({}, {}, {}))
        assert list(await rota(queue)) == ["a/0"]
        assert await epoch_is_current(queue, 5)
        assert not await epoch_is_current(queue, 4)

    async def test_a_copy_of_another_server_is_rebuilt_whatever_its_number(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"], epoch=5)
        await queue.redis.hset(queue.keys.epoch, "run_id", "0" * 40)
        assert not await epoch_is_current(queue, 5)
        assert await rebuild(queue, 5, RebuiltState({}, {}, {}))
        assert await epoch_is_current(queue, 5)

    async def test_assignments_from_before_give_no_slot_back(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        await put(queue, entry())
        taking = dispatcher(queue, "a")
        before = await take_one(taking)
        await build(queue, {"a/0": (0, 0)}, busy={"a/0": NOW + LEASE}, epoch=2)
        await taking.settle([done(before, outcome="fail", reason="500")], NOW)
        assert await busy(queue) == {"a/0": NOW + LEASE}
        assert await state(queue, "a") == {"slots": "1"}

    async def test_streams_that_are_there_already_do_not_hinder_it(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        await put(queue, entry(endpoint="a"))
        taking = dispatcher(queue, "a")
        await taking.settle([done(await take_one(taking))], NOW)
        await put(queue, entry())
        await take_one(taking)  # finds the own streams empty and looks at them no more
        streams = (":transactional", ":bulk", ":endpoint:a:transactional")
        assert await rebuild(queue, 2, RebuiltState({}, {}, {}, streams=streams))

    async def test_a_million_later_is_still_a_number_to_the_millisecond(self, queue: QueueConnection) -> None:
        moment = 1_834_567_891_237
        await build(queue, {"a/0": (moment, moment + 1)})
        assert await rota(queue) == {"a/0": (moment, moment + 1)}
        await put(queue, entry())
        taking = dispatcher(queue, "a")
        await taking.settle([Settlement(await take_one(taking, moment + 7))], moment + 9)
        assert await rota(queue) == {"a/0": (moment, moment + 1)}
