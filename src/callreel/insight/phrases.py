"""The English phrase lists of the moments: whether a sentence is a question, a promise, thanks or a complaint. Pure.

A sentence is given casefolded, with straight apostrophes and one space between two words. The lists prefer to miss a
moment to naming a wrong one; formulas of every call, such as `how may I help you`, are not moments.
"""

import re
from typing import Final

_FEWEST_WORDS: Final = 3
_LOOK_BACK: Final = 120
"""Characters before a phrase that are searched for a negation or a condition: more than four words."""
_FILLERS: Final = (
    r"(?:(?:and|so|but|or|okay|ok|well|um|uh|yeah|yes|no|oh|right|now|then|hi|hello|sorry)[,.]? )*"
)
_ASKED: Final = re.compile(
    _FILLERS + r"(?:what(?:'s| is| are| was| were| does| do| did| kind| time| type| about)"
    r"|how (?:do|does|did|can|could|should|is|are|was|were|much|many|long|often|old|far|soon)"
    r"|(?:where|when|who|why)(?:'s| is| are| was| were| do| does| did| can| could| will| would)"
    r"|which (?:one|of|is|are|do|did)"
    r"|(?:do|did|can|could|would|will|are|were|have) (?:you|we|they)|(?:can|could|may|should|shall) i"
    r"|(?:is|was|does|did|has) (?:it|that|this|there|he|she|the|your)|are there)\b"
)
_ROUTINE_QUESTION: Final = re.compile(
    r"\b(?:how are you|how(?:'s| is) it going|how(?: \w+){0,2} (?:may|can|could) (?:i|we) (?:help|assist|be of)"
    r"|(?:may|can|could) (?:i|we) (?:help|assist) you|(?:is there )?(?:anything|something) else"
    r"|are you (?:still )?there|can you hear me|you know)\b"
)

_PROMISE: Final = re.compile(
    r"\b(?:i|we)(?:'ll| will| shall|'m going to|'re going to| am going to| are going to)"
    r"(?: (?:also|just|then|personally|certainly|definitely|gladly|immediately|quickly|now|make sure to|be sure to"
    r"|go ahead and|be happy to|be glad to))*"
    r" (?:send|e-?mail|mail|call|phone|ring|text|get back|get in touch|follow up|let you know|look into|check|find out"
    r"|make sure|ensure|arrange|schedule|book|order|deliver|ship|bring|come|be there|be in touch|be back|pay|refund"
    r"|credit|replace|repair|fix|install|prepare|draft|forward|pass (?:it|that|this|your)|escalate|transfer|connect"
    r"|update|confirm|contact|reach out|set up|submit|process|issue|provide|share|give you"
    r"|have (?:someone|somebody|a|an|the)|ask (?!you)|talk to|speak (?:to|with)|do (?:it|that|this|so)|take care|see to"
    r"|complete|correct|report|make every effort|notify|inform|reserve|register|cancel|keep you)\b"
    r"|\b(?:i promise|you have my word|you can count on (?:me|us))\b"
)
_NO_PROMISE_AFTER: Final = frozenset(
    {"if", "when", "whether", "unless", "until", "once", "what", "how", "where", "why"}
)

_THANKS: Final = re.compile(
    r"\b(?:thank you|thanks)(?: again)?(?: so much| very much| a lot| a million| ever so much)"
    r"|\bmany thanks\b|\bmuch appreciated\b|\b(?:very|so|really) grateful\b"
    r"|\b(?:i|we)(?: really| do| truly| very much| greatly)* appreciate (?!if\b|your (?:call|patience|time|business"
    r"|understanding|interest|concern)|it if)"
    r"|\b(?:thank you|thanks) for (?!(?:calling|contacting|choosing|holding|waiting|reaching|providing|verifying|confirming|being a|the call|joining"
    r"|your (?:call|patience|time|business|interest|understanding|inquiry))\b)"
    r"|\byou(?:'ve| have) been (?:\w+ )?(?:helpful|kind|great|wonderful|a (?:great |big |huge )?help)\b"
    r"|\bthat(?:'s| is| was) (?:so|very|really|extremely) (?:helpful|kind)\b"
)
_NO_THANKS_BEFORE: Final = frozenset({"no", "no,"})

_COMPLAINT: Final = re.compile(
    r"\b(?:(?:not|isn't|wasn't|aren't|never)(?: \w+){0,2} (?:happy|satisfied|pleased|impressed|acceptable|good enough)"
    r"|(?:second|third|fourth|fifth|\d(?:nd|rd|th)) time (?:i|we|this|that|it)\b|how many times|waste of (?:my |our )?(?:time|money)"
    r"|let (?:me|us) down|(?:speak|talk) (?:to|with) (?:a |an |your |the )?(?:manager|supervisor|someone in charge)"
    r"|still (?:have not|haven't|has not|hasn't|not|isn't)(?: been)? (?:received|arrived|heard|come|fixed|resolved|repaired"
    r"|delivered|got|working)"
    r"|(?:nobody|no one)(?: has| ever| even)* (?:called|came|come|showed|answered|helped|responded|replied|bothered)"
    r"|never (?:called|came|showed up|arrived|received|got)"
    r"|(?:been|was|were) (?:waiting|on hold) (?:for |over |more than |almost |nearly |about )*(?:\w+ )?"
    r"(?:hours?|days?|weeks?|months?|forever|ages)"
    r"|(?:did|do|does)(?:n't| not)(?: \w+){0,2} (?:meet|live up to) (?:my|our) expectations?"
    r"|overcharged|charged (?:me |us )?twice|want (?:my|our) money back|want a refund"
    r"|not what (?:i|we) (?:ordered|paid|asked|expected)|legal action|my lawyer)\b"
)
_FEELING: Final = re.compile(
    r"\b(?:unhappy|dissatisfied|disappoint(?:ed|ing)|frustrat(?:ed|ing)|annoy(?:ed|ing)|fed up|sick (?:and tired )?of|furious"
    r"|outrageous|unacceptable|ridiculous|appalling|disgraceful|useless|incompetent|unprofessional|complain(?:t|ts|ing)?"
    r"|(?:terrible|horrible|awful|poor|bad|worst) (?:customer )?(?:service|experience|support|quality|job|communication))\b"
)
_NEGATION: Final = re.compile(r"(?:\b(?:no|not|never|without|any|cannot|nothing)|n't)(?: \w+){0,3} $")
_SYMPATHY: Final = re.compile(
    r"\b(?:sorry|apologi[sz]e|apologies|(?:i|we)(?: can| completely)* understand)\b"
)


def is_question(text: str, *, punctuated: bool) -> bool:
    """Whether a sentence asks. Without punctuation in the text, its first words tell."""
    return text.rstrip(" \"'”)").endswith("?") if punctuated else _ASKED.match(text) is not None


def is_worth_asking(text: str) -> bool:
    """Whether a question is more than a formula or a word or two."""
    return len(text.split()) >= _FEWEST_WORDS and not _ROUTINE_QUESTION.search(text)


def promise(text: str) -> int | None:
    """Where a sentence promises something; None where it does not."""
    found = (match.start() for match in _PROMISE.finditer(text))
    return next((place for place in found if _word_before(text, place) not in _NO_PROMISE_AFTER), None)


def thanks(text: str) -> int | None:
    """Where a sentence thanks for something or with emphasis; None where it does not."""
    found = (match.start() for match in _THANKS.finditer(text))
    return next((place for place in found if _word_before(text, place) not in _NO_THANKS_BEFORE), None)


def complaint(text: str) -> int | None:
    """Where a sentence complains; None where it does not, or answers a complaint with sympathy."""
    if _SYMPATHY.search(text):
        return None
    if said := _COMPLAINT.search(text):
        return said.start()
    felt = (match.start() for match in _FEELING.finditer(text))
    return next((place for place in felt if not _NEGATION.search(_before(text, place))), None)


def _word_before(text: str, place: int) -> str:
    return (_before(text, place).split() or [""])[-1]


def _before(text: str, place: int) -> str:
    """The last words before a place: a turn without punctuation is one sentence, and has thousands."""
    return text[max(0, place - _LOOK_BACK) : place]
