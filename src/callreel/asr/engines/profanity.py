"""Words that a draft engine must not put into anybody's mouth.

Not a filter of transcripts: it keeps these out of the vocabulary of an engine that is known to mishear noise as them.
Whoever needs what was really said has the recording.
"""

_STEMS = (
    "arsehole",
    "asshole",
    "bitch",
    "bullshit",
    "cocksuck",
    "cunt",
    "dickhead",
    "dipshit",
    "faggot",
    "fuck",
    "goddamn",
    "horseshit",
    "motherfuck",
    "nigga",
    "nigger",
    "piss",
    "shit",
    "slut",
    "twat",
    "wank",
    "whore",
)
_WORDS = frozenset({"dumbass", "fag", "fags", "jackass", "pussy", "son-of-a-bitch", "tit", "tits", "titties"})


def is_profane(word: str) -> bool:
    """Whether the lower-case English `word` is one of them, or begins as one."""
    return word in _WORDS or word.startswith(_STEMS)
