"""Server-sent events from lines."""

import asyncio
from collections.abc import AsyncIterator

from callreel.demo.event_stream import ServerEvent, events


def parsed(text: str) -> list[ServerEvent]:
    async def lines() -> AsyncIterator[str]:
        for line in text.split("\n"):
            yield line

    async def collect() -> list[ServerEvent]:
        return [event async for event in events(lines())]

    return asyncio.run(collect())


def test_an_event_has_its_kind_its_data_and_its_id() -> None:
    text = 'retry: 2000\n\nid: 7\nevent: final\ndata: {"text":"yes"}\n\n'
    assert parsed(text) == [ServerEvent("final", {"text": "yes"}, "7")]


def test_a_passing_event_keeps_the_id_of_the_last_lasting_one() -> None:
    text = "id: 7\nevent: final\ndata: {}\n\nevent: level\ndata: {}\n\n"
    assert [(event.kind, event.id) for event in parsed(text)] == [("final", "7"), ("level", "7")]


def test_comments_other_fields_and_half_an_event_are_passed_over() -> None:
    assert parsed(": still here\n\nunknown: x\n\nevent: call\ndata: {}") == []


def test_data_in_several_lines_is_one() -> None:
    assert parsed('data: {"a":\ndata: 1}\n\n')[0].data == {"a": 1}


def test_data_that_is_no_object_is_passed_over() -> None:
    assert parsed("data: nonsense\n\ndata: [1]\n\n") == []
