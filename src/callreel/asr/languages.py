"""The languages of a call: by code, by English name, and by the tags that browsers and engines write.

They are those that Whisper's models support, which are also those of servers with OpenAI's API; each engine names those
that it supports (`asr.engine.Capabilities`). Codes are ISO 639-1, three letters where that has none. A tag of BCP 47
(RFC 5646) is read by its language subtag: `en-US` is `en`.
"""

import difflib
import re

from callreel.domain.errors import EngineError

NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "as": "Assamese", "az": "Azerbaijani", "ba": "Bashkir",
    "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "bo": "Tibetan", "br": "Breton", "bs": "Bosnian",
    "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fo": "Faroese",
    "fr": "French", "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "haw": "Hawaiian", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jw": "Javanese", "ka": "Georgian",
    "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "la": "Latin", "lb": "Luxembourgish",
    "ln": "Lingala", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mg": "Malagasy", "mi": "Maori",
    "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese",
    "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "nn": "Nynorsk", "no": "Norwegian", "oc": "Occitan",
    "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sa": "Sanskrit", "sd": "Sindhi", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sn": "Shona",
    "so": "Somali", "sq": "Albanian", "sr": "Serbian", "su": "Sundanese", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "tg": "Tajik", "th": "Thai", "tk": "Turkmen", "tl": "Tagalog", "tr": "Turkish",
    "tt": "Tatar", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "yi": "Yiddish",
    "yo": "Yoruba", "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip


_PREFERRED = {
    "iw": "he", "in": "id", "ji": "yi", "jv": "jw", "nb": "no", "fil": "tl", "cmn": "zh", "zsm": "ms", "arb": "ar",
    "pes": "fa", "swh": "sw", "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it",
    "por": "pt", "nld": "nl", "dut": "nl", "pol": "pl", "rus": "ru", "ukr": "uk", "tur": "tr", "ara": "ar", "heb": "he",
    "hin": "hi", "jpn": "ja", "kor": "ko", "zho": "zh", "chi": "zh", "vie": "vi", "tha": "th", "ell": "el", "gre": "el",
    "swe": "sv", "nor": "no", "dan": "da", "fin": "fi", "ces": "cs", "cze": "cs", "hun": "hu", "ron": "ro", "rum": "ro",
    "bul": "bg", "hrv": "hr", "srp": "sr", "slk": "sk", "slv": "sl", "cat": "ca", "ind": "id", "msa": "ms", "fas": "fa",
}  # fmt: skip
"""Old codes, and codes of ISO 639-2 and 639-3, for languages of which `NAMES` has another code."""
_BY_NAME = {name.casefold(): code for code, name in NAMES.items()}
_TAG = re.compile(r"([a-z]{2,8})(?:[-_](yue))?(?:[-_.@][a-z0-9]{1,8})*")


class LanguageError(EngineError):
    """The text names no language, or none that the engine supports.

    `fact` is the message without `advice`, which is for those who run the server.
    """

    def __init__(self, fact: str, advice: str = "") -> None:
        super().__init__(f"{fact}; {advice}" if advice else fact)
        self.fact = fact


def named(code: str) -> str:
    """`German` for `de` and `de-AT`; an unknown code unchanged."""
    return NAMES.get(normalized(code), code)


def normalized(tag: str) -> str:
    """The code for a code, an English name or a BCP 47 tag, in any case; empty if the text names no known language.

    Control characters do not count. `en_US.UTF-8`, as environments write it, counts as a tag.
    """
    folded = _folded(tag)
    if folded in _BY_NAME:
        return _BY_NAME[folded]
    match = _TAG.fullmatch(folded)
    if match is None:
        return ""
    subtag = match[2] or match[1]
    code = _PREFERRED.get(subtag, subtag)
    return code if code in NAMES else _BY_NAME.get(subtag, "")


def code_of(wanted: str) -> str:
    """As `normalized`. Raises LanguageError where that finds none."""
    if code := normalized(wanted):
        return code
    near = difflib.get_close_matches(_folded(wanted), [*_BY_NAME, *NAMES], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise LanguageError(f"expected a language by its code, as en or de, got {wanted[:30]!r}{hint}")


def _folded(text: str) -> str:
    return "".join(filter(str.isprintable, text)).strip().casefold()
