"""The client against a real HTTP server: what it sends, every kind of bad answer, and the wait that the server demands."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callreel.domain.errors import LanguageModelError, UnusableAnswerError
from callreel.language_model import chat_server
from callreel.language_model.cancellation import Cancellation, CancelledRequestError
from callreel.language_model.chat_server import ChatAccess, ChatServer
from callreel.runtime.shared_pause import SharedPause
from tests.support.installation import eventually_blocking
from tests.support.language_model import MODEL, PATH, asked, completion
from tests.support.rest_server import Answer, RestServer

MESSAGES = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object"}


@pytest.fixture
def client(server: RestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    found = ChatServer(ChatAccess(f"{server.url}/v1", MODEL, "sk-1", 2.0))
    yield found
    found.close()


def test_request_has_the_schema_and_no_tools(client: ChatServer, server: RestServer) -> None:
    server.put(PATH, completion("{}"))
    answer = client.complete(MESSAGES, SCHEMA)
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("{}", 900, 120)
    [body] = asked(server)
    assert body.pop("response_format") == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
    assert body == {"model": MODEL, "messages": MESSAGES, "stream": False}
    assert server.seen[0].headers["Authorization"] == "Bearer sk-1"


def test_server_without_structured_output_is_asked_for_text(client: ChatServer, server: RestServer) -> None:
    server.put(PATH, Answer(400, b'{"error": "unknown parameter"}'), completion("{}", None))
    assert client.complete(MESSAGES, SCHEMA).prompt_tokens is None
    client.complete(MESSAGES, SCHEMA)
    assert ["response_format" in body for body in asked(server)] == [True, False, False]


@pytest.mark.parametrize(
    ("answer", "retryable", "message"),
    [
        (Answer(401), False, "answered 401; check CALLREEL_LANGUAGE_MODEL_KEY"),
        (Answer(404), False, "answered 404; check CALLREEL_LANGUAGE_MODEL_URL"),
        (Answer(500, b"secret words"), True, "answered 500"),
        (Answer(307, headers={"Location": "http://127.0.0.1:9/v1"}), False, "answered 307"),
        (Answer(200, b"secret words"), True, "without JSON"),
        (Answer(200, b"[" * 100_000), True, "without JSON"),
        (Answer(200, b'{"choices": []}'), True, "no text"),
        (Answer(200, b"[1]"), True, "no text"),
        (completion("  "), True, "no text"),
        (Answer(200, b" " * (chat_server.LARGEST_BYTES + 1)), True, "too long"),
        (Answer(200, b'{"choices": [', cut_at=5), True, "cannot be reached"),
        (Answer(stays=True), True, "did not answer within 2 s"),
    ],
)  # fmt: skip
def test_bad_answer_is_an_error_without_its_words(
    client: ChatServer, server: RestServer, answer: Answer, retryable: bool, message: str
) -> None:
    server.put(PATH, answer)
    with pytest.raises(LanguageModelError, match=message) as raised:
        client.complete(MESSAGES, SCHEMA)
    assert raised.value.retryable is retryable and "secret" not in str(raised.value)


def test_answer_that_was_cut_off_is_not_used(client: ChatServer, server: RestServer) -> None:
    cut = json.loads(completion('{"summary"').body)
    cut["choices"][0]["finish_reason"] = "length"
    server.put(PATH, Answer(200, json.dumps(cut).encode()))
    with pytest.raises(UnusableAnswerError, match="larger context"):
        client.complete(MESSAGES, SCHEMA)


def test_requested_wait_holds_for_all_clients_of_the_server(client: ChatServer, server: RestServer) -> None:
    server.put(PATH, Answer(429, headers={"Retry-After": "7"}))
    with pytest.raises(LanguageModelError) as raised:
        client.complete(MESSAGES, SCHEMA)
    assert (raised.value.retryable, raised.value.retry_after_s) == (True, 7.0)
    assert 0 < SharedPause("chat", f"{server.url}/v1", "sk-1").left_s <= 7


def test_local_server_is_never_reached_through_a_proxy(
    client: ChatServer, server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.put(PATH, completion("{}"))
    direct = ChatServer(client.access)
    assert direct.complete(MESSAGES, SCHEMA).text == "{}"
    direct.close()


def test_cancelled_request_is_cut_off_and_no_other_is_sent(client: ChatServer, server: RestServer) -> None:
    server.put(PATH, Answer(stays=True))
    cancellation = Cancellation()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.complete, MESSAGES, SCHEMA, 60.0, cancellation)
        eventually_blocking(lambda: server.seen)
        cancellation.cancel()
        with pytest.raises(CancelledRequestError):
            waiting.result(10)
    with pytest.raises(CancelledRequestError):
        client.complete(MESSAGES, SCHEMA, 60.0, cancellation)
    assert len(server.seen) == 1


def test_models_are_listed(client: ChatServer, server: RestServer) -> None:
    server.put("/v1/models", Answer(200, b'{"data": [{"id": "a"}, {"id": "b"}, 3]}'))
    assert client.models() == ["a", "b"]
    server.put("/v1/models", Answer(200, b"{}"))
    with pytest.raises(LanguageModelError, match="does not speak"):
        client.models()
