"""Recall and false alarms of redaction on spoken calls, through the default engine.

    python -m benchmarks.redaction [--first 0] [--calls 60] [--material ../shared/audio/calls] [--save file] [--json]
    python -m benchmarks.redaction --load file

The calls are those of `spoken_calls.py`, transcribed by the product's segmenter and engine. The number of a call is its seed:
`TUNING` are those with which recognizers are improved, `HELD_OUT` those that measure them and are not looked at before. An
entity counts as found if redaction silences at least 90 % of the time in which it was said; digits that the agent repeats
count for themselves. A false alarm is a redaction where nothing sensitive is said, in these calls and in those of `--material`,
a folder of two-channel recordings. `--save` writes the transcripts, which `--load` scores again without the engine, and
`tests/redaction/test_spoken.py` reads.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.spoken_calls import Said, Spoken, human_clips, make_call
from callreel.asr.engines import faster_whisper
from callreel.asr.silero import SileroDetector
from callreel.asr.turns import merge_turns, words_from
from callreel.audio.resample import to_rate, upsample_all
from callreel.audio.samples import ASR_SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import SegmenterOptions, speech_spans
from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Final, Segment, Turn, Word
from callreel.domain.words import join_words
from callreel.redaction.find import find_entities
from callreel.store.files.sound_files import read_wav

MARGIN_MS = 250
FOUND = 0.9
TUNING = range(1_000, 1_030)
HELD_OUT = range(2_000, 2_100)


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


def _near(role: Role, places: Sequence[tuple[int, int]], turns: Sequence[Turn]) -> str:
    """What the engine wrote there."""
    return " | ".join(
        turn.text
        for turn in turns
        for start_ms, end_ms in places
        if turn.role is role and turn.start_ms <= end_ms and turn.end_ms >= start_ms
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


def alarms(calls: Iterable[tuple[Sequence[Said], Sequence[Turn]]]) -> list[Stretch]:
    """The redactions where nothing sensitive is said."""
    return [
        one
        for listed, turns in calls
        for one in find_entities(turns)
        if not any(
            said.role is one.role and start_ms <= one.end_ms and end_ms >= one.start_ms
            for said in listed
            for start_ms, end_ms in said.places
        )
    ]


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
    parser.add_argument(
        "--clips", type=Path, default=Path("../shared/audio"), help="what callers say besides"
    )
    parser.add_argument("--save", type=Path)
    parser.add_argument("--load", type=Path, nargs="+", help="score saved transcripts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.load:
        loaded_calls = [loaded(call) for path in options.load for call in json.loads(path.read_text())]
        print(json.dumps(scores(loaded_calls), indent=None if options.json else 2))
        return
    transcriber = Transcriber()
    calls, kept = [], []
    clips = human_clips(options.clips)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.calls):
            call = make_call(number, Path(folder), clips)
            turns = transcriber.turns(call.lanes)
            calls.append((call.said, turns))
            kept.append(json.dumps(saved(call, turns), separators=(",", ":")))
    if options.save:
        options.save.write_text("[\n" + ",\n".join(kept) + "\n]\n", encoding="utf-8")
    figures: dict[str, Any] = {"first": options.first, **scores(calls)}
    if options.material.is_dir():
        figures["false_alarms"] = false_alarms(options.material, transcriber)
    print(json.dumps(figures, indent=None if options.json else 2))


def scores(calls: Sequence[tuple[Sequence[Said], Sequence[Turn]]]) -> dict[str, Any]:
    """The figures of spoken calls; what was missed and what was redacted wrongly is written to stderr."""
    for number, (listed, turns) in enumerate(calls):
        for said in listed:
            if not found(said, turns):
                print(
                    f"{number} missed {said.entity}: {_near(said.role, said.places, turns)}", file=sys.stderr
                )
        for one in alarms([(listed, turns)]):
            near = _near(one.role, [(one.start_ms, one.end_ms)], turns)
            print(f"{number} false alarm {one.entity}: {near}", file=sys.stderr)
    false = alarms(calls)
    return {
        "calls": len(calls),
        "recall": recall(calls),
        "false_alarms_in_calls": Counter(one.entity.value for one in false),
        "falsely_masked_s": sum(one.end_ms - one.start_ms for one in false) / 1000,
        "minutes": round(sum(max(turn.end_ms for turn in turns) for _, turns in calls) / 60_000, 1),
    }


if __name__ == "__main__":
    main()
