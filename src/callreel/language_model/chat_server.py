"""A server that speaks OpenAI's chat protocol: Ollama, vLLM, llama.cpp, or a cloud one. Two requests of its API.

It gets messages and gives text; no tools are offered. Specification: OpenAI API reference, "Chat completions", "Models" and
"Structured outputs". A redirect is not followed, since it would send the text elsewhere.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx2

from callreel.domain.errors import LanguageModelError, UnusableAnswerError
from callreel.language_model.cancellation import Cancellation
from callreel.runtime.loopback import is_loopback
from callreel.runtime.outgoing import no_cookies, tls_context
from callreel.runtime.retry import requested_wait_s
from callreel.runtime.shared_pause import SharedPause

log = logging.getLogger(__name__)

CHECK_S: Final = 3.0
"""How long `models` waits for the server."""
LARGEST_BYTES: Final = 1_000_000
"""Of an answer; a longer one is not read."""
_WITHOUT_SCHEMA: Final = (400, 404, 415, 422, 501)
"""How servers answer a parameter that they do not know."""


@dataclass(frozen=True, slots=True)
class ChatAccess:
    """`url` is the address of the API, such as `http://127.0.0.1:11434/v1`. `timeout_s` is for a whole answer."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The text of an answer, and the tokens that the server counted; None if it counts none."""

    text: str = field(repr=False)
    prompt_tokens: int | None
    completion_tokens: int | None


class ChatServer:
    """Blocking; safe from any thread. All processes of this machine wait while the server says that requests come too often."""

    def __init__(self, access: ChatAccess) -> None:
        self.access = access
        self._pause = SharedPause("chat", access.url, access.key)
        self._schemas = True
        # A server on this machine is reached directly: a proxy of the environment would get the text.
        local = is_loopback(httpx2.URL(access.url).host)
        headers = {"Accept-Encoding": "identity"}  # so that no small answer becomes a large one
        if access.key:
            headers["Authorization"] = f"Bearer {access.key}"
        self._client = httpx2.Client(
            headers=headers, timeout=access.timeout_s, follow_redirects=False, trust_env=not local,
            cookies=no_cookies(), verify=tls_context(),
            # Each request has a connection of its own, which `Cancellation` can cut.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )  # fmt: skip

    def close(self) -> None:
        self._client.close()

    @property
    def pause_s(self) -> float:
        """How long no request may be sent yet, since the server said that they come too often."""
        return self._pause.left_s

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        timeout_s: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> ChatAnswer:
        """The model's answer, with structured output where the server supports it, else with what the model makes of the text.

        `timeout_s` None: that of the access. Raises LanguageModelError; UnusableAnswerError for an answer without text;
        CancelledRequestError.
        """
        timeout_s, cancellation = timeout_s or self.access.timeout_s, cancellation or Cancellation()
        request: dict[str, Any] = {"model": self.access.model, "messages": list(messages), "stream": False}
        if self._schemas:
            named = {"name": "answer", "schema": schema, "strict": True}
            try:
                found = self._ask(
                    {**request, "response_format": {"type": "json_schema", "json_schema": named}},
                    timeout_s, cancellation,
                )  # fmt: skip
                return _answer(found)
            except LanguageModelError as error:
                if error.status not in _WITHOUT_SCHEMA:
                    raise
        answer = _answer(self._ask(request, timeout_s, cancellation))
        if self._schemas:
            log.info(
                "language model server without structured output host=%s", httpx2.URL(self.access.url).host
            )
            self._schemas = False
        return answer

    def models(self) -> list[str]:
        """The models that the server offers; it waits at most `CHECK_S`. Raises LanguageModelError."""
        found = self._request("GET", "models", None, CHECK_S, Cancellation())
        listed = found.get("data") if isinstance(found, dict) else None
        if not isinstance(listed, list):
            raise LanguageModelError(
                "the server lists no models: it does not speak OpenAI's protocol", retryable=False
            )
        return [str(one["id"]) for one in listed if isinstance(one, dict) and "id" in one]

    def _ask(self, body: Mapping[str, Any], timeout_s: float, cancellation: Cancellation) -> Any:
        self._pause.keep(cancellation.sleep)
        return self._request("POST", "chat/completions", body, timeout_s, cancellation)

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        timeout_s: float,
        cancellation: Cancellation,
    ) -> Any:
        until_s = time.monotonic() + timeout_s
        cancellation.check()
        try:
            with self._client.stream(
                method, f"{self.access.url}/{path}", json=body, timeout=timeout_s,
                extensions={"trace": cancellation.trace},
            ) as answer:  # fmt: skip
                if answer.status_code != HTTPStatus.OK:
                    raise self._refusal(answer)
                content = _read(answer, until_s)
        except httpx2.TimeoutException:
            raise _late(timeout_s) from None
        except httpx2.HTTPError as error:
            cancellation.check()
            name = type(error).__name__
            raise LanguageModelError(
                f"the language model's server cannot be reached: {name}", retryable=True
            ) from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise UnusableAnswerError(
                "the language model's server answered without JSON", retryable=True
            ) from None

    def _refusal(self, answer: httpx2.Response) -> LanguageModelError:
        status, wait_s = answer.status_code, requested_wait_s(answer.headers)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._pause.begin(wait_s or 0.0)
        reason = f"the language model's server answered {status}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            reason += "; check CALLREEL_LANGUAGE_MODEL_KEY"
        elif status == HTTPStatus.NOT_FOUND:
            reason += "; check CALLREEL_LANGUAGE_MODEL_URL and CALLREEL_LANGUAGE_MODEL"
        return LanguageModelError(
            reason, retryable=status in (408, 429) or status >= 500, status=status, retry_after_s=wait_s
        )


def _read(answer: httpx2.Response, until_s: float) -> bytes:
    """The body. Raises LanguageModelError if it is too long, or comes too slowly."""
    read = bytearray()
    for block in answer.iter_bytes():
        read += block
        if len(read) > LARGEST_BYTES:
            raise UnusableAnswerError("the language model's answer is too long", retryable=True)
        if time.monotonic() > until_s:
            raise LanguageModelError("the language model's answer took too long", retryable=True)
    return bytes(read)


def _late(timeout_s: float) -> LanguageModelError:
    return LanguageModelError(
        f"the language model's server did not answer within {timeout_s:g} s", retryable=True
    )


def _answer(found: Any) -> ChatAnswer:
    try:
        choice = found["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise UnusableAnswerError("the language model's answer has no text", retryable=True)
    if choice.get("finish_reason") == "length":
        raise UnusableAnswerError(
            "the language model's answer was cut off: give the model a larger context", retryable=True
        )
    usage = found.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return ChatAnswer(text, _count(counted.get("prompt_tokens")), _count(counted.get("completion_tokens")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
