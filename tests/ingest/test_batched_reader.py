import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from callreel.ingest.media.batched_reader import STEP_S, BatchedReader


async def test_members_are_read_once_a_period_spread_over_it() -> None:
    together: list[list[int]] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    reader = BatchedReader(8 * STEP_S)

    def member(number: int) -> Callable[[], None]:
        def read() -> None:
            if not together or together[-1][-1] < 0:
                together.append([])
                loop.call_soon(lambda: together[-1].append(-1))
            together[-1].append(number)
            if sum(map(len, together)) > 400:
                done.set()

        return read

    members = [member(number) for number in range(16)]
    for read in members:
        reader.add(read)
    assert len(reader) == 16
    await asyncio.wait_for(done.wait(), 30)
    for read in members:
        reader.remove(read)
    assert len(reader) == 0
    steps = [[number for number in step if number >= 0] for step in together[:-1]]
    assert {len(step) for step in steps} == {2}, "sixteen over eight steps"
    counts = Counter(number for step in steps[: len(steps) // 8 * 8] for number in step)
    assert len(set(counts.values())) == 1, counts


async def test_members_may_leave_and_join_while_one_is_read() -> None:
    reader, seen, done = BatchedReader(STEP_S), Counter[str](), asyncio.Event()

    def first() -> None:
        seen["first"] += 1
        reader.remove(first)
        reader.remove(second)
        reader.add(third)

    def second() -> None:
        seen["second"] += 1

    def third() -> None:
        seen["third"] += 1
        reader.remove(third)
        done.set()

    reader.add(first)
    reader.add(second)
    await asyncio.wait_for(done.wait(), 30)
    reader.remove(third)  # removing twice does nothing
    assert seen == {"first": 1, "third": 1}


async def test_member_that_raises_is_removed_and_others_are_read(caplog: pytest.LogCaptureFixture) -> None:
    reader, done, seen = BatchedReader(STEP_S), asyncio.Event(), list[str]()

    def bad() -> None:
        seen.append("bad")
        raise RuntimeError("no")

    def good() -> None:
        seen.append("good")
        if seen.count("good") == 2:
            done.set()

    reader.add(bad)
    reader.add(good)
    await asyncio.wait_for(done.wait(), 30)
    assert len(reader) == 1, "the bad one was removed"
    reader.remove(good)
    assert len(reader) == 0
    assert seen[:3] == ["bad", "good", "good"] and seen.count("bad") == 1
    assert "could not be read" in caplog.text


async def test_empty_reader_starts_again_with_its_next_member() -> None:
    reader = BatchedReader(STEP_S)
    for _ in range(2):
        done = asyncio.Event()
        reader.add(done.set)
        await asyncio.wait_for(done.wait(), 30)
        reader.remove(done.set)
        await asyncio.sleep(3 * STEP_S)
