import asyncio

import numpy as np

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.asr.workers.pool import EnginePool, StartedEngine


async def test_engine_starts_once_and_ends_when_idle(tmp_path: object) -> None:
    begun: list[str] = []

    async def begin(name: str) -> StartedEngine:
        begun.append(name)
        host = EngineHost(EngineChoice("python:tests.asr.scripted", {"text": name}), 1)
        await host.start()
        return StartedEngine(host, host.capabilities, "")

    pool = EnginePool(begin, idle_s=0.01)
    audio = np.ones(16000, np.int16)
    words = await asyncio.gather(*(pool.decode(name, [audio]) for name in ("one", "two", "one")))
    assert [decoded[0][0].text for decoded in words] == ["one", "two", "one"]
    assert sorted(begun) == ["one", "two"]
    assert (await pool.engine("one")).capabilities.name == "scripted"
    ending = asyncio.create_task(pool.run())
    async with asyncio.timeout(30):
        while pool.names:  # noqa: ASYNC110  # an end sets no event
            await asyncio.sleep(0.01)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert (await pool.decode("one", [audio]))[0][0].text == "one"
    assert sorted(begun) == ["one", "one", "two"]
    await pool.close()
    assert pool.names == set()
