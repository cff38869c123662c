"""`callreel mcp` with the SDK's own client: what a token may see, bounds of answers, and the command over stdio."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from callreel.cli.main import main
from callreel.domain.access import Scope
from callreel.domain.cost import Prices
from callreel.domain.note import NoteKind
from callreel.mcp import server as mcp_module
from callreel.mcp.server import CallApi, mcp_server
from callreel.store.audit import trail
from callreel.store.calls import notes
from callreel.web.options import WebOptions
from tests.support.seed import DONE, LIVE, NOON, Seed
from tests.web.conftest import MakeApp, bearer


@asynccontextmanager
async def tools(make_app: MakeApp, place: Seed, name: str, *scopes: Scope) -> AsyncIterator[Client]:
    """A client of the MCP server that has a token of this person."""
    token = bearer(place, name, *scopes)["Authorization"].removeprefix("Bearer ")
    app = make_app(WebOptions(prices=Prices()))
    api = CallApi("https://calls.example", token, httpx2.ASGITransport(app))
    async with Client(mcp_server(api)) as client:
        yield client
    await api.close()


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    found: dict[str, Any] = json.loads(result.content[0].text)  # type: ignore[union-attr]
    return found


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


async def test_supervisor_lists_searches_and_reads(make_app: MakeApp, place: Seed) -> None:
    with place.database.write() as conn:
        notes.add(conn, DONE, NoteKind.NOTE, 10, "a leak", "maria", NOON)
    async with tools(make_app, place, "sam", Scope.READ_CALLS) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == [
            "list_calls",
            "search_calls",
            "get_transcript",
            "get_notes",
        ]
        calls = (await answer(client, "list_calls"))["calls"]
        assert {DONE, LIVE} <= {call["call_id"] for call in calls}
        closed = await answer(client, "list_calls", verdict="verified", limit=1)
        assert [call["call_id"] for call in closed["calls"]] == [DONE]
        [found] = (await answer(client, "search_calls", query='"left gauge"'))["calls"]
        assert (found["call_id"], found["hits"][0]["role"]) == (DONE, "agent")
        transcript = await answer(client, "get_transcript", call_id=DONE)
        assert (transcript["kind"], transcript["turns_total"], transcript["next_turn"]) == ("final", 5, None)
        assert transcript["turns"][0]["text"].startswith("good morning")
        assert (await answer(client, "get_transcript", call_id=LIVE))["kind"] == "live"
        read = await answer(client, "get_notes", call_id=DONE)
        assert (read["verdict"], read["notes"][0]["text"]) == ("verified", "a leak")
    with place.database.read() as conn:
        done = [(entry.action, entry.actor, entry.via) for entry in trail.entries(conn)]
        pending = conn.exec_driver_sql("SELECT action, actor, via FROM open_accesses").fetchall()
    assert ("call_viewed", "sam", "token") in {*done, *map(tuple, pending)}


async def test_token_decides_what_is_visible(make_app: MakeApp, place: Seed) -> None:
    async with tools(make_app, place, "zoe", Scope.READ_CALLS) as client:
        assert (await answer(client, "list_calls"))["calls"] == []
        assert "There is no such call" in await refusal(client, "get_transcript", call_id=DONE)
    async with tools(make_app, place, "ada", Scope.READ_AUDIT) as client:
        assert "permission" in await refusal(client, "list_calls")
    api = CallApi("https://calls.example", "crt_wrong", httpx2.ASGITransport(make_app(WebOptions())))
    async with Client(mcp_server(api)) as client:
        assert "set CALLREEL_API_TOKEN" in await refusal(client, "get_notes", call_id=DONE)
    await api.close()


async def test_answers_are_bounded_and_continued(
    make_app: MakeApp, place: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_module, "MOST_TURNS", 2)
    monkeypatch.setattr(mcp_module, "MOST_CALLS", 1)
    async with tools(make_app, place, "sam", Scope.READ_CALLS) as client:
        texts: list[str] = []
        turn: int | None = 0
        while turn is not None:
            part = await answer(client, "get_transcript", call_id=DONE, from_turn=turn)
            assert len(part["turns"]) <= 2
            texts += [one["text"] for one in part["turns"]]
            turn = part["next_turn"]
        assert len(texts) == 5
        page = await answer(client, "list_calls", limit=1000)
        assert len(page["calls"]) == 1 and page["next_before"]
        following = await answer(client, "list_calls", before=page["next_before"])
        assert following["calls"][0]["call_id"] != page["calls"][0]["call_id"]
        for tool, arguments in (
            ("get_notes", {"call_id": "../people"}),
            ("search_calls", {"query": " "}),
            ("list_calls", {"since": "yesterday"}),
            ("list_calls", {"state": "nonsense"}),
        ):
            assert await refusal(client, tool, **arguments)


def test_command_without_a_token_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CALLREEL_API_TOKEN", raising=False)
    assert main(["mcp"]) == 2
    assert "set CALLREEL_API_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("CALLREEL_API_TOKEN", "crt_x")
    assert main(["mcp", "--server", "calls.example"]) == 2


async def test_command_speaks_the_protocol_over_stdio() -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "callreel", "mcp", "--server", "http://127.0.0.1:9"],
        env={**os.environ, "CALLREEL_API_TOKEN": "crt_x"},
    )
    async with Client(stdio_client(command)) as client:
        assert len((await client.list_tools()).tools) == 4
        assert "does not answer" in await refusal(client, "list_calls")
