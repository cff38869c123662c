"""Layer files over HTTP: whole, ranges, growing files, and missing ones."""

import pytest
from fastapi.testclient import TestClient

from callreel.domain.recording import LayerState
from callreel.store.calls import layers
from tests.support.seed import DONE, LIVE, Seed

URL = f"/calls/{DONE}/layers/live_8k-agent.wav"


@pytest.fixture
def whole(place: Seed) -> bytes:
    with place.database.read() as conn:
        file = layers.of_call(conn, DONE)[0]
    return place.blobs.path(file.path).read_bytes()


def test_whole_file_is_sent(ada: TestClient, whole: bytes) -> None:
    answer = ada.get(URL)
    assert answer.status_code == 200
    assert answer.content == whole
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == str(len(whole))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith("inline; filename*=UTF-8''agent_")


@pytest.mark.parametrize(
    ("header", "first", "stop"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-44", -44, None),
        ("bytes=40-9999999", 40, None),
    ],
)
def test_requested_range_is_sent(
    ada: TestClient, whole: bytes, header: str, first: int, stop: int | None
) -> None:
    answer = ada.get(URL, headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == whole[first:stop]
    start = first % len(whole)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(whole)}"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_range_after_the_end_gets_416(ada: TestClient, whole: bytes) -> None:
    answer = ada.get(URL, headers={"Range": f"bytes={len(whole)}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(whole)}"
    assert answer.json()["error"]["code"] == "range_not_satisfiable"


def test_unchanged_file_answers_304(ada: TestClient, whole: bytes) -> None:
    etag = ada.get(URL).headers["etag"]
    assert ada.get(URL, headers={"If-None-Match": etag}).status_code == 304
    assert ada.get(URL, headers={"Range": "bytes=0-9", "If-Range": etag}).content == whole[:10]
    assert ada.get(URL, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).content == whole


def test_head_returns_headers_only(ada: TestClient, whole: bytes) -> None:
    answer = ada.head(URL)
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(whole))
    assert answer.content == b""


def test_growing_file_is_sent_at_its_current_length(ada: TestClient, place: Seed) -> None:
    url = f"/calls/{LIVE}/layers/live_8k-agent.wav"
    with place.database.read() as conn:
        file = layers.of_call(conn, LIVE)[0]
    assert file.state is LayerState.RECORDING
    before = ada.get(url)
    assert "etag" not in before.headers
    assert before.headers["cache-control"] == "no-store"
    with place.blobs.path(file.path).open("ab") as growing:
        growing.write(b"\x01\x02" * 160)
    after = ada.get(url, headers={"Range": f"bytes={len(before.content)}-"})
    assert after.status_code == 206
    assert after.content == b"\x01\x02" * 160


def test_every_layer_has_a_url(ada: TestClient) -> None:
    files = ada.get(f"/api/v1/calls/{DONE}").json()["layers"]
    assert len(files) == 7
    assert len({file["url"] for file in files}) == 7
    for number, file in enumerate(files, start=1):
        by_name = ada.get(file["url"])
        assert len(by_name.content) == file["size_bytes"]
        assert ada.get(f"/calls/{DONE}/layers/{number}.wav").content == by_name.content


@pytest.mark.parametrize("name", ["0", "8", "cloud-agent", "live_8k", "..", "%2e%2e%2fcallreel", "²"])
def test_unknown_layer_is_not_found(ada: TestClient, name: str) -> None:
    assert ada.get(f"/calls/{DONE}/layers/{name}.wav").status_code == 404


def test_layer_without_its_file_is_not_found(ada: TestClient, place: Seed) -> None:
    with place.database.read() as conn:
        place.blobs.path(layers.of_call(conn, DONE)[0].path).unlink()
    answer = ada.get(URL)
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "There is no such layer of this call."}
    }
