"""Checks that a model works: it is loaded in a worker process and decodes a second of noise.

How well it transcribes is for `callreel evaluate`.
"""

import time
from dataclasses import dataclass

import numpy as np

from callreel.asr.engine import Capabilities
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.audio.samples import ASR_HZ, Samples


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What the engine can do, how long it took to load and to decode a second."""

    capabilities: Capabilities
    load_s: float
    decode_s: float


async def check_model(choice: EngineChoice) -> ModelCheck:
    """Load the engine and decode once. Raises EngineError with the engine's reason."""
    began = time.monotonic()
    host = EngineHost(choice, 1)
    await host.start()
    try:
        loaded = time.monotonic()
        await host.decode([noise()])
        return ModelCheck(host.capabilities, loaded - began, time.monotonic() - loaded)
    finally:
        await host.close()


def noise() -> Samples:
    """A second of quiet noise."""
    return (np.random.default_rng(0).standard_normal(ASR_HZ) * 300).astype(np.int16)
