import numpy as np
import pytest

from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.errors import EngineError
from callreel.engines.pocketsphinx import PocketSphinx, decent, load
from tests.engines.clips import clip


@pytest.fixture(scope="module")
def engine() -> PocketSphinx:
    return load({})


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("goforward.wav", "go forward ten meters"),
        ("cards005.wav", "eight of spades four of clubs seven of hearts"),
    ],
)
def test_it_hears_most_words_of_a_clear_recording(engine: PocketSphinx, name: str, reference: str) -> None:
    heard = [word.text for word in engine.decode(clip(name, 16000), partial=False)]
    expected = reference.split()
    assert sum(word in heard for word in expected) >= 0.7 * len(expected), heard


def test_words_have_times_in_order_within_the_audio_and_a_confidence(engine: PocketSphinx) -> None:
    samples = clip("goforward.wav", 16000)
    words = engine.decode(samples, partial=True)
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert 300 < times[0] < times[-1] <= samples.size // 16
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in words)


def test_a_segment_leaves_nothing_behind_in_the_engine(engine: PocketSphinx) -> None:
    samples = clip("goforward.wav", 16000)
    first = engine.decode(samples, partial=False)
    engine.decode(clip("cards005.wav", 16000), partial=False)
    again = engine.decode(samples, partial=False)
    assert [word.text for word in again] == [word.text for word in first]


@pytest.mark.parametrize("size", [0, 1, 1599, 1600, 16000])
def test_silence_of_any_length_has_no_words(engine: PocketSphinx, size: int) -> None:
    assert engine.decode(np.zeros(size, np.int16), partial=False) == []


def test_it_says_that_it_is_rough(engine: PocketSphinx) -> None:
    assert engine.capabilities.rough
    assert engine.capabilities.runs_here


def test_profane_entries_stay_out_of_its_dictionary() -> None:
    entries = ["shift SH IH F T\n", "shit SH IH T\n", "shit(2) SH IH D\n", "read(2) R EH D\n"]
    assert list(decent(entries)) == [entries[0], entries[3]]


def test_a_fresh_engine_has_words_for_its_first_segment() -> None:
    assert load({}).decode(clip("goforward.wav", 16000), partial=False)


def test_audio_of_a_telephone_is_understood_as_well_as_audio_that_is_wide(engine: PocketSphinx) -> None:
    narrow = upsample_all(mulaw.decode(mulaw.encode(clip("cards005.wav", 8000))))
    heard = [word.text for word in engine.decode(narrow, partial=False)]
    expected = "eight of spades four of clubs seven of hearts".split()
    assert sum(word in heard for word in expected) >= 0.7 * len(expected), heard


def test_the_models_own_front_end_can_be_chosen() -> None:
    heard = [
        word.text for word in load({"front": "wide"}).decode(clip("goforward.wav", 16000), partial=False)
    ]
    assert heard == "go forward ten meters".split()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"model": "en-us"}, "no option 'model'; it has front"), ({"front": "narrow"}, "telephone, wide")],
)
def test_an_option_that_it_has_not_is_refused(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(EngineError, match=complaint):
        load(options)
