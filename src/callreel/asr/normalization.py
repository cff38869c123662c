"""Words as they are compared: what two spellings of the same utterance have in common.

For scores only, never for what people read. Lower case, no punctuation, fillers dropped, apostrophes joined (`it's` is
`its`), hyphens parted, numbers as words. A string of digits that is not a count (it begins with 0, has five digits or more,
or hangs together by hyphens, as a phone number does) is said digit by digit; a Whisper-style normaliser would glue
`one zero zero` to one number and make a phone call's word error rate meaningless (reference/speech.md, 3.1).
"""

import re
import unicodedata

FILLERS = frozenset({"uh", "um", "uhm", "er", "erm", "ah", "eh", "hm", "hmm", "mm", "mhm", "mmhm", "uhhuh"})
"""Left out on both sides: engines differ in whether they write them."""

_SAME = {"ok": "okay", "mr": "mister", "mrs": "missus", "dr": "doctor", "&": "and", "%": "percent"}
_DIGITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}

_APOSTROPHES = re.compile("['’‘ʼ`´]")
_CURRENCY = re.compile(r"([$€£])\s?(\d[\d,]*(?:\.\d+)?)")
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds"}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DIGIT_GROUPS = re.compile(
    r"(?<![\w.])\+?(?:\d{1,4}|\(\d+\))(?:[-.]\d{2,4}| \(\d+\)| \d{3,4}(?!\d)){2,}(?!\w)"
    r"|(?<!\w)\d{3}-\d{4}(?!\w)"
)
_DOT_WITHIN = re.compile(r"(?<=[^\W\d_])\.(?=[^\W_]{2})|(?<=[^\W_])\.(?=[^\W\d_]{2})")
_POINT = re.compile(r"(?<=\d)\.(\d+)")
_TOKEN = re.compile(r"[^\W_]+|[&%]")
_PARTS = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+|[^\W\d_]+|[&%]")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")


def normal_words(text: str) -> list[str]:
    """The words of `text` for comparison: letters of any alphabet, in lower case."""
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).lower())
    plain = _CURRENCY.sub(lambda found: f"{found[2]} {_CURRENCIES[found[1]]}", plain)
    plain = _THOUSANDS.sub("", plain)
    plain = _DIGIT_GROUPS.sub(lambda found: " ".join(re.findall(r"\d", found[0])), plain)
    plain = _DOT_WITHIN.sub(" dot ", plain.replace("@", " at "))
    plain = _POINT.sub(lambda found: f" point {' '.join(found[1])} ", plain)
    words = []
    for token in _TOKEN.findall(plain):
        parts = _PARTS.findall(token)
        for part in parts:
            words += _spoken(part) if len(parts) == 1 else _spelled(part)
    return [_SAME.get(word, word) for word in words if word not in FILLERS]


def normal(text: str) -> str:
    """`normal_words` in one line. Normalising twice changes nothing."""
    return " ".join(normal_words(text))


def number_words(number: int) -> list[str]:
    """A count from 0 to under a million million in words, American: no `and`."""
    if number < 10:
        return [_DIGITS[number]]
    if number < 20:
        return [_TEENS[number - 10]]
    if number < 100:
        return [_TENS[number // 10 - 2], *([_DIGITS[number % 10]] if number % 10 else [])]
    size, name = next((size, name) for size, name in _SCALES if number >= size)
    rest = number_words(number % size) if number % size else []
    return [*number_words(number // size), name, *rest]


def _spoken(part: str) -> list[str]:
    ordinal = _ORDINAL.fullmatch(part)
    if ordinal is not None and len(ordinal[1]) <= 4:
        return _ordinal(number_words(int(ordinal[1])))
    if not part.isdecimal() or len(part) > 4 or (part[0] == "0" and len(part) > 1):
        return _spelled(part)
    number = int(part)
    if 1100 <= number < 2000 and number % 100:
        return _year(number)
    return number_words(number)


def _spelled(part: str) -> list[str]:
    """The digits one by one; a part that is not a number is a word."""
    return [_DIGITS[int(digit)] for digit in part] if part.isdecimal() else [part]


def _year(number: int) -> list[str]:
    """1984 as it is said nearly always: nineteen eighty four; 1905 as nineteen oh five."""
    last = number_words(number % 100)
    return [*number_words(number // 100), *(["oh"] if number % 100 < 10 else []), *last]


def _ordinal(words: list[str]) -> list[str]:
    *before, last = words
    if last in _ORDINALS:
        return [*before, _ORDINALS[last]]
    return [*before, last[:-1] + "ieth" if last.endswith("y") else last + "th"]
