import asyncio
from collections import Counter

import pytest

from callreel.ingest.media.batched_reader import STEP_S, BatchedReader


def test_every_member_is_read_once_a_period_and_not_all_at_once() -> None:
    async def scene() -> list[list[int]]:
        together: list[list[int]] = []
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        round_ = BatchedReader(8 * STEP_S)

        def reader(number: int) -> None:
            if not together or together[-1][-1] < 0:
                together.append([])
                loop.call_soon(lambda: together[-1].append(-1))
            together[-1].append(number)
            if sum(map(len, together)) > 400:
                done.set()

        readers = [lambda number=number: reader(number) for number in range(16)]
        turns = [round_.add(read) for read in readers]
        assert len(round_) == 16
        await asyncio.wait_for(done.wait(), 30)
        for turn in turns:
            turn.end()
        assert len(round_) == 0
        return [[number for number in step if number >= 0] for step in together[:-1]]

    steps = asyncio.run(scene())
    assert {len(step) for step in steps} == {2}, "sixteen over eight steps"
    read = Counter(number for step in steps[: len(steps) // 8 * 8] for number in step)
    assert len(set(read.values())) == 1, read


def test_a_member_may_leave_and_others_may_come_while_it_is_read() -> None:
    async def scene() -> None:
        round_, seen, done = BatchedReader(STEP_S), Counter[str](), asyncio.Event()

        def first() -> None:
            seen["first"] += 1
            turns[0].end()
            turns[1].end()
            turns.append(round_.add(third))

        def second() -> None:
            seen["second"] += 1

        def third() -> None:
            seen["third"] += 1
            turns[2].end()
            done.set()

        turns = [round_.add(first), round_.add(second)]
        await asyncio.wait_for(done.wait(), 30)
        turns[2].end()  # leaving twice is no matter
        assert seen == {"first": 1, "third": 1}

    asyncio.run(scene())


def test_a_member_that_raises_is_left_out_and_the_others_are_read(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        round_, done, seen = BatchedReader(STEP_S), asyncio.Event(), list[str]()

        def bad() -> None:
            seen.append("bad")
            raise RuntimeError("no")

        def good() -> None:
            seen.append("good")
            if seen.count("good") == 2:
                done.set()

        turns = [round_.add(bad), round_.add(good)]
        await asyncio.wait_for(done.wait(), 30)
        assert [turn.is_over for turn in turns] == [True, False]
        turns[1].end()
        assert seen == ["bad", "good", "good"]

    asyncio.run(scene())
    assert "could not be read" in caplog.text


def test_an_empty_round_begins_again_with_the_next_member() -> None:
    async def scene() -> None:
        round_ = BatchedReader(STEP_S)
        for _ in range(2):
            done = asyncio.Event()
            turn = round_.add(done.set)
            await asyncio.wait_for(done.wait(), 30)
            turn.end()
            await asyncio.sleep(3 * STEP_S)

    asyncio.run(scene())
