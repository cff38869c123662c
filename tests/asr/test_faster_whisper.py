import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from callreel.asr.engines import packaged_model, whisper_decoding
from callreel.asr.engines.faster_whisper import check, load
from callreel.asr.engines.whisper_decoding import WhisperDecoder
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError
from tests.asr.clips import clip
from tests.asr.tiny_whisper import build

SENTENCE = "please ask a technician to check my boiler"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("whisper") / "tiny", SENTENCE))


def hiss(duration_s: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return (np.random.default_rng(3).standard_normal(int(16000 * duration_s)) * 900).astype(np.int16)


@pytest.mark.parametrize("partial", [True, False])
def test_real_model_gives_words_with_times_and_confidence(model: str, partial: bool) -> None:
    words = load({"model": model}).decode(hiss(3), partial=partial)
    assert " ".join(word.text for word in words) == SENTENCE
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[-1] <= 3000
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in words)


def test_vocabulary_and_detection_change_nothing_for_this_model(model: str) -> None:
    engine = load({"model": model, "hints": "boiler, valve", "language": ""})
    assert [word.text for word in engine.decode(hiss(1), partial=False)] == SENTENCE.split()


def test_batch_gives_each_segment_its_own_result(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searched greedily: a beam ends this model's sentence early, and its text would be doubtful."""
    monkeypatch.setattr("callreel.asr.engines.faster_whisper._FINAL_BEAM", 1)
    engine = load({"model": model, "batch": 4})
    segments = [hiss(3), hiss(0.05), hiss(2.5), hiss(4.2)]
    assert engine.capabilities.batch == 4
    decoded = engine.decode_many(segments)
    assert [[word.text for word in words] for words in decoded] == [
        SENTENCE.split(), [], SENTENCE.split(), SENTENCE.split(),
    ]  # fmt: skip
    for words, samples in zip(decoded, segments, strict=True):
        assert [word.text for word in engine.decode(samples, partial=False)] == [w.text for w in words]
        times = [time for word in words for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert not times or (0 <= times[0] and times[-1] <= 1000 * np.ceil(samples.size / 16_000))
    assert engine.decode_many([hiss(0.01), hiss(0)]) == [[], []]


def test_doubtful_segment_of_a_batch_is_decoded_again_alone(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load({"model": model})
    monkeypatch.setattr(whisper_decoding, "_REPETITIVE", 0.0)
    alone: list[int] = []
    encode = WhisperDecoder._encode

    def counted(self: WhisperDecoder, segments: Sequence[Samples], padding_s: float) -> object:
        alone.extend(samples.size for samples in segments if len(segments) == 1)
        return encode(self, segments, padding_s)

    monkeypatch.setattr(WhisperDecoder, "_encode", counted)
    decoded = engine.decode_many([hiss(2.5), hiss(3)])
    assert alone == [40_000, 48_000]
    assert [" ".join(word.text for word in words) for words in decoded] == [SENTENCE, SENTENCE]


def test_language_is_detected_or_requested_except_by_english_models(model: str, tmp_path: Path) -> None:
    many = load({"model": str(build(tmp_path / "many", SENTENCE, languages=("de", "en"))), "language": ""})
    assert many.capabilities.languages == () and "de" in many.capabilities.on_request
    found = many.decode(hiss(2), partial=False)
    assert (found.language, " ".join(word.text for word in found)) == ("de", SENTENCE)
    assert [words.language for words in many.decode_many([hiss(2), hiss(3)])] == ["de", "de"]
    asked = many.decode(hiss(2), partial=False, language="en")
    assert (asked.language, " ".join(word.text for word in asked)) == ("", SENTENCE)
    english = load({"model": model, "language": ""})
    assert english.capabilities.on_request == ()
    assert english.decode(hiss(2), partial=False).language == ""


def test_audio_too_short_for_a_word_has_none(model: str) -> None:
    assert load({"model": model}).decode(hiss(0.05), partial=False) == []


def test_it_is_named_after_its_model(model: str) -> None:
    assert check({"model": model}).model == "tiny"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": "/no/such/folder"}, "there is no /no/such/folder"),
        ({"model": "./mistyped"}, "there is no ./mistyped"),
        ({"model": "no-such-size"}, "no model of that name"),
        ({"model": "smal"}, "did you mean small?"),
        ({"device": "gpu"}, "one of auto, cpu, cuda"),
        ({"modle": "base"}, "no option 'modle'"),
    ],
)
def test_wrong_option_is_a_one_line_error(options: dict[str, str], reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as raised:
        check(options)
    assert "\n" not in str(raised.value)


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="expected a model.bin"):
        check({"model": str(tmp_path)})


def test_broken_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(EngineError, match="could not be loaded"):
        load({"model": str(tmp_path)})


def test_language_that_the_model_lacks_is_an_error(model: str) -> None:
    with pytest.raises(EngineError, match="language 'de'"):
        load({"model": model, "language": "de"})


def test_packaged_model_is_the_default_and_english_only() -> None:
    offered = check({})
    assert (offered.model, offered.languages, offered.on_request) == ("tiny.en", ("en",), ())


@pytest.mark.parametrize(
    ("language", "wanted"), [("de", r"German \(de\) needs a multilingual"), ("", "language detection needs")]
)
def test_english_only_model_refuses_another_language(language: str, wanted: str) -> None:
    with pytest.raises(EngineError, match=wanted):
        check({"language": language})


def test_model_with_wrong_digest_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").write_bytes(b"other weights")
    monkeypatch.setattr(packaged_model, "folder", lambda: tmp_path)
    with pytest.raises(EngineError, match=f"has SHA-256 .*, expected {packaged_model.SHA256}") as error:
        load({})
    assert "\n" not in str(error.value)


def test_packaged_model_transcribes_a_recorded_sentence() -> None:
    words = load({}).decode(clip("LJ001-0002.wav", 16_000), partial=False)
    assert " ".join(word.text for word in words) == "in being comparatively modern."


def test_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)  # as if it were not installed
    with pytest.raises(EngineError, match=r"pip install faster-whisper"):
        check({})
