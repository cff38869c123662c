import email
import io
import json
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message

import numpy as np
import pytest

from callreel.asr.engines.openai_api import check, load
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.domain.errors import EngineError
from tests.asr.stub_server import QuietHandler, stub_server

SAMPLES = np.arange(-16000, 16000, dtype=np.int16)


@dataclass
class Stub:
    """A transcription server on loopback: gives the answers one after the other, the last one for ever."""

    answers: list[tuple[int, object]]
    requests: list[tuple[Message, dict[str, bytes]]] = field(default_factory=list)
    url: str = ""
    retry_after_ms: str = "1"
    requested_at_s: list[float] = field(default_factory=list)

    def answer(self) -> tuple[int, object]:
        return self.answers[min(len(self.requests), len(self.answers)) - 1]


@contextmanager
def serving(*answers: tuple[int, object]) -> Iterator[Stub]:
    stub = Stub(list(answers))

    class Handler(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stub.requested_at_s.append(time.monotonic())
            stub.requests.append((self.headers, form(self.headers["Content-Type"], body)))
            status, answer = stub.answer()
            self.reply(status, json.dumps(answer).encode(), Retry_After_Ms=stub.retry_after_ms)

    with stub_server(Handler) as url:
        stub.url = f"{url}/v1"
        yield stub


def form(content_type: str, body: bytes) -> dict[str, bytes]:
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload
    return fields


def test_a_segment_is_sent_as_a_wav_and_its_words_share_its_time() -> None:
    with serving((200, {"text": "Hi there, caller."})) as stub:
        engine = load({"base_url": stub.url, "api_key": "sk-test", "language": "en"})
        words = engine.decode(SAMPLES, partial=False)
    assert [word.text for word in words] == ["Hi", "there,", "caller."]
    assert (words[0].start_ms, words[-1].end_ms) == (0, 2000)
    assert all(a.end_ms == b.start_ms for a, b in zip(words, words[1:], strict=False))
    headers, fields = stub.requests[0]
    assert headers["Authorization"] == "Bearer sk-test"
    assert (fields["model"], fields["language"], fields["response_format"]) == (
        b"gpt-transcribe",
        b"en",
        b"json",
    )
    with wave.open(io.BytesIO(fields["file"])) as sent:
        assert (sent.getframerate(), sent.getnchannels()) == (16000, 1)
        assert np.array_equal(np.frombuffer(sent.readframes(sent.getnframes()), "<i2"), SAMPLES)


def test_word_times_are_requested_from_a_compatible_server() -> None:
    said = {
        "text": "hi there",
        "language": "en",
        "duration": 2.0,
        "words": [{"word": " hi", "start": 0.1, "end": 0.4}, {"word": " there", "start": 0.5, "end": 0.9}],
    }
    with serving((200, said)) as stub:
        engine = load({"base_url": stub.url, "model": "whisper-1", "word_times": True})
        words = engine.decode(SAMPLES, partial=False)
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("hi", 100, 400),
        ("there", 500, 900),
    ]
    assert stub.requests[0][1]["response_format"] == b"verbose_json"


def test_a_server_that_leaves_word_times_out_is_borne() -> None:
    with serving((200, {"text": "hi there", "language": "en", "duration": 2.0})) as stub:
        engine = load({"base_url": stub.url, "word_times": True})
        assert [word.text for word in engine.decode(SAMPLES, partial=False)] == ["hi", "there"]


def test_busy_server_is_retried() -> None:
    with serving((503, {}), (200, {"text": "hello"})) as stub:
        engine = load({"base_url": stub.url, "retries": 1})
        assert [word.text for word in engine.decode(SAMPLES, partial=False)] == ["hello"]
    assert len(stub.requests) == 2


def test_refusal_is_reported_without_the_key() -> None:
    with serving((401, {"error": {"message": "Incorrect API key provided: sk-test"}})) as stub:
        engine = load({"base_url": stub.url, "api_key": "sk-test"})
        with pytest.raises(EngineError, match="answered 401") as raised:
            engine.decode(SAMPLES, partial=False)
    assert "sk-test" not in str(raised.value)


def test_unreachable_server_is_an_error() -> None:
    with serving((200, {})) as stub:
        gone = stub.url
    with pytest.raises(EngineError, match="no usable answer"):
        load({"base_url": gone, "retries": 0}).decode(SAMPLES, partial=False)


def test_audio_too_short_for_the_api_is_not_sent() -> None:
    with serving((500, {})) as stub:
        assert load({"base_url": stub.url}).decode(SAMPLES[:1599], partial=False) == []
    assert stub.requests == []


def test_open_segments_are_never_sent_and_audio_leaves_the_machine() -> None:
    capabilities = check({"api_key": "sk-test"})
    assert (capabilities.partials, capabilities.runs_here, capabilities.word_times) == (False, False, False)


def test_missing_key_is_an_error() -> None:
    with pytest.raises(EngineError, match="no API key"):
        check({})


def test_missing_extra_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)  # as if it were not installed
    with pytest.raises(EngineError, match=r"pip install 'callreel\[openai\]'"):
        check({"api_key": "sk-test"})


@pytest.mark.parametrize("options", [{"timeout_s": "soon"}, {"retries": -1}, {"word_times": "maybe"}])
def test_wrong_engine_option_is_an_error(options: dict[str, str | int]) -> None:
    with pytest.raises(EngineError, match=f"option {next(iter(options))}"):
        load({"api_key": "sk-test", **options})


def test_vocabulary_is_keywords_or_part_of_the_prompt() -> None:
    with serving((200, {"text": "hi"})) as stub:
        load({"base_url": stub.url, "hints": "Vaillant, stopcock"}).decode(SAMPLES, partial=False)
    with serving((200, {"text": "hi"})) as older:
        options = {"base_url": older.url, "model": "whisper-1", "hints": "Vaillant", "prompt": "A call"}
        load(options).decode(SAMPLES, partial=False)
    sent, prompted = stub.requests[0][1], older.requests[0][1]
    assert any(name.startswith("keywords") for name in sent) and "prompt" not in sent
    assert prompted["prompt"] == b"A call, Vaillant"
    assert not any(name.startswith("keywords") for name in prompted)


def test_rate_limited_server_is_retried_after_its_delay() -> None:
    with serving((429, {}), (429, {}), (200, {"text": "hello"})) as stub:
        words = load({"base_url": stub.url}).decode(SAMPLES, partial=False)
    assert [word.text for word in words] == ["hello"]
    assert len(stub.requests) == 3


async def test_rate_limit_of_one_process_holds_for_the_machine() -> None:
    with serving((429, {}), (200, {"text": "hello"})) as stub:
        stub.retry_after_ms = "3000"
        options: dict[str, str | int | float | bool] = {"base_url": stub.url, "retries": 0}

        host = EngineHost(EngineChoice("openai", options), 1)
        await host.start()
        try:
            with pytest.raises(EngineError, match="rate limit exceeded"):
                load(options).decode(SAMPLES, partial=False)
            words = (await host.decode([SAMPLES]))[0]
        finally:
            await host.close()
    assert [word.text for word in words] == ["hello"]
    refused_s, requested_s = stub.requested_at_s
    assert requested_s - refused_s > 2.9


def test_another_key_is_not_paused() -> None:
    with serving((429, {}), (200, {"text": "hello"})) as stub:
        stub.retry_after_ms = "60000"
        with pytest.raises(EngineError, match="rate limit exceeded"):
            load({"base_url": stub.url, "retries": 0}).decode(SAMPLES, partial=False)
        other = load({"base_url": stub.url, "api_key": "sk-other", "retries": 0})
        assert [word.text for word in other.decode(SAMPLES, partial=False)] == ["hello"]


def test_permanently_rate_limited_server_is_an_error() -> None:
    with serving((429, {})) as stub:
        with pytest.raises(EngineError, match="rate limit exceeded, or the account has no credit"):
            load({"base_url": stub.url, "retries": 1}).decode(SAMPLES, partial=False)
    assert len(stub.requests) == 2


def test_price_is_the_settings_and_a_loopback_server_is_local() -> None:
    assert check({"api_key": "sk-test", "price_per_minute": 0.006}).cost_per_minute == 0.006
    assert check({"base_url": "http://127.0.0.1:9000/v1"}).runs_here
    assert not check({"base_url": "https://speech.example/v1"}).runs_here
