"""Bodies over the limits of their route are refused before they are held in memory."""

import json
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from callreel.web.body_limits import DEFAULT, BodyLimit, BodyLimits, BodyShapeError, JsonMeter, limit_of
from tests.support.seed import DONE
from tests.web.conftest import As

MOST = BodyLimit(1 << 20, depth=1000, items=100_000)


def refused(document: bytes, limit: BodyLimit, cut: int = 7) -> bool:
    meter = JsonMeter(limit)
    try:
        for at in range(0, len(document), cut):
            meter.feed(document[at : at + cut])
    except BodyShapeError:
        return True
    return False


def depth_and_items(value: Any) -> tuple[int, int]:
    """As the meter counts: an empty array or object is one item, as its bracket may be followed by one."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [depth_and_items(each) for each in (value.values() if isinstance(value, dict) else value)]
    return 1 + max((d for d, _ in inner), default=0), max(1, len(value)) + sum(n for _, n in inner)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('"\\[]{},a\u00e9'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\[]{},a'), inner, max_size=4),
)


@given(JSON, st.integers(1, 20), st.booleans())
def test_depth_and_items_are_counted_across_pieces(value: Any, cut: int, ascii_only: bool) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth, items = depth_and_items(value)
    assert not refused(document, BodyLimit(depth=depth, items=items), cut)
    if depth:
        assert refused(document, BodyLimit(depth=depth - 1, items=items), cut)
        assert refused(document, BodyLimit(depth=depth, items=items - 1), cut)


@pytest.mark.parametrize("document", [b'"" "" ""', b'""' * 10_000, b"]", b"{}}"])
def test_what_cannot_be_json_is_refused_early(document: bytes) -> None:
    assert refused(document, MOST)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"raw": "' + b"1" * DEFAULT.size_bytes + b'"}', 413), (b"[" * 30_000, 422), (b'{"raw":' * 9_000, 422),
     (b'{"raw": [' + b"1," * 30_000 + b"1]}", 422), (b'{"raw": "2125550123"}', 200)],
)  # fmt: skip
def test_large_deep_and_wide_bodies_are_refused(signed_in: As, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = signed_in("zoe").post("/api/v1/numbers", content=body, headers=headers)
    assert answer.status_code == status
    pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))  # without a declared length
    assert signed_in("zoe").post("/api/v1/numbers", content=pieces, headers=headers).status_code == status


def test_largest_allowed_revision_and_vocabulary_pass_the_limits(signed_in: As) -> None:
    phrases = [f"{number:04}" + "é" * 76 for number in range(1000)]
    assert signed_in("sam").put("/api/v1/vocabulary", json={"phrases": phrases}).status_code == 200
    changes = [{"turn": 0, "word": 0, "text": "pump", "role": "agent"}] * 1000
    answer = signed_in("sam").post(f"/api/v1/calls/{DONE}/revisions", json={"base": 99, "changes": changes})
    assert answer.status_code == 409, answer.text
    assert limit_of("GET", "/api/v1/vocabulary") is DEFAULT


def test_body_over_the_limit_is_not_read_to_its_end() -> None:
    read: list[int] = []
    app = FastAPI()

    @app.post("/")
    async def route(request: Request) -> int:
        return len(await request.body())

    async def measured(scope: Any, receive: Any, send: Any) -> None:
        async def counted() -> Any:
            message = await receive()
            read.append(len(message.get("body", b"")))
            return message

        await BodyLimits(app)(scope, counted, send)

    pieces = (b" " * 10_000 for _ in range(1_000))
    assert TestClient(measured).post("/", content=pieces).status_code == 413
    assert sum(read) <= DEFAULT.size_bytes + 10_000 or len(read) == 1  # the test client sends one piece


def test_large_form_is_refused(stranger: TestClient) -> None:
    answer = stranger.post("/sign-in", data={"name": "a" * 70_000, "password": "b"})
    assert answer.status_code == 413
