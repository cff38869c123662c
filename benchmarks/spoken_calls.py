"""Phone calls with sensitive data, made for `redaction.py`: dialogues, said as people say it, on two telephone channels.

The voices are those of flite and espeak-ng (both from apt), with mu-law's noise. Where there are recordings of people, the
caller also says something of theirs. The number of a call is its seed; a change of a dialogue changes the calls.
"""

import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from stdnum import luhn

from callreel.audio import mulaw
from callreel.audio.resample import to_rate
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Role
from callreel.domain.redaction import Entity
from callreel.store.files.sound_files import read_wav

FLITE: Final = ("slt", "rms", "awb", "kal16")
ESPEAK: Final = ("en-us", "en-us+f3", "en-us+m7", "en-gb+m3", "en-gb+f2", "en-gb-scotland+m1")
"""Harder for the engine: formant synthesis."""
FILLERS: Final = ("um,", "uh,", "and then,", "let me see,", "hold on,", "and,")
DIGITS: Final = "zero one two three four five six seven eight nine".split()


@dataclass(frozen=True, slots=True)
class Said:
    """Something sensitive in a call and where it is said; a number that the other party interrupts has several places."""

    entity: Entity
    role: Role
    places: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Line:
    """What one party says; `parts` are texts, each with the entity in it."""

    role: Role
    parts: tuple[tuple[str, Entity | None], ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of a person, of whom nothing is sensitive."""

    role: Role
    samples: Samples


@dataclass(slots=True)
class Spoken:
    """A made call: its channels, and what is sensitive in it."""

    name: str
    lanes: dict[Role, Samples]
    said: list[Said] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


def digits_as_said(digits: str, rng: random.Random) -> str:
    """Digit by digit with pauses, in groups, with doubles and `oh`, in pairs, or `twelve hundred`."""
    style = rng.choice(("single", "single", "groups", "doubles", "doubles", "pairs", "hundreds"))
    zero = rng.choice(("oh", "zero"))
    words = [zero if digit == "0" else DIGITS[int(digit)] for digit in digits]
    if style == "single":
        return ", ".join(words)
    if style == "pairs" and len(digits) % 2 == 0:
        return ", ".join(_pair(digits[at : at + 2], zero) for at in range(0, len(digits), 2))
    if style == "hundreds":
        groups = [digits[at : at + 4] for at in range(0, len(digits), 4)]
        return ", ".join(_hundreds(group, zero) for group in groups)
    said, at = [], 0
    while at < len(words):
        times = 1
        while style == "doubles" and times < 3 and digits[at + times : at + times + 1] == digits[at]:
            times += 1
        said.append(("", "double ", "triple ")[times - 1] + words[at])
        at += times
    return ", ".join(" ".join(said[at : at + 4]) for at in range(0, len(said), 4))


def _pair(pair: str, zero: str) -> str:
    return (
        str(int(pair))
        if len(pair) == 2 and pair[0] != "0"
        else " ".join(zero if d == "0" else DIGITS[int(d)] for d in pair)
    )


def _hundreds(group: str, zero: str) -> str:
    """`twelve hundred` for 1200, `nineteen eighty four` for 1984."""
    if len(group) == 4 and group.endswith("00") and group[0] != "0":
        return f"{int(group[:2])} hundred"
    return " ".join(_pair(group[at : at + 2], zero) for at in range(0, len(group), 2))


def card_number(rng: random.Random) -> str:
    """A valid one; repeated digits and groups that end in 00 are as frequent as on cards that people remember."""
    head = rng.choice(("4", "51", "55", "2221", "6011", "37"))
    body = head
    while len(body) < (14 if head == "37" else 15):
        body += body[-1] if rng.random() < 0.1 else rng.choice("0123456789")
        if len(body) in (6, 10) and rng.random() < 0.3:
            body += "00"
    return body + luhn.calc_check_digit(body)


ALPHABET: Final = {
    word[0]: word
    for word in (
        "apple boy david edward frank henry john kevin laura"
        " mary nancy oscar peter robert sam tom uncle victor"
    ).split()
}


def email(rng: random.Random) -> str:
    """As a name, joined, with a year or a sign in it, or spelled, also as `m as in mary`."""
    first = rng.choice(
        ("maria", "john", "peter", "susan", "david", "laura", "kevin", "nora", "fatima", "bob")
    )
    last = rng.choice(("lopez", "smith", "miller", "baker", "jones", "carter", "novak", "o'brien"))
    domain = rng.choice(
        ("gmail dot com", "yahoo dot com", "outlook dot com", "example dot org", "acme dot net", "icloud dot com", "north dash heating dot co dot uk")
    )  # fmt: skip
    name = rng.choice(
        (
            f"{first} dot {last}", first + last, f"{first} {rng.randint(10, 99)}", f"{first} underscore {last}",
            f"{first} dash {last}", f"{first[0]} dot {last}", f"{first} {last}, all one word,", "info",
        )
    )  # fmt: skip
    spelled = rng.random()
    if spelled < 0.2:
        name = " ".join(first)
    elif spelled < 0.27 and set(first) <= set(ALPHABET):
        name = ", ".join(f"{letter} as in {ALPHABET[letter]}" for letter in first)
    return f"{name} at {domain}"


def phone(rng: random.Random) -> str:
    area = rng.choice(("212", "415", "312", "617", "206", "303", "718", "512"))
    return area + rng.choice("23456789") + "".join(rng.choice("0123456789") for _ in range(6))


def phone_as_said(number: str, rng: random.Random) -> str:
    """In any way of digits, or as 3, 3 and 4 digits, with or without `area code` or a country code."""
    if rng.random() < 0.5:
        return digits_as_said(number, rng)
    groups = [
        " ".join(DIGITS[int(digit)] for digit in part) for part in (number[:3], number[3:6], number[6:])
    ]
    return rng.choice(("", "area code ", "one, ", "plus one, ")) + ", ".join(groups)


def dialogue(rng: random.Random, clips: Sequence[Samples] = ()) -> Iterator["Line | Clip"]:
    """One call with a card, its code, a phone number and an e-mail address in some order, among other talk and numbers."""
    yield _plain(Role.AGENT, rng.choice(_GREETINGS))
    yield _plain(Role.TECHNICIAN, rng.choice(_REASONS))
    if clips:
        yield Clip(Role.TECHNICIAN, rng.choice(clips))
    topics: list[Callable[[random.Random], Iterator[Line]]] = [_paid, _phone_given, _email_given]
    rng.shuffle(topics)
    for topic in topics:
        yield from topic(rng)
        yield _plain(Role.AGENT, rng.choice(_OTHER_NUMBERS).format(*(rng.randint(2, 9) for _ in range(8))))
    yield _plain(Role.AGENT, rng.choice(_ENDS))


_GREETINGS: Final = (
    "Thank you for calling the service desk, how can I help you today?",
    "Good morning, this is the repair line. What can I do for you?",
    "Hello, billing department, how may I help?",
)
_REASONS: Final = (
    "I want to pay for my repair.",
    "The heater in unit 4 is broken again.",
    "I got an invoice for 2 visits in march and I would like to pay it.",
    "Hi, I need to book a technician for the third floor.",
    "I would like to settle the balance on my account.",
)
_OTHER_NUMBERS: Final = (
    "Thank you. The order number is {} {} {} {}. Your appointment is at half past ten.",
    "Great. That comes to one hundred and {}ty two dollars and {}0 cents.",
    "Okay. Your reference is {} {} {} {} {} {} {}.",
    "The part is model number {}{} dash {}{}{}, and there are {} of them in stock.",
    "Thanks. Somebody will be there on the {}th between 2 and 4.",
    "One moment please, I am writing that down.",
    "The serial number on the label was {} {} {} {} {} {} {} {}, is that right?",
)
_ENDS: Final = (
    "Perfect. Please keep the pressure below 42 until we arrive. Goodbye.",
    "All done. You will get a receipt in 2 or 3 days. Bye.",
    "Thank you very much, have a nice day.",
)
_CARD_QUESTIONS: Final = (
    "What is your card number, please?",
    "Can I have the number on your credit card?",
    "Which card would you like to use? Please read me the long number on the front.",
    "Go ahead with the sixteen digits of the card whenever you are ready.",
    "And your debit card number?",
    "Could you read out your card details for me?",
)
_CODE_QUESTIONS: Final = (
    "And the security code on the back?",
    "And the three digits on the back?",
    "What is the CVV?",
    "And the C V C code please.",
    "Could I also get the verification code of the card?",
)
_PHONE_QUESTIONS: Final = (
    "What is the best phone number to reach you?",
    "And your phone number?",
    "What number can the technician call?",
    "Can I have a callback number?",
    "And a mobile number in case we get cut off?",
)
_EMAIL_QUESTIONS: Final = (
    "And your email address?",
    "Where can I email the receipt?",
    "Which e mail should I send the confirmation to?",
    "Do you have an email address for the invoice?",
)


def _paid(rng: random.Random) -> Iterator["Line"]:
    """A card, asked for or offered, its expiry date, which alone is not sensitive, and its security code."""
    card = card_number(rng)
    if rng.random() < 0.8:
        yield _plain(Role.AGENT, rng.choice(_CARD_QUESTIONS))
    else:
        yield _plain(Role.AGENT, "How would you like to pay?")
        yield _plain(
            Role.TECHNICIAN,
            rng.choice(("With my Visa card, the number is", "By credit card. Here is the number.")),
        )
    yield from _card_said(card, rng)
    if rng.random() < 0.4:
        yield _plain(Role.AGENT, "And when does it expire?")
        yield _plain(
            Role.TECHNICIAN, rng.choice(("In march 2029.", "Oh six twenty eight.", "October next year."))
        )
    yield _plain(Role.AGENT, rng.choice(_CODE_QUESTIONS))
    code = "".join(rng.choice("0123456789") for _ in range(3))
    said = ", ".join(DIGITS[int(digit)] for digit in code)
    start = rng.choice(("That is ", "It's ", "", "Let me turn it over. "))
    yield Line(Role.TECHNICIAN, ((start, None), (said + ".", Entity.SECURITY_CODE)))


def _phone_given(rng: random.Random) -> Iterator["Line"]:
    yield _plain(Role.AGENT, rng.choice(_PHONE_QUESTIONS))
    start = rng.choice(
        ("You can call me at ", "It's ", "My cell is ", "The number is ", "", "Sure, call me back on ")
    )
    yield Line(Role.TECHNICIAN, ((start, None), (phone_as_said(phone(rng), rng) + ".", Entity.PHONE)))


def _email_given(rng: random.Random) -> Iterator["Line"]:
    yield _plain(Role.AGENT, rng.choice(_EMAIL_QUESTIONS))
    start = rng.choice(("My email is ", "It's ", "Sure, that is ", "", "Please use "))
    yield Line(Role.TECHNICIAN, ((start, None), (email(rng) + ".", Entity.EMAIL)))


def _card_said(card: str, rng: random.Random) -> Iterator[Line]:
    """At once, in groups with fillers between, or in groups which the agent acknowledges or repeats."""
    agent, caller = Role.AGENT, Role.TECHNICIAN
    way = rng.choice(("once", "once", "fillers", "acknowledged", "repeated"))
    groups = [card[at : at + 4] for at in range(0, len(card), 4)]
    start = rng.choice(("It is ", "Sure, that's ", "Okay, let me find it. ", ""))
    if way == "once":
        yield Line(caller, ((start, None), (digits_as_said(card, rng) + ".", Entity.CARD_NUMBER)))
    elif way == "fillers":
        parts: list[tuple[str, Entity | None]] = [(start, None)]
        for group in groups:
            parts += [(digits_as_said(group, rng), Entity.CARD_NUMBER), (rng.choice(FILLERS), None)]
        yield Line(caller, tuple(parts[:-1]))
    else:
        for group in groups:
            yield Line(caller, ((digits_as_said(group, rng) + ".", Entity.CARD_NUMBER),))
            if way == "repeated":
                yield Line(agent, ((digits_as_said(group, rng) + ".", Entity.CARD_NUMBER),))
            elif group is not groups[-1]:
                yield _plain(agent, rng.choice(("okay.", "yes.", "go ahead.", "got it.", "uh huh.")))


def _plain(role: Role, text: str) -> Line:
    return Line(role, ((text, None),))


def speak(voice: str, speed: int, text: str, folder: Path) -> Samples:
    """The text at 8 kHz; `speed` is a percentage of the voice's own duration."""
    path = folder / "said.wav"
    if voice in FLITE:
        command = [
            "flite",
            "-voice",
            voice,
            "--setf",
            f"duration_stretch={speed / 100}",
            "-o",
            str(path),
            "-t",
        ]
    else:
        command = ["espeak-ng", "-v", voice, "-s", str(14_000 // speed), "-w", str(path)]
    subprocess.run([*command, text], check=True)
    samples, rate_hz = read_wav(path)
    return to_rate(samples[:, 0], rate_hz, TELEPHONE_HZ)


def human_clips(folder: Path) -> list[Samples]:
    """Recordings of people who read a sentence without numbers, at 8 kHz; none where the folder is missing."""
    found = []
    for pattern in ("austen*.wav", "LJ*.wav", "libri*.wav"):
        for path in sorted(folder.glob(pattern)):
            samples, rate_hz = read_wav(path)
            found.append(to_rate(samples[:, 0], rate_hz, TELEPHONE_HZ))
    return found


def make_call(number: int, folder: Path, clips: Sequence[Samples] = ()) -> Spoken:
    """Call `number`, the same each time."""
    rng = random.Random(number)
    voices = dict(zip(Role, rng.sample((*FLITE, *FLITE, *ESPEAK), 2), strict=True))
    speed = rng.randint(95, 125)
    lanes: dict[Role, list[Samples]] = {role: [] for role in Role}
    call, at = Spoken(f"call-{number:03}", {}), 0
    for line in dialogue(rng, clips):
        pieces = [np.zeros(rng.randint(4, 9) * 800, np.int16)]
        if isinstance(line, Clip):
            pieces.append(line.samples)
        else:
            _say(line, call, at, pieces, (voices[line.role], speed, folder))
        said = np.concatenate(pieces)
        for role in Role:
            lanes[role].append(said if role is line.role else np.zeros(said.size, np.int16))
        at += said.size
    noise = np.random.default_rng(number)
    for role in Role:
        lane = np.concatenate(lanes[role]) + noise.integers(-12, 13, at)
        call.lanes[role] = mulaw.decode(mulaw.encode(np.clip(lane, -32768, 32767).astype(np.int16)))
    return call


def _say(line: Line, call: Spoken, at: int, pieces: list[Samples], spoken_by: tuple[str, int, Path]) -> None:
    """Append the line's sound to `pieces`, which begin at sample `at`, and what it says to the call."""
    call.text.append(f"{line.role}: {''.join(text for text, _ in line.parts)}")
    for text, entity in line.parts:
        if not text:
            continue
        before = at + sum(map(len, pieces))
        voice, speed, folder = spoken_by
        pieces.append(speak(voice, speed, text, folder))
        if entity is None:
            continue
        loud = np.flatnonzero(np.abs(pieces[-1]) > 300)
        place = ((before + int(loud[0])) // 8, (before + int(loud[-1])) // 8)
        same = [one for one in call.said if (one.entity, one.role) == (entity, line.role)]
        if same:
            same[0].places.append(place)
        else:
            call.said.append(Said(entity, line.role, [place]))
