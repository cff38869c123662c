import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from callreel.asr.engine import fallback_engine
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.failover import FailoverHost
from callreel.asr.workers.host import EngineHost
from callreel.domain.errors import EngineError

AUDIO = np.ones(16000, np.int16)


def scripted(**options: str | int | float | bool) -> EngineHost:
    return EngineHost(EngineChoice("python:tests.asr.scripted", options), 1, start_timeout_s=60)


@asynccontextmanager
async def running(trouble: Path, retry_s: float = 60) -> AsyncIterator[FailoverHost]:
    """The first engine fails while the file `trouble` is there."""
    host = FailoverHost(
        lambda: scripted(text="first", trouble=str(trouble)),
        lambda: scripted(text="second"),
        retry_s=[retry_s],
    )
    await host.start()
    try:
        yield host
    finally:
        await host.close()
        assert host.pids == []


async def text(host: FailoverHost) -> tuple[str, str]:
    words = await host.decode(AUDIO)
    return " ".join(word.text for word in words), fallback_engine(words)


async def back(host: FailoverHost) -> None:
    """Wait until the first engine hears again."""
    works = asyncio.Event()
    host.on_free(lambda: None if host.standing_in else works.set())
    if host.standing_in:
        async with asyncio.timeout(30):
            await works.wait()


def test_while_the_first_works_the_second_is_not_even_begun(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path / "trouble") as host:
            assert await text(host) == ("first", "")
            assert len(host.pids) == 1
            assert not host.standing_in

    asyncio.run(scene())


def test_a_job_that_the_first_cannot_do_is_done_by_the_second_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path / "trouble") as host:
            (tmp_path / "trouble").touch()
            assert await text(host) == ("second", "scripted")
            assert not host.standing_in
            (tmp_path / "trouble").unlink()
            assert await text(host) == ("first", "")

    asyncio.run(scene())


def test_after_two_in_a_row_the_second_stands_in_until_the_first_works_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path / "trouble", retry_s=0.05) as host:
            freed: list[bool] = []
            host.on_free(lambda: freed.append(host.standing_in))
            (tmp_path / "trouble").touch()
            assert [await text(host) for _ in range(3)] == [("second", "scripted")] * 3
            assert host.standing_in and "in trouble" in host.why
            (tmp_path / "trouble").unlink()
            await back(host)
            assert await text(host) == ("first", "")
            assert {True, False} <= set(freed)

    asyncio.run(scene())


def test_a_first_that_cannot_be_loaded_is_tried_again_and_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "trouble").touch()
        async with running(tmp_path / "trouble", retry_s=0.05) as host:
            assert host.standing_in
            assert await text(host) == ("second", "scripted")
            (tmp_path / "trouble").unlink()
            await back(host)
            assert await text(host) == ("first", "")

    asyncio.run(scene())


def test_jobs_at_once_are_each_answered_while_it_changes_hands(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path / "trouble") as host:
            (tmp_path / "trouble").touch()
            answers = await asyncio.gather(*(text(host) for _ in range(8)))
            assert answers == [("second", "scripted")] * 8

    asyncio.run(scene())


def test_an_open_segment_moves_to_the_other_engine_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path / "trouble") as host:
            await host.hear("segment", AUDIO)
            (tmp_path / "trouble").touch()
            words = await host.hear("segment", np.ones(32000, np.int16), final=True)
            assert [word.text for word in words] == ["second"]
            assert words[-1].end_ms == 2000
            host.forget("segment")
            assert host.free_for("segment")

    asyncio.run(scene())


def test_when_neither_can_be_loaded_the_second_says_why() -> None:
    async def scene() -> None:
        host = FailoverHost(lambda: scripted(complaint="no"), lambda: scripted(complaint="neither"))
        with pytest.raises(EngineError, match="neither"):
            await host.start()
        await host.close()

    asyncio.run(scene())
