"""Recall and false alarms of redaction on spoken calls, through the default engine.

    python -m benchmarks.redaction [--first 0] [--calls 60] [--material ../shared/audio/calls] [--save file] [--json]

The calls are made here: dialogues with sensitive data, said as people say it, spoken by flite and espeak-ng (both from apt)
in several voices, on two 8 kHz channels with mu-law's noise. They are transcribed by the product's segmenter and engine.
The number of a call is its seed, so `--first` selects calls on which nothing was tuned. An entity counts as found if
redaction silences at least 90 % of the time in which it was said; digits that the agent repeats count for themselves. False
alarms are redactions in recordings without such data: `--material` is a folder of two-channel calls. `--save` writes the
transcripts, which `tests/redaction/test_spoken.py` reads.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from stdnum import luhn

from callreel.asr.engines import faster_whisper
from callreel.asr.silero import SileroDetector
from callreel.asr.turns import merge_turns, words_from
from callreel.audio import mulaw
from callreel.audio.resample import to_rate, upsample_all
from callreel.audio.samples import ASR_SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import SegmenterOptions, speech_spans
from callreel.domain.call import Role
from callreel.domain.redaction import Entity
from callreel.domain.transcript import Final, Segment, Turn, Word
from callreel.domain.words import join_words
from callreel.redaction.find import find_entities
from callreel.store.files.sound_files import read_wav

FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = ("en-us", "en-us+f3", "en-gb+m3", "en-gb+f2")
"""Harder for the engine: formant synthesis."""
MARGIN_MS = 250
FOUND = 0.9
FILLERS = ("um,", "uh,", "and then,", "let me see,", "hold on,", "and,")
DIGITS = "zero one two three four five six seven eight nine".split()


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


def email(rng: random.Random) -> str:
    first = rng.choice(("maria", "john", "peter", "susan", "david", "laura", "kevin"))
    last = rng.choice(("lopez", "smith", "miller", "baker", "jones", "carter"))
    domain = rng.choice(
        ("gmail dot com", "yahoo dot com", "outlook dot com", "example dot org", "acme dot net")
    )
    name = rng.choice(
        (f"{first} dot {last}", first + last, f"{first} {rng.randint(10, 99)}", f"{first} underscore {last}")
    )
    if rng.random() < 0.3:
        name = " ".join(first)
    return f"{name} at {domain}"


def phone(rng: random.Random) -> str:
    area = rng.choice(("212", "415", "312", "617", "206", "303"))
    return area + rng.choice("23456789") + "".join(rng.choice("0123456789") for _ in range(6))


def dialogue(rng: random.Random) -> Iterator[Line]:
    """One call with a card, its code, a phone number and an e-mail address, among other talk."""
    agent, caller = Role.AGENT, Role.TECHNICIAN
    card = card_number(rng)
    yield _plain(agent, "Thank you for calling the service desk, how can I help you today?")
    yield _plain(
        caller, rng.choice(("I want to pay for my repair.", "The heater in unit 4 is broken again."))
    )
    yield _plain(
        agent, rng.choice(("What is your card number, please?", "Can I have the number on your credit card?"))
    )
    yield from _card_said(card, rng)
    yield _plain(
        agent, rng.choice(("And the security code on the back?", "And the three digits on the back?"))
    )
    code = "".join(rng.choice("0123456789") for _ in range(3))
    yield Line(
        caller, (("That is ", None), (", ".join(DIGITS[int(d)] for d in code) + ".", Entity.SECURITY_CODE))
    )
    yield _plain(agent, "Thank you. The order number is 4 4 7 1. Your appointment is at half past ten.")
    yield _plain(agent, rng.choice(("What is the best phone number to reach you?", "And your phone number?")))
    yield Line(caller, (("You can call me at ", None), (digits_as_said(phone(rng), rng) + ".", Entity.PHONE)))
    yield _plain(agent, rng.choice(("And your email address?", "Where can I email the receipt?")))
    yield Line(caller, (("My email is ", None), (email(rng) + ".", Entity.EMAIL)))
    yield _plain(agent, "Perfect. Please keep the pressure below 42 until we arrive. Goodbye.")


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


def make_call(number: int, folder: Path) -> Spoken:
    """Call `number`, the same each time."""
    rng = random.Random(number)
    voices = dict(zip(Role, rng.sample((*FLITE, *FLITE, *ESPEAK), 2), strict=True))
    speed = rng.randint(95, 125)
    lanes: dict[Role, list[Samples]] = {role: [] for role in Role}
    call, at = Spoken(f"call-{number:03}", {}), 0
    for line in dialogue(rng):
        pieces = [np.zeros(rng.randint(4, 9) * 800, np.int16)]
        call.text.append(f"{line.role}: {''.join(text for text, _ in line.parts)}")
        for text, entity in line.parts:
            if not text:
                continue
            before = at + sum(map(len, pieces))
            pieces.append(speak(voices[line.role], speed, text, folder))
            if entity is not None:
                quiet = np.flatnonzero(np.abs(pieces[-1]) > 300)
                first, last = int(quiet[0]), int(quiet[-1])
                place = ((before + first) // 8, (before + last) // 8)
                same = [one for one in call.said if (one.entity, one.role) == (entity, line.role)]
                if same:
                    same[0].places.append(place)
                else:
                    call.said.append(Said(entity, line.role, [place]))
        said = np.concatenate(pieces)
        for role in Role:
            lanes[role].append(said if role is line.role else np.zeros(said.size, np.int16))
        at += said.size
    noise = np.random.default_rng(number)
    for role in Role:
        lane = np.concatenate(lanes[role]) + noise.integers(-12, 13, at)
        call.lanes[role] = mulaw.decode(mulaw.encode(np.clip(lane, -32768, 32767).astype(np.int16)))
    return call


class Transcriber:
    """The final pass of the product, without a database."""

    def __init__(self) -> None:
        self._engine = faster_whisper.load({})

    def turns(self, lanes: dict[Role, Samples]) -> list[Turn]:
        finals = []
        for role, lane in lanes.items():
            wide = upsample_all(lane)
            spans = speech_spans([lane], SileroDetector(), SegmenterOptions(min_silence_ms=800))
            for number, span in enumerate(spans):
                samples = wide[span.start_ms * ASR_SAMPLES_PER_MS : span.end_ms * ASR_SAMPLES_PER_MS]
                decoded = self._engine.decode(samples, partial=False)
                words = words_from(decoded, span.start_ms)
                finals.append(Final(Segment(role, number, span.start_ms, span.end_ms), words))
        return merge_turns(finals)


def found(said: Said, turns: Sequence[Turn]) -> bool:
    """Whether redaction silences nearly all of it."""
    spoken, silenced = 0, 0
    stretches = [one for one in find_entities(turns) if one.role is said.role]
    for start_ms, end_ms in said.places:
        silent = np.zeros(end_ms - start_ms, bool)
        for one in stretches:
            first, last = one.start_ms - MARGIN_MS - start_ms, one.end_ms + MARGIN_MS - start_ms
            silent[max(0, first) : max(0, last)] = True
        spoken, silenced = spoken + silent.size, silenced + int(silent.sum())
    return silenced >= FOUND * spoken


def _near(said: Said, turns: Sequence[Turn]) -> str:
    """What the engine wrote there."""
    return " | ".join(
        turn.text
        for turn in turns
        for start_ms, end_ms in said.places
        if turn.role is said.role and turn.start_ms <= end_ms and turn.end_ms >= start_ms
    )


def recall(calls: Iterable[tuple[Sequence[Said], Sequence[Turn]]]) -> dict[str, tuple[int, int]]:
    """Found and said, by entity."""
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for listed, turns in calls:
        for said in listed:
            name = said.entity.value + ("_repeated" if said.role is Role.AGENT else "")
            total[name] += 1
            right[name] += found(said, turns)
    return {name: (right[name], total[name]) for name in total}


def false_alarms(folder: Path, transcriber: Transcriber) -> dict[str, float]:
    """Redactions in recordings, with how long these are."""
    count = words = masked_ms = 0
    long_s = 0.0
    for path in sorted(folder.glob("*.wav")):
        samples, rate_hz = read_wav(path)
        lanes = {role: to_rate(samples[:, at], rate_hz, TELEPHONE_HZ) for at, role in enumerate(Role)}
        turns = transcriber.turns(lanes)
        words += sum(len(turn.words) for turn in turns)
        long_s += samples.shape[0] / rate_hz
        for one in find_entities(turns):
            count, masked_ms = count + 1, masked_ms + one.end_ms - one.start_ms
            near = " ".join(
                t.text
                for t in turns
                if t.role is one.role and t.start_ms <= one.end_ms and t.end_ms >= one.start_ms
            )
            print(f"{path.name} {one.entity} {one.start_ms}: {near}", file=sys.stderr)
    return {
        "redactions": count,
        "minutes": round(long_s / 60, 1),
        "words": words,
        "masked_s": masked_ms / 1000,
    }


Saved = dict[str, list[Any]]


def saved(call: Spoken, turns: Sequence[Turn]) -> Saved:
    """What the tests keep of a call."""
    return {
        "said": [[said.entity, said.role, said.places] for said in call.said],
        "turns": [
            [
                turn.role,
                turn.start_ms,
                turn.end_ms,
                [[word.text, word.start_ms, word.end_ms] for word in turn.words],
            ]
            for turn in turns
        ],
    }


def loaded(call: Saved) -> tuple[list[Said], list[Turn]]:
    """The same again."""
    said = [
        Said(Entity(entity), Role(role), [(a, b) for a, b in places]) for entity, role, places in call["said"]
    ]
    turns = []
    for role, start_ms, end_ms, listed in call["turns"]:
        words = tuple(Word(*word) for word in listed)
        turns.append(Turn(Role(role), start_ms, end_ms, join_words(word.text for word in words), None, words))
    return said, turns


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall and false alarms of redaction on spoken calls.")
    parser.add_argument(
        "--first", type=int, default=0, help="the number of the first call, which is its seed"
    )
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--material", type=Path, default=Path("../shared/audio/calls"))
    parser.add_argument("--save", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    transcriber = Transcriber()
    calls, kept = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.calls):
            call = make_call(number, Path(folder))
            turns = transcriber.turns(call.lanes)
            calls.append((call.said, turns))
            kept.append(json.dumps(saved(call, turns), separators=(",", ":")))
            for said in call.said:
                if not found(said, turns):
                    print(f"{call.name} missed {said.entity}: {_near(said, turns)}", file=sys.stderr)
    if options.save:
        options.save.write_text("[\n" + ",\n".join(kept) + "\n]\n", encoding="utf-8")
    figures: dict[str, Any] = {"first": options.first, "calls": options.calls, "recall": recall(calls)}
    if options.material.is_dir():
        figures["false_alarms"] = false_alarms(options.material, transcriber)
    print(json.dumps(figures, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
