import numpy as np
import numpy.typing as npt
import pytest

from callreel.asr.engine import RecognizedWord
from callreel.asr.engines.pocketsphinx import PocketSphinx, decent, load
from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.errors import EngineError
from tests.asr.clips import clip


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


def streamed(
    engine: PocketSphinx, samples: npt.NDArray[np.int16], block: int = 2560
) -> list[list[RecognizedWord]]:
    """What was heard after each block, and of the whole."""
    stream = engine.stream()
    heard = [list(stream.feed(samples[at : at + block])) for at in range(0, samples.size, block)]
    return [*heard, list(stream.finish(samples[:0]))]


@pytest.mark.parametrize("name", ["goforward.wav", "cards005.wav"])
def test_an_open_segment_is_heard_as_it_comes_and_ends_as_a_whole_one(
    engine: PocketSphinx, name: str
) -> None:
    samples = clip(name, 16000)
    heard = [[word.text for word in words] for words in streamed(engine, samples)]
    whole = [word.text for word in engine.decode(samples, partial=False)]
    assert sum(word in whole for word in heard[-1]) >= 0.8 * len(whole), (heard[-1], whole)
    lengths = [len(words) for words in heard]
    assert lengths[0] == 0 and 0 < lengths[len(heard) // 2] < lengths[-1]


def test_segments_that_are_open_at_once_do_not_hear_each_other(engine: PocketSphinx) -> None:
    one, two = clip("goforward.wav", 16000), clip("cards005.wav", 16000)
    alone = [[word.text for word in streamed(engine, samples)[-1]] for samples in (one, two)]
    first, second = engine.stream(), engine.stream()
    for at in range(0, max(one.size, two.size), 4000):
        first.feed(one[at : at + 4000])
        second.feed(two[at : at + 4000])
    engine.decode(one, partial=False)
    together = [[word.text for word in stream.finish(one[:0])] for stream in (first, second)]
    assert together == alone


def test_a_dropped_stream_leaves_nothing_behind(engine: PocketSphinx) -> None:
    samples = clip("goforward.wav", 16000)
    expected = [word.text for word in streamed(engine, samples)[-1]]
    stream = engine.stream()
    stream.feed(clip("cards005.wav", 16000))
    stream.drop()
    assert [word.text for word in streamed(engine, samples)[-1]] == expected


def test_silence_that_is_streamed_has_no_words(engine: PocketSphinx) -> None:
    assert streamed(engine, np.zeros(16000, np.int16)) == [[]] * 8


def test_a_stream_without_a_sample_ends(engine: PocketSphinx) -> None:
    assert engine.stream().finish(np.zeros(0, np.int16)) == []


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
    [
        ({"model": "en-us"}, "no option 'model'; it has front, hints, streams"),
        ({"front": "narrow"}, "telephone, wide"),
    ],
)
def test_an_option_that_it_has_not_is_refused(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(EngineError, match=complaint):
        load(options)


def test_a_word_to_expect_is_heard_though_no_dictionary_has_it() -> None:
    engine = load({"front": "wide", "hints": "Tenmeters, Whitlock"})
    heard = [word.text for word in engine.decode(clip("goforward.wav", 16000), partial=False)]
    assert heard == ["go", "forward", "tenmeters"]
