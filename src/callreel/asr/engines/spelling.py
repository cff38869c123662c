"""How a word that no dictionary has is probably said, from its letters: English rules of thumb, in CMU's phones.

For names and products that an engine should expect. Wrong for many words, near enough for most that an engine which
compares sounds finds them. A word that consists of two known ones (`stopcock`) is said as they are; capitals and digits
that stand for themselves (`TX`, `4`) are spelled out.
"""

import re
from collections.abc import Callable

# Letters before sounds; `^` is the beginning of a word, `$` its end. The first that fits is taken.
_RULES: tuple[tuple[str, str], ...] = (
    ("^kn", "N"), ("^wr", "R"), ("^ps", "S"), ("^x", "Z"), ("^wh", "W"), ("^rh", "R"), ("^gn", "N"), ("^ch", "CH"),
    ("tion", "SH AH N"), ("sion", "ZH AH N"), ("cian", "SH AH N"), ("ture", "CH ER"), ("ough", "AO"), ("augh", "AO"),
    ("eigh", "EY"), ("igh", "AY"), ("tch", "CH"), ("dge", "JH"), ("sch", "SH"), ("que$", "K"), ("gue$", "G"),
    ("les$", "AH L Z"), ("le$", "AH L"), ("ies$", "IY Z"), ("ie$", "IY"), ("ey$", "IY"), ("es$", "Z"), ("e$", ""),
    ("y$", "IY"), ("ed$", "D"), ("ck", "K"), ("ch", "CH"), ("sh", "SH"), ("th", "TH"), ("ph", "F"), ("gh", "G"),
    ("qu", "K W"), ("wh", "W"), ("ng", "NG"), ("nk", "NG K"), ("ss", "S"), ("ll", "L"), ("tt", "T"), ("nn", "N"),
    ("mm", "M"), ("rr", "R"), ("pp", "P"), ("bb", "B"), ("dd", "D"), ("ff", "F"), ("gg", "G"), ("zz", "Z"), ("cc", "K"),
    ("eau", "OW"), ("ai", "EY"), ("ay", "EY"), ("au", "AO"), ("aw", "AO"), ("ee", "IY"), ("ea", "IY"), ("ei", "AY"),
    ("ie", "IY"), ("eu", "UW"), ("ew", "UW"), ("oa", "OW"), ("oo", "UW"), ("ou", "AW"), ("ow", "OW"), ("oi", "OY"),
    ("oy", "OY"), ("ue", "UW"), ("ui", "UW"), ("ar", "AA R"), ("er", "ER"), ("ir", "ER"), ("or", "AO R"), ("ur", "ER"),
    ("yr", "ER"), ("ce", "S EH"), ("ci", "S IH"), ("cy", "S IY"), ("ge", "JH EH"), ("gi", "JH IH"), ("gy", "JH IY"),
    ("^y", "Y"), ("a$", "AH"), ("i$", "IY"), ("o$", "OW"), ("u$", "UW"), ("a", "AE"), ("b", "B"), ("c", "K"), ("d", "D"),
    ("e", "EH"), ("f", "F"), ("g", "G"), ("h", "HH"), ("i", "IH"), ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"),
    ("n", "N"), ("o", "AA"), ("p", "P"), ("q", "K"), ("r", "R"), ("s", "S"), ("t", "T"), ("u", "AH"), ("v", "V"),
    ("w", "W"), ("x", "K S"), ("y", "IH"), ("z", "Z"),
)  # fmt: skip
_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R",
    "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
    "0": "Z IH R OW", "1": "W AH N", "2": "T UW", "3": "TH R IY", "4": "F AO R", "5": "F AY V", "6": "S IH K S",
    "7": "S EH V AH N", "8": "EY T", "9": "N AY N",
}  # fmt: skip
_SHORTEST_HALF = 3
_VOWEL = re.compile("[aeiouy]")


def pronounced(word: str, known: Callable[[str], str | None]) -> str:
    """Phones of one word, parted by blanks. `known` looks a lower-case word up. Empty for a word without letters."""
    low = re.sub(r"[^a-z0-9]", "", word.lower())
    if not low:
        return ""
    if (word.isupper() and len(low) < 5) or not low.isalpha() or not _VOWEL.search(low):
        return " ".join(_NAMES[letter] for letter in low)
    return known(low) or _halves(low, known) or _by_rule(low)


def _halves(word: str, known: Callable[[str], str | None]) -> str:
    """Two known words that make it up, the longest first one."""
    for cut in range(len(word) - _SHORTEST_HALF, _SHORTEST_HALF - 1, -1):
        before, after = known(word[:cut]), known(word[cut:])
        if before and after:
            return f"{before} {after}"
    return ""


def _by_rule(word: str) -> str:
    phones: list[str] = []
    at = 0
    while at < len(word):
        letters, sounds = next(rule for rule in _RULES if _fits(rule[0], word, at))
        if sounds:
            phones.append(sounds)
        at += len(letters.strip("^$"))
    return " ".join(phones)


def _fits(letters: str, word: str, at: int) -> bool:
    plain = letters.strip("^$")
    if not word.startswith(plain, at) or (letters[0] == "^" and at):
        return False
    return letters[-1] != "$" or (at + len(plain) == len(word) and at > 0)
