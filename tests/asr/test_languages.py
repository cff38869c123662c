import pytest

from callreel.asr.languages import NAMES, LanguageError, code_of, named, normalized


def test_language_is_found_by_code_and_by_name() -> None:
    assert (code_of("de"), code_of(" German "), code_of("EN")) == ("de", "de", "en")
    assert (named("de"), named("tlh")) == ("German", "tlh")
    assert all(code == code.lower() and 2 <= len(code) <= 3 for code in NAMES)


@pytest.mark.parametrize(
    ("wanted", "hint"), [("germn", "did you mean german"), ("", "got ''"), ("x" * 99, "got 'xx")]
)
def test_what_is_none_is_refused_with_what_is_near(wanted: str, hint: str) -> None:
    with pytest.raises(LanguageError, match=hint) as raised:
        code_of(wanted)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en-US", "en"), ("en_GB.UTF-8", "en"), ("English", "en"), ("EN-us", "en"), ("de-CH-1996", "de"), ("eng", "en"),
        ("zh-Hant-TW", "zh"), ("cmn-Hans-CN", "zh"), ("zh-yue-HK", "yue"), ("iw", "he"), ("nb-NO", "no"),
        ("haitian creole", "ht"), ("english-us", "en"), ("en\x00", "en"), ("\x1ben-US\u2028", "en"), ("sr-Latn", "sr"),
        ("x-klingon", ""), ("tlh", ""), ("", ""), ("\x01", ""), ("<en>", ""), ("en--US", ""), ("\ud83d", ""), ("e" * 9999, ""),
    ],
)  # fmt: skip
def test_tags_are_read_by_their_language_subtag(tag: str, code: str) -> None:
    assert normalized(tag) == code
