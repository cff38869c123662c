"""Whether a model really works: it is loaded in a process of its own and given a second of noise.

Not a measurement of how well it hears: `callreel evaluate` is.
"""

import time
from dataclasses import dataclass

import numpy as np

from callreel.asr.engine import Capabilities
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.audio.samples import ASR_HZ


@dataclass(frozen=True, slots=True)
class Worked:
    """What it can do, how long it took to load and to decode a second."""

    capabilities: Capabilities
    load_s: float
    decode_s: float


async def try_out(choice: EngineChoice) -> Worked:
    """Load the engine and ask it once. Raises EngineError with what it says is wrong."""
    began = time.monotonic()
    host = EngineHost(choice, 1)
    await host.start()
    try:
        loaded = time.monotonic()
        noise = np.random.default_rng(0).standard_normal(ASR_HZ) * 300
        await host.decode(noise.astype(np.int16))
        return Worked(host.capabilities, loaded - began, time.monotonic() - loaded)
    finally:
        await host.close()
