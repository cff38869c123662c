"""Parsing of server-sent events."""

from collections.abc import AsyncIterator

from callreel.demo.event_stream import ServerEvent, events


async def parsed(text: str) -> list[ServerEvent]:
    async def lines() -> AsyncIterator[str]:
        for line in text.split("\n"):
            yield line

    return [event async for event in events(lines())]


async def test_event_has_kind_data_and_id() -> None:
    text = 'retry: 2000\n\nid: 7\nevent: final\ndata: {"text":"yes"}\n\n'
    assert await parsed(text) == [ServerEvent("final", {"text": "yes"}, "7")]


async def test_event_without_id_keeps_the_last_id() -> None:
    text = "id: 7\nevent: final\ndata: {}\n\nevent: level\ndata: {}\n\n"
    assert [(event.kind, event.id) for event in await parsed(text)] == [("final", "7"), ("level", "7")]


async def test_comments_unknown_fields_and_incomplete_events_are_ignored() -> None:
    assert await parsed(": still here\n\nunknown: x\n\nevent: call\ndata: {}") == []


async def test_data_lines_are_joined() -> None:
    assert (await parsed('data: {"a":\ndata: 1}\n\n'))[0].data == {"a": 1}


async def test_data_other_than_an_object_is_ignored() -> None:
    assert await parsed("data: nonsense\n\ndata: [1]\n\n") == []
