import msgspec
import pytest

from callreel.asr.engines import registry
from callreel.asr.engines.registry import KNOWN, EngineChoice
from callreel.domain.errors import EngineError


def test_the_default_engine_needs_nothing() -> None:
    capabilities = registry.check(EngineChoice("faster-whisper"))
    assert (capabilities.name, capabilities.model, capabilities.runs_here) == (
        "faster-whisper",
        "tiny.en",
        True,
    )


def test_an_engine_of_ones_own_is_named_by_its_module() -> None:
    assert registry.check(EngineChoice("python:tests.asr.scripted")).name == "scripted"
    assert registry.load(EngineChoice("python:tests.asr.scripted")).capabilities.name == "scripted"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("whisper", "expected an engine out of " + ", ".join(KNOWN)),
        ("", "expected an engine out of"),
        ("python:", "expected a dotted module name"),
        ("python:.relative", "expected a dotted module name"),
        ("python:no.such.module", "needs the module no"),
        ("python:json", "expected a module with check and load"),
    ],
)
def test_wrong_name_is_a_one_line_error(name: str, reason: str) -> None:
    with pytest.raises(EngineError) as raised:
        registry.check(EngineChoice(name))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_choice_travels_and_keeps_its_key_to_itself() -> None:
    choice = EngineChoice("openai", {"api_key": "sk-secret"})
    assert "sk-secret" not in repr(choice)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(choice), type=EngineChoice) == choice
