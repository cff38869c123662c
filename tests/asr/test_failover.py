import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.failover import FailoverEngine
from callreel.asr.workers.host import EngineHost
from callreel.domain.errors import EngineError
from callreel.runtime.retry import Backoff

AUDIO = np.ones(16000, np.int16)


def scripted(**options: str | int | float | bool) -> EngineHost:
    return EngineHost(EngineChoice("python:tests.asr.scripted", options), 1, start_timeout_s=60)


@asynccontextmanager
async def running(trouble: Path, first_s: float = 60) -> AsyncIterator[FailoverEngine]:
    """The first engine fails while the file `trouble` is there."""
    host = FailoverEngine(
        lambda: scripted(text="first", trouble=str(trouble)),
        lambda: scripted(text="second"),
        backoff=Backoff(first_s, first_s),
    )
    await host.start()
    try:
        yield host
    finally:
        await host.close()
        assert host.pids == []


async def text(host: FailoverEngine) -> tuple[str, str]:
    [words] = await host.decode([AUDIO])
    return " ".join(word.text for word in words), words.fallback_engine


async def recovered(host: FailoverEngine) -> None:
    """Wait until the first engine decodes again."""
    async with asyncio.timeout(30):
        while host.failure:  # noqa: ASYNC110  # recovery sets no event
            await asyncio.sleep(0.01)


async def test_second_engine_is_not_started_while_the_first_works(tmp_path: Path) -> None:
    async with running(tmp_path / "trouble") as host:
        assert await text(host) == ("first", "")
        assert len(host.pids) == 1
        assert not host.failure


async def test_failed_job_goes_to_the_fallback_and_names_it(tmp_path: Path) -> None:
    async with running(tmp_path / "trouble") as host:
        (tmp_path / "trouble").touch()
        assert await text(host) == ("second", "scripted")
        assert not host.failure
        (tmp_path / "trouble").unlink()
        assert await text(host) == ("first", "")


async def test_two_failures_switch_until_the_first_recovers(tmp_path: Path) -> None:
    async with running(tmp_path / "trouble", first_s=0.05) as host:
        (tmp_path / "trouble").touch()
        assert [await text(host) for _ in range(3)] == [("second", "scripted")] * 3
        assert "in trouble" in host.failure
        (tmp_path / "trouble").unlink()
        await recovered(host)
        assert await text(host) == ("first", "")


async def test_a_first_that_cannot_be_loaded_is_tried_again_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "trouble").touch()
    async with running(tmp_path / "trouble", first_s=0.05) as host:
        assert host.failure
        assert await text(host) == ("second", "scripted")
        (tmp_path / "trouble").unlink()
        await recovered(host)
        assert await text(host) == ("first", "")


async def test_jobs_at_once_are_each_answered_while_it_changes_hands(tmp_path: Path) -> None:
    async with running(tmp_path / "trouble") as host:
        (tmp_path / "trouble").touch()
        answers = await asyncio.gather(*(text(host) for _ in range(8)))
        assert answers == [("second", "scripted")] * 8


async def test_when_neither_can_be_loaded_the_second_says_why() -> None:
    host = FailoverEngine(lambda: scripted(complaint="no"), lambda: scripted(complaint="neither"))
    with pytest.raises(EngineError, match="neither"):
        await host.start()
    await host.close()
