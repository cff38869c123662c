import pytest

from callreel.asr.engine import Capabilities
from callreel.asr.engines.registry import KNOWN, EngineChoice
from callreel.asr.engines.survey import ORDER, Purpose, Surveyed, select, survey
from callreel.domain.errors import EngineError


def found(name: str, missing: str = "", *, here: bool = True, to_fetch: bool = False) -> Surveyed:
    offered = Capabilities(name, "m", partials=True, word_times=True, confidence=True, runs_here=here)
    return Surveyed(EngineChoice(name), offered, missing, to_fetch)


def picked(
    *engines: Surveyed, purpose: Purpose = Purpose.LIVE, elsewhere: bool = False, named: bool = False
) -> str:
    return select(engines, purpose, elsewhere=elsewhere, named=named).choice.name


def test_every_engine_has_its_place_in_both_orders() -> None:
    assert all(set(names) == set(KNOWN) for names in ORDER.values())


def test_faster_whisper_is_preferred_for_both_transcripts() -> None:
    engines = [found(name) for name in KNOWN]
    assert {picked(*engines, purpose=purpose) for purpose in Purpose} == {"faster-whisper"}


def test_what_is_not_usable_is_passed_over_and_named() -> None:
    selected = select(
        [found("faster-whisper", "is not installed"), found("openai")],
        Purpose.LIVE,
        elsewhere=False,
        named=False,
    )
    assert selected.choice.name == "openai"
    assert "faster-whisper cannot be used" in selected.reason


def test_audio_goes_elsewhere_only_where_that_is_allowed() -> None:
    engines = [found("faster-whisper", "model not here"), found("openai", here=False)]
    with pytest.raises(EngineError, match="ENGINE_ALLOW_REMOTE"):
        picked(*engines)
    assert picked(*engines, elsewhere=True) == "openai"


def test_a_model_is_fetched_only_when_somebody_named_it() -> None:
    engines = [found("faster-whisper", "model not here", to_fetch=True), found("openai")]
    assert picked(*engines) == "openai"
    assert picked(*engines, named=True) == "faster-whisper"


def test_without_a_usable_engine_each_reason_is_listed() -> None:
    with pytest.raises(EngineError, match="faster-whisper: has no model"):
        picked(found("faster-whisper", "has no model"))


def test_missing_part_is_named_without_the_engine() -> None:
    one = survey(EngineChoice("openai"))
    assert not one.usable and one.missing.startswith("has no API key")
    assert one.capabilities.model == "gpt-transcribe"
    assert survey(EngineChoice("faster-whisper")).usable
