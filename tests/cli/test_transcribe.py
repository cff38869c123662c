from pathlib import Path

import pytest

from callreel.asr.engine import Capabilities
from callreel.asr.languages import LanguageError
from callreel.settings import load_settings
from callreel.settings.engines import engine_by_spec, language_in, spec_in
from tests.support.program import callreel, the_line

MANY = Capabilities("faster-whisper", "small", True, True, True, True, on_request=("de", "en"))


def test_spec_names_the_language_of_the_run(tmp_path: Path) -> None:
    spec = spec_in("faster-whisper,model=small", "de", MANY)
    assert (spec, language_in(spec)) == ("faster-whisper,model=small,language=de", "de")
    settings = load_settings(environ={}, cwd=tmp_path)
    assert engine_by_spec(settings, spec).options["language"] == "de"
    assert language_in(spec_in("faster-whisper", "en", MANY)) == "en", "also for a call with its own language"
    assert language_in("faster-whisper,model=small") == ""
    assert spec_in(
        "faster-whisper", "en", Capabilities("faster-whisper", "tiny.en", True, True, True, True)
    ) == ("faster-whisper")
    with pytest.raises(LanguageError, match="does not transcribe Welsh"):
        spec_in("faster-whisper", "cy", MANY)


@pytest.mark.parametrize(
    ("language", "reason"),
    [
        ("german", "engine faster-whisper tiny.en does not transcribe German (de), only en"),
        ("germn", "did you mean german"),
    ],
)
def test_unsupported_language_is_refused_before_any_work(language: str, reason: str, tmp_path: Path) -> None:
    ran = callreel(
        "transcribe",
        "--again",
        "--all",
        "--engine",
        "faster-whisper",
        "--language",
        language,
        folder=tmp_path,
    )
    assert ran.returncode == 2 and reason in the_line(ran)
