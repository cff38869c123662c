import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.engines.sentence_pieces import vocabulary
from callreel.asr.engines.sherpa import check, load, words_of
from callreel.asr.workers.host import EngineHost
from callreel.domain.errors import EngineError
from tests.asr.tiny_sherpa import CHUNK_MS, build_ctc, build_transducer

SENTENCE = "please ask a technician to check my boiler"


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_ctc(tmp_path_factory.mktemp("sherpa") / "ctc", SENTENCE.split()))


@pytest.fixture(scope="module")
def transducer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sherpa") / "transducer"
    return str(build_transducer(folder, "check my boiler".split(), instead={"boiler": "broiler"}))


def hiss(duration_ms: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return (np.random.default_rng(3).standard_normal(16 * duration_ms) * 900).astype(np.int16)


def said(words: object) -> str:
    return " ".join(word.text for word in words)  # type: ignore[attr-defined]


def test_words_of_a_whole_segment_have_times_in_order(ctc: str) -> None:
    words = load({"model": ctc}).decode(hiss(3000), partial=False)
    assert said(words) == SENTENCE
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert words[3].start_ms - words[2].start_ms == CHUNK_MS
    assert all(word.confidence is None for word in words)


def test_words_come_as_the_audio_does_and_the_last_ones_at_its_end(ctc: str) -> None:
    stream = load({"model": ctc}).stream()
    shown = [said(stream.feed(hiss(CHUNK_MS))) for _ in range(5)]
    assert shown == ["", "please", "please ask", "please ask a", "please ask a technician"]
    assert said(stream.finish(hiss(500))) == SENTENCE


def test_streams_do_not_mix(ctc: str) -> None:
    engine = load({"model": ctc})
    one, two = engine.stream(), engine.stream()
    for _ in range(3):
        one.feed(hiss(CHUNK_MS))
    assert said(two.feed(hiss(2 * CHUNK_MS))) == "please"
    assert said(engine.decode(hiss(3000), partial=False)) == SENTENCE
    two.drop()
    assert said(one.feed(hiss(CHUNK_MS))) == "please ask a"


def test_a_transducer_is_sure_to_a_degree_and_takes_hints(transducer: str) -> None:
    assert check({"model": transducer}).hints
    without = load({"model": transducer}).decode(hiss(1500), partial=False)
    assert said(without) == "check my broiler"
    assert 0 < (without[-1].confidence or 0) < 0.9 < (without[0].confidence or 0) <= 1
    hinted = load({"model": transducer, "hints": "boiler, stopcock"}).decode(hiss(1500), partial=False)
    assert said(hinted) == "check my boiler"


def test_it_works_in_a_process_of_its_own(ctc: str) -> None:
    async def scene() -> None:
        host = EngineHost(EngineChoice("sherpa-onnx", {"model": ctc}), 1)
        await host.start()
        try:
            assert host.capabilities.model == "ctc"
            assert said(await host.decode(hiss(3000))) == SENTENCE
        finally:
            await host.close()

    asyncio.run(scene())


def test_pieces_become_words() -> None:
    words = words_of([" hel", "lo", " the", "re"], [0.1, 0.2, 1.0, 1.1], [-0.1, -0.3, 0.0, 0.0])
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("hello", 100, 400),
        ("there", 1000, 1300),
    ]
    assert words[0].confidence == pytest.approx(0.823, abs=0.001)
    assert [word.text for word in words_of(["lo", " "], [0, 0], [])] == ["lo"]


def test_audio_too_short_for_a_word_has_none(ctc: str) -> None:
    assert load({"model": ctc}).decode(hiss(50), partial=False) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": "/no/such/folder"}, "no folder and no model"),
        ({"model": "zipformer-eng"}, "did you mean zipformer-en?"),
        ({"modle": "x"}, "no option 'modle'"),
    ],
)
def test_what_cannot_be_had_is_told_in_one_line(options: dict[str, str], reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as told:
        check(options)
    assert "\n" not in str(told.value)


def test_a_folder_that_lacks_a_part_is_told(tmp_path: Path, transducer: str) -> None:
    with pytest.raises(EngineError, match=r"expected a tokens\.txt"):
        check({"model": str(tmp_path)})
    (tmp_path / "tokens.txt").touch()
    with pytest.raises(EngineError, match="expected an ONNX model"):
        check({"model": str(tmp_path)})
    (tmp_path / "encoder.int8.onnx").write_bytes(Path(transducer, "encoder.onnx").read_bytes())
    with pytest.raises(EngineError, match=r"expected decoder\.int8\.onnx"):
        check({"model": str(tmp_path)})


def test_a_model_that_is_none_of_the_families_is_told(tmp_path: Path, transducer: str) -> None:
    (tmp_path / "tokens.txt").write_text("a 0\n")
    (tmp_path / "model.onnx").write_bytes(Path(transducer, "joiner.onnx").read_bytes())
    with pytest.raises(EngineError, match="no streaming CTC model"):
        load({"model": str(tmp_path)})
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(EngineError, match="could not be loaded"):
        load({"model": str(tmp_path)})


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)  # as if it were not installed
    with pytest.raises(EngineError, match=r"pip install 'callreel\[streaming\]'"):
        check({})


def test_the_pieces_of_a_model_are_read(transducer: str) -> None:
    model = Path(transducer, "bpe.model").read_bytes()
    assert vocabulary(model).splitlines()[3:5] == ["▁check\t-1", "▁my\t-1"]
    for wrong in (b"", b"\x0a", model[:-3], b"\xff" * 20, b"GIF89a"):
        with pytest.raises(ValueError, match="expected"):
            vocabulary(wrong)
