import asyncio
from pathlib import Path

import numpy as np
import pytest

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.domain.call import Role
from callreel.evaluation.decoding import Decoded, EngineDecoding, Oracle
from callreel.evaluation.material import read_material
from tests.support.two_channel_call import write_call

SECOND = np.zeros(16_000, np.int16)


def ask(oracle: Oracle, role: Role, start_ms: int, seconds: float) -> Decoded:
    samples = np.zeros(int(16_000 * seconds), np.int16)
    return asyncio.run(oracle.decode(role, start_ms, samples, partial=False))


def by_engine(options: dict[str, str | int | float | bool]) -> Decoded:
    async def run() -> Decoded:
        host = EngineHost(EngineChoice("python:tests.asr.scripted", options), 1)
        await host.start()
        try:
            return await EngineDecoding(host).decode(Role.AGENT, 0, SECOND, partial=False)
        finally:
            await host.close()

    return asyncio.run(run())


def test_oracle_answers_with_the_words_of_the_span(tmp_path: Path) -> None:
    oracle = Oracle(delay_ms=70)
    oracle.begin(read_material(write_call(tmp_path))[0])
    # Words of the agent are at 1.00-1.25, 1.35-1.60, 1.70-1.95, ...
    decoded = ask(oracle, Role.AGENT, 1200, 0.7)
    assert [word.text for word in decoded.words] == ["the", "pump"]
    assert (decoded.words[0].start_ms, decoded.words[0].end_ms) == (150, 400)
    assert decoded.took_ms == 70
    assert ask(oracle, Role.TECHNICIAN, 1200, 0.7).words == []


def test_adjoining_spans_have_each_word_once(tmp_path: Path) -> None:
    oracle = Oracle()
    oracle.begin(read_material(write_call(tmp_path))[0])
    pieces = [ask(oracle, Role.AGENT, at, 0.25).words for at in range(0, 16_000, 250)]
    assert " ".join(word.text for piece in pieces for word in piece) == (
        "is the pump at full pressure now please shut the valve"
    )


def test_an_engine_answers_with_what_it_cost() -> None:
    decoded = by_engine({"text": "all is well", "delay_s": 0.05})
    assert [word.text for word in decoded.words] == ["all", "is", "well"]
    assert decoded.took_ms >= 0 and not decoded.failed
    # It sleeps, which costs no processor time: where that is known, waiting is left out.
    assert decoded.cpu_s < 0.05


def test_an_engine_that_cannot_decode_has_failed() -> None:
    decoded = by_engine({"grumble": "no"})
    assert decoded.failed and list(decoded.words) == []


def test_oracle_needs_its_recording_first() -> None:
    with pytest.raises(AssertionError, match="begin"):
        ask(Oracle(), Role.AGENT, 0, 1)
