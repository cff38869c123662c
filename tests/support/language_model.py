"""Recorded answers of a language model's server, and the analyse stage of a seeded installation that asks it."""

import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fastapi import FastAPI

from callreel.cluster.event_publisher import EventPublisher
from callreel.language_model.chat_server import ChatAccess, ChatServer
from callreel.language_model.usage import TokenPrices
from callreel.postcall.analysing import Analysing
from callreel.review.model_access import ModelAccess
from callreel.runtime.clock import Clock
from callreel.web.app import WebContext, WebOptions, create_app
from tests.support.rest_server import Answer, RestServer, rest_server
from tests.support.seed import Seed

MODEL = "test-model"
PATH = "/v1/chat/completions"
PRICES = TokenPrices(Decimal("0.15"), Decimal("0.60"))


def said(text: str, *turns: int) -> dict[str, Any]:
    return {"text": text, "turns": list(turns)}


ABOUT_VALVE: dict[str, Any] = {
    "summary": said("The technician reports falling pressure.", 2, 4),
    "reason": said("A unit on the roof loses pressure.", 2),
    "outcome": None,
    "action_items": [
        {"text": "Close the valve.", "owner": "technician", "due": "for two minutes", "turns": [5]}
    ],
    "labels": [{"label": "Urgent", "turns": [4]}],
    "sentiment": [],
}
"""An answer about the seeded call, whose turns are those of `seed.SAID`."""


def sounds(party: str, sentiment: str, text: str, *turns: int) -> dict[str, Any]:
    return {"party": party, "sentiment": sentiment, **said(text, *turns)}


COURSE = [
    sounds("technician", "neutral", "Says where they are.", 2),
    sounds("technician", "negative", "Worried about the pressure.", 4),
    sounds("agent", "positive", "Friendly greeting.", 1),
]
"""The sentiment of the seeded call."""


def completion(content: object, tokens: tuple[int, int] | None = (900, 120)) -> Answer:
    """The response of a chat server whose model answered `content`, JSON or text."""
    text = content if isinstance(content, str) else json.dumps(content)
    body: dict[str, Any] = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    }
    if tokens is not None:
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def asked(server: RestServer) -> list[dict[str, Any]]:
    """The bodies of the requests for answers."""
    return [json.loads(seen.body) for seen in server.seen if seen.path == PATH]


@contextlib.contextmanager
def chat_server(
    *answers: Answer, timeout_s: float = 5.0, key: str = ""
) -> Iterator[tuple[ChatServer, RestServer]]:
    """The client of a server with recorded answers."""
    with rest_server() as server:
        server.put(PATH, *answers)
        chat = ChatServer(ChatAccess(f"{server.url}/v1", MODEL, key, timeout_s))
        try:
            yield chat, server
        finally:
            chat.close()


@contextlib.contextmanager
def analysing(
    place: Seed, *answers: Answer, timeout_s: float = 5.0, key: str = "", redacts: bool = False
) -> Iterator[tuple[Analysing, RestServer]]:
    """The stage, and the server with its recorded answers."""
    publisher = EventPublisher(place.database, place.bus, Clock())
    with chat_server(*answers, timeout_s=timeout_s, key=key) as (chat, server):
        yield Analysing(place.database, publisher, Clock(), chat, PRICES, redacts=redacts), server


@contextlib.contextmanager
def asking(
    place: Seed, *answers: Answer, timeout_s: float = 5.0, redacts: bool = False, demo: bool = False
) -> Iterator[tuple[FastAPI, RestServer]]:
    """An application that asks a language model, and the server with its recorded answers."""
    with chat_server(*answers, timeout_s=timeout_s) as (chat, server):
        model = ModelAccess(place.database, Clock(), chat, PRICES, redacts=redacts)
        options = WebOptions(language_model=MODEL, demo=demo)
        yield create_app(WebContext(place.database, place.blobs, place.bus, options, model=model)), server


def sentences(*given: dict[str, Any]) -> Answer:
    """The response of a model that answered a question with these sentences."""
    return completion({"sentences": list(given)})
