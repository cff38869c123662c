"""What the media path uses of picows and Uvicorn beyond their documentation: an upgrade that changes it fails here."""

import inspect
import re
from importlib.metadata import version
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from callreel.ingest.media.protocol import SocketLimits, media_protocol
from tests.support.installation import Installation, live_side
from tests.web.carrier_side import STREAM_URL, signature_check

ROOT = Path(__file__).parents[2]


async def test_picows_makes_a_buffered_protocol(installation: Installation) -> None:
    async with live_side(installation) as live:
        open_media = media_protocol(
            signature_check(), STREAM_URL, live.streams, live.facts, live.counters, SocketLimits()
        )
        protocol = open_media(set())
        assert len(memoryview(protocol.get_buffer(100))) >= 100
        assert callable(protocol.buffer_updated)


def test_picows_is_pinned_to_the_installed_version() -> None:
    pinned = re.search(r'"picows==([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned is not None and pinned[1] == version("picows")


async def test_uvicorn_hands_over_websocket_upgrades() -> None:
    assert list(inspect.signature(H11Protocol.handle_websocket_upgrade).parameters) == ["self", "event"]
    config = uvicorn.Config(FastAPI(), log_config=None)
    config.load()
    state = ServerState()
    protocol = H11Protocol(config=config, server_state=state, app_state={})
    assert protocol.connections is state.connections
    assert {"scope", "transport"} <= vars(protocol).keys()


def test_uvicorn_records_captured_signals() -> None:
    server = uvicorn.Server(uvicorn.Config(FastAPI(), log_config=None))
    assert server._captured_signals == []
    with server.capture_signals():
        pass
