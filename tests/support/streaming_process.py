"""A process that streams a call into its lanes until it is killed, for `test_recovery`.

Usage: python -m tests.support.streaming_process FOLDER
FOLDER/placed has the number of frames that each track was given, and outlives the process.
"""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np

from callreel.audio.samples import Samples
from callreel.domain.call import Track
from callreel.twilio.stream import Frame
from tests.support.installation import (
    Installation,
    answering,
    frames,
    grounded,
    live_side,
    silence,
    speech,
    token_in,
    voice_request,
)
from tests.support.streams import started

PACE = 10
"""Speed, as a multiple of real time."""


def said(seed: int) -> Samples:
    """Half a minute of speech and pauses."""
    turns = [part for n in range(10) for part in (speech(1_800, seed=seed + n), silence(1_200))]
    return np.concatenate(turns)


async def stream(installation: Installation) -> None:
    token = token_in(answering(installation).answer(voice_request()))
    placed = os.open(installation.folder / "placed", os.O_RDWR | os.O_CREAT)
    async with live_side(installation) as live:
        stream = await live.streams.open(started(token))
        assert stream is not None
        both = zip(frames(said(0)), frames(said(100)), strict=True)
        for number, ((timestamp_ms, agent), (_, technician)) in enumerate(both, start=1):
            stream.place([Frame(Track.INBOUND, timestamp_ms, agent)])
            stream.place([Frame(Track.OUTBOUND, timestamp_ms, technician)])
            os.pwrite(placed, number.to_bytes(8, "little"), 0)
            await asyncio.sleep(0.02 / PACE)


if __name__ == "__main__":
    with grounded(Path(sys.argv[1])) as here:
        asyncio.run(stream(here))
