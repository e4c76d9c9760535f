"""note: what one service notices another can tell of, for a while, and it costs Redis nothing that lasts."""

from shared.queue.connection import QueueConnection
from shared.queue.noting import WINDOW_MINUTES, Noted, note, noted
from tests.integration.queue.rota import NOW

WIDTH = WINDOW_MINUTES * 60_000
BEGIN = NOW - NOW % WIDTH


async def test_it_is_counted_for_its_window_and_the_next(queue: QueueConnection) -> None:
    nothing = dict.fromkeys(Noted, 0)
    assert await noted(queue, BEGIN) == nothing
    await note(queue, Noted.REFUSED_WEBHOOK, 2, BEGIN)
    await note(queue, Noted.REFUSED_WEBHOOK, 3, BEGIN + WIDTH)
    assert await noted(queue, BEGIN) == nothing | {Noted.REFUSED_WEBHOOK: 2}
    assert await noted(queue, BEGIN + WIDTH) == nothing | {Noted.REFUSED_WEBHOOK: 5}
    assert await noted(queue, BEGIN + 2 * WIDTH) == nothing | {Noted.REFUSED_WEBHOOK: 3}
    assert await noted(queue, BEGIN + 3 * WIDTH) == nothing


async def test_one_does_not_count_for_another(queue: QueueConnection) -> None:
    await note(queue, Noted.UNLISTED_ANSWER)
    found = await noted(queue)
    assert (found[Noted.UNLISTED_ANSWER], found[Noted.REFUSED_WEBHOOK]) == (1, 0)


async def test_nothing_of_it_stays(queue: QueueConnection) -> None:
    for number in range(5):
        await note(queue, Noted.UNLISTED_ANSWER, 1, BEGIN + number * WIDTH)
    keys = [key async for key in queue.redis.scan_iter(queue.keys.prefix + ":noted:*")]
    assert len(keys) == 5
    for key in keys:
        assert 0 < await queue.redis.pttl(key) <= 2 * WIDTH
