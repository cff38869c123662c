import pytest

from callreel.asr.languages import NAMES, LanguageError, code_of, named


def test_a_language_is_known_by_code_and_by_name() -> None:
    assert (code_of("de"), code_of(" German "), code_of("EN")) == ("de", "de", "en")
    assert (named("de"), named("tlh")) == ("German", "tlh")
    assert all(code == code.lower() and 2 <= len(code) <= 3 for code in NAMES)


@pytest.mark.parametrize(
    ("wanted", "hint"), [("germn", "did you mean german"), ("", "got ''"), ("x" * 99, "got 'xx")]
)
def test_what_is_none_is_refused_with_what_is_near(wanted: str, hint: str) -> None:
    with pytest.raises(LanguageError, match=hint) as told:
        code_of(wanted)
    assert len(str(told.value)) < 150
