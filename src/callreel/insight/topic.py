"""The topic of a call: one line of its key phrases against the team's other calls. Pure; English only.

TF-IDF over words: how often a word is said in this call, by how few other calls have it. A word that both parties say
counts more, and so does one that is said early. Words that mostly occur beside each other become one phrase. Function words, the formulas of phone calls, names
as they are introduced, spoken passwords, numbers and masks are never key words. docs/insight.md has the rules and examples.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from callreel.domain.call import Role
from callreel.insight.common_words import COMMON_WORDS, LANGUAGE

FEWEST_WORDS: Final = 60
"""Of a call with fewer words nothing is said about its topic."""
MOST_CANDIDATES: Final = 30
"""Words whose frequency in other calls is looked up."""
_LEAST_SAID: Final = 2
_COMMON: Final = 0.3
_ENOUGH_CALLS: Final = 10
"""Other calls, from which on a word that occurs in more than the share `_COMMON` of them is too common."""
_BY_BOTH: Final = 1.5
_EARLY: Final = 1.3
"""For a word that is first said in the first third of the turns, where people say why they call."""
_BESIDE: Final = 0.5
"""The share of a word's places that a phrase with its neighbor must have."""
_MOST_PHRASES: Final = 3
_LONGEST_PHRASE: Final = 3
_OF_BEST: Final = 0.65
"""The least score of a phrase, as a share of the best one's."""
_SURE: Final = 3
"""How often a word must be said that is all of a topic; said less, it is too unsure."""

_PIECE: Final = re.compile(r"\[[^\]]*\]|[^\W\d_]+(?:['’][^\W\d_]+)*|\S")
_WORD: Final = re.compile(r"[a-z]{3,24}")
_INTRODUCED: Final = re.compile(
    r"\b(?:hi|hello|hey|thank you|thanks|welcome|my name is|name's|this is|i'm|i am|mr|mrs|ms|miss|dr)[,.]? "
    r"(?!(?:in|at|on|for|from|with|about|the|a|an|my|your|to)\b)([a-z]+)(?: ([a-z]+))?"
)
_SECRET: Final = re.compile(
    r"\b(?:pass ?(?:word|code|phrase)|pin(?: code| number)?|(?:code|safe|secret|security|the) word)(?:\?| is\b| was\b)[\s,.:]*"
    r"(?:(?:it's|it is|that's|the (?:pass)?word is|okay|yes|sure|um|uh)[\s,.:]+)*([a-z]+(?:[ ,-]+[a-z]+){0,3})"
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The words of a call that may be key words, with how much each stands out in it, and the phrases they are in."""

    weights: Mapping[str, float]
    counts: Mapping[str, int]
    phrases: Mapping[tuple[str, ...], int]
    spoken: Mapping[str, str]


def candidates(turns: Sequence[tuple[Role, str]], language: str) -> Candidates | None:
    """The candidates of a call's text as it is shown; None if it is too short, or not in English."""
    if language != LANGUAGE or sum(len(text.split()) for _, text in turns) < FEWEST_WORDS:
        return None
    names = {
        name
        for _, text in turns
        for found in _INTRODUCED.finditer(text.casefold().replace("’", "'"))
        for name in found.groups()
        if name
    }
    excluded = {*names, *_secrets(turns), *COMMON_WORDS}
    by_role: dict[str, set[Role]] = {}
    counts: Counter[str] = Counter()
    forms: dict[str, Counter[str]] = {}
    phrases: Counter[tuple[str, ...]] = Counter()
    early: set[str] = set()
    for number, (role, text) in enumerate(turns):
        for run in _runs(text, excluded):
            words = [_stem(word) for word in run]
            for stem, word in zip(words, run, strict=True):
                counts[stem] += 1
                by_role.setdefault(stem, set()).add(role)
                forms.setdefault(stem, Counter())[word] += 1
            if 3 * number < len(turns):
                early.update(words)
            phrases.update(
                tuple(words[first : first + length])
                for length in range(2, _LONGEST_PHRASE + 1)
                for first in range(len(words) - length + 1)
            )
    said = [stem for stem, count in counts.items() if count >= _LEAST_SAID]
    weights = {
        stem: math.log2(1 + counts[stem])
        * (_BY_BOTH if len(by_role[stem]) > 1 else 1.0)
        * (_EARLY if stem in early else 1.0)
        for stem in said
    }
    best = sorted(said, key=lambda stem: (-weights[stem], stem))[:MOST_CANDIDATES]
    spoken = {stem: min(forms[stem], key=lambda word: (-forms[stem][word], word)) for stem in counts}
    return Candidates({stem: weights[stem] for stem in best}, counts, phrases, spoken)


def topic_of(found: Candidates, in_calls: Mapping[str, int], other_calls: int) -> str | None:
    """One line such as `elevator, red light`; None where nothing stands out.

    `in_calls` has how many of the team's `other_calls` have each word of `found.spoken` of a candidate.
    """
    scores = {}
    for stem, weight in found.weights.items():
        others = in_calls.get(found.spoken[stem], 0)
        if other_calls >= _ENOUGH_CALLS and others > _COMMON * other_calls:
            continue
        scores[stem] = weight * math.log((2 + other_calls) / (1 + others))
    chosen: list[tuple[str, ...]] = []
    least = _OF_BEST * max(scores.values(), default=0.0)
    for stem in sorted(scores, key=lambda one: (-scores[one], one)):
        if scores[stem] < least or len(chosen) == _MOST_PHRASES:
            break
        phrase = _phrase_with(stem, found)
        if not any(set(phrase) & set(other) for other in chosen):
            chosen.append(phrase)
    if not chosen or (len(chosen) == len(chosen[0]) == 1 and found.counts[chosen[0][0]] < _SURE):
        return None
    return ", ".join(" ".join(found.spoken[stem] for stem in phrase) for phrase in chosen)


def _phrase_with(stem: str, found: Candidates) -> tuple[str, ...]:
    """The longest phrase that a word mostly occurs in, else the word alone."""
    least = max(_LEAST_SAID, math.ceil(_BESIDE * found.counts[stem]))
    fitting = [
        phrase
        for phrase, count in found.phrases.items()
        if stem in phrase and count >= least and len(set(phrase)) == len(phrase)
    ]
    return max(fitting, key=lambda phrase: (len(phrase), found.phrases[phrase], phrase), default=(stem,))


def _secrets(turns: Sequence[tuple[Role, str]]) -> set[str]:
    """The words of spoken passwords: those after `password is`, also in the next turn, up to a common one."""
    text = "\n".join(text for _, text in turns).casefold().replace("’", "'")
    return {
        word
        for found in _SECRET.finditer(text)
        for word in takewhile(
            lambda one: len(one) > 2 and one not in COMMON_WORDS, re.findall(r"[a-z]+", found[1])
        )
    }


def _runs(text: str, excluded: Collection[str]) -> Iterable[list[str]]:
    """Consecutive words that may be key words: without others, or a punctuation mark, between them."""
    run: list[str] = []
    for piece in _PIECE.findall(text.casefold().replace("’", "'")):
        word = piece.removesuffix("'s")
        if _WORD.fullmatch(word) and word not in excluded:
            run.append(word)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _stem(word: str) -> str:
    """Singular and plural as one."""
    return (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    )
