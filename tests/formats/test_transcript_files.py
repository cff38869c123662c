"""Text, JSON and CSV."""

import csv
import json

import pytest
from hypothesis import given

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.paused import Paused
from callreel.formats.plain_text import plain_text
from callreel.formats.transcript_csv import COLUMNS, transcript_csv
from callreel.formats.transcript_json import transcript_json
from tests.formats.said import NAMES, TURNS, turn

SAID = [turn("good morning", 900), turn("hello\n there", 3_661_500, Role.TECHNICIAN)]


def test_plain_text() -> None:
    assert plain_text([("Call", "0123")], SAID, NAMES) == (
        "Call: 0123\n\n[0:00:00] Agent: good morning\n[1:01:01] R&D <tech>: hello there\n"
    )
    assert plain_text([], [], NAMES) == ""


def test_json_has_the_head_and_every_word() -> None:
    read = json.loads(transcript_json({"call": {"call_id": "0123"}}, SAID))
    assert read["call"] == {"call_id": "0123"}
    assert read["turns"][1]["words"][0] == {
        "text": "hello",
        "start_ms": 3_661_500,
        "end_ms": 3_661_780,
        "confidence": 0.5,
    }


@given(TURNS)
def test_csv_is_read_back_a_line_a_turn(turns: list[Turn]) -> None:
    read = list(csv.reader(transcript_csv(turns, NAMES).splitlines()))
    assert tuple(read[0]) == COLUMNS
    assert [(int(row[0]), row[2]) for row in read[1:]] == [(said.start_ms, said.role) for said in turns]
    assert [row[4].removeprefix("'") for row in read[1:]] == [" ".join(said.text.split()) for said in turns]


def test_csv_has_the_sentiment_of_the_party_at_each_turn() -> None:
    turns = [Turn(role, at, at + 1, "x", None) for at, role in enumerate([Role.AGENT, Role.TECHNICIAN] * 2)]
    course = [(Role.AGENT, 0, "neutral"), (Role.AGENT, 2, "negative"), (Role.TECHNICIAN, 3, "positive")]
    pause = Paused(1, 2)
    read = csv.DictReader(transcript_csv(turns, NAMES, [pause], course).splitlines())
    assert [row["sentiment"] for row in read] == ["neutral", "", "", "negative", "positive"]


def cell(text: str) -> str:
    return list(csv.reader([transcript_csv([Turn(Role.AGENT, 0, 1, text, None)], NAMES).splitlines()[1]]))[0][
        4
    ]


@pytest.mark.parametrize(
    "text",
    ["=1+2", "+1", "-1", "@x", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", "\u200b=1", "\ufeff\u2060-1", "\u202e@x", "\0=1"],
)  # fmt: skip
def test_csv_guards_every_beginning_of_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["café", "a=1", "5 - 3", "請檢查", "\u200bx", ""])
def test_csv_leaves_other_text_alone(text: str) -> None:
    assert cell(text) == text


def test_csv_has_a_byte_order_mark_on_request() -> None:
    plain = transcript_csv(SAID, NAMES)
    assert transcript_csv(SAID, NAMES, byte_order_mark=True).encode() == b"\xef\xbb\xbf" + plain.encode()
