"""Any server that speaks OpenAI's transcription API, through the official client (extra `openai`).

Audio leaves this machine, unless `base_url` is here. Open segments are never sent, since each request is billed.
Options: `api_key` (needed without `base_url`), `base_url`, `model` (default `gpt-transcribe`; older ones end on
2027-02-26), `language` (empty to let the server find out), `hints` (words to expect, with commas between them: keywords
of `gpt-transcribe`, part of the prompt of others), `prompt`, `word_times` (true asks for `verbose_json` with word times,
which servers of the older kind give), `timeout_s` (default 30, for each try), `retries` (default 4; the client waits
longer each time, and as long as the server demands with status 429; that holds for all processes of this
machine, up to a minute), `price_per_minute` (default 0).
"""

import importlib.util
import io
import wave
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from callreel.asr.engine import Capabilities, RecognizedWord
from callreel.asr.engines import options as option
from callreel.asr.engines.registry import Options
from callreel.asr.engines.spread import spread, timed
from callreel.asr.languages import NAMES
from callreel.audio.samples import ASR_HZ
from callreel.domain.errors import EngineError
from callreel.runtime.loopback import is_loopback
from callreel.runtime.retry import requested_wait_s
from callreel.runtime.shared_pause import SharedPause

if TYPE_CHECKING:  # the extra may be missing
    from httpx2 import Response
    from openai import OpenAI
    from openai.types.audio import TranscriptionVerbose

_OPTIONS = {
    "api_key", "base_url", "model", "language", "hints", "prompt", "word_times", "timeout_s", "retries",
    "price_per_minute",
}  # fmt: skip
_DEFAULT_MODEL = "gpt-transcribe"
_WITH_KEYWORDS = ("gpt-transcribe",)
_SHORTEST_SAMPLES = 1600  # 100 ms, the least that the API takes


def check(options: Options) -> Capabilities:
    """Raises EngineError if the extra or the key is missing. Makes no request."""
    option.reject_unknown("openai", options, _OPTIONS)
    if importlib.util.find_spec("openai") is None:
        raise EngineError("engine openai is not installed: pip install 'callreel[openai]'")
    if not options.get("api_key") and not options.get("base_url"):
        raise EngineError(
            "engine openai has no API key: set its option api_key, or base_url for a server of your own"
        )
    return capabilities(options)


def capabilities(options: Options) -> Capabilities:
    """What it can do, with a key or without."""
    language = option.language(options)
    return Capabilities(
        name="openai",
        model=option.text(options, "model", _DEFAULT_MODEL),
        partials=False,
        word_times=option.flag(options, "word_times", False),
        confidence=False,
        runs_here=_here(option.text(options, "base_url")),
        languages=(language,) if language else (),
        on_request=tuple(NAMES),
        hints=True,
        cost_per_minute=option.number(options, "price_per_minute", 0, least=0),
    )


def knows(model: str) -> bool:
    """Names of OpenAI's own; a compatible server's are its own business."""
    return model.startswith(("gpt-", "whisper-1"))


def _here(base_url: str) -> bool:
    return is_loopback(urlsplit(base_url).hostname)


def load(options: Options) -> "OpenAIEngine":
    """The engine; connects with its first request."""
    capabilities = check(options)
    from openai import DefaultHttpxClient, OpenAI

    api_key, base_url = option.text(options, "api_key"), option.text(options, "base_url")
    pause = SharedPause(base_url, api_key)

    def heed(response: "Response") -> None:
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            pause.begin(requested_wait_s(response.headers) or 0.0)

    client = OpenAI(
        api_key=api_key or "none",  # a local server needs none
        http_client=DefaultHttpxClient(
            event_hooks={"request": [lambda request: pause.keep()], "response": [heed]}
        ),
        base_url=base_url or None,
        timeout=option.number(options, "timeout_s", 30),
        max_retries=option.whole(options, "retries", 4, least=0),
    )
    hints = option.phrases(options, "hints")
    return OpenAIEngine(
        capabilities,
        client,
        language=option.language(options),
        prompt=option.text(options, "prompt"),
        hints=hints,
    )


class OpenAIEngine:
    """An `Engine`. Words get times by their length where the server gives none."""

    def __init__(
        self,
        capabilities: Capabilities,
        client: "OpenAI",
        *,
        language: str,
        prompt: str,
        hints: Sequence[str],
    ) -> None:
        self._capabilities = capabilities
        self._client = client
        self._language = language
        self._keywords = hints if capabilities.model in _WITH_KEYWORDS else ()
        self._prompt = prompt if self._keywords else ", ".join([*([prompt] if prompt else []), *hints])

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(
        self, samples: npt.NDArray[np.int16], *, partial: bool, language: str = ""
    ) -> list[RecognizedWord]:
        """Words in 16 kHz mono samples, by one request; silence shorter than 100 ms is not sent."""
        if samples.size < _SHORTEST_SAMPLES:
            return []
        import openai

        try:
            return self._request(samples, language or self._language)
        except openai.RateLimitError as error:
            raise EngineError("engine openai: rate limit exceeded, or the account has no credit") from error
        except openai.APIStatusError as error:
            raise EngineError(f"engine openai: the server answered {error.status_code}") from error
        except openai.APITimeoutError as error:
            raise EngineError("engine openai: the server did not answer in time") from error
        except openai.APIError as error:
            raise EngineError(f"engine openai: no usable answer ({type(error).__name__})") from error

    def _request(self, samples: npt.NDArray[np.int16], wanted: str) -> list[RecognizedWord]:
        from openai import omit

        create = self._client.audio.transcriptions.create
        audio = ("segment.wav", _wav(samples), "audio/wav")
        language = wanted or omit
        prompt = self._prompt or omit
        keywords = list(self._keywords) or omit
        model = self._capabilities.model
        if self._capabilities.word_times:
            verbose = create(
                file=audio,
                model=model,
                language=language,
                prompt=prompt,
                keywords=keywords,
                response_format="verbose_json",
                timestamp_granularities=["word"],
            )
            return _timed(verbose, _duration_ms(samples))
        plain = create(
            file=audio,
            model=model,
            language=language,
            prompt=prompt,
            keywords=keywords,
            response_format="json",
        )
        return spread(plain.text, 0, _duration_ms(samples))


def _timed(verbose: "TranscriptionVerbose", duration_ms: int) -> list[RecognizedWord]:
    """Words at the server's times, or spread when it left them out all the same."""
    if not verbose.words:
        return spread(verbose.text, 0, duration_ms)
    return timed(((word.word, word.start, word.end) for word in verbose.words), duration_ms)


def _duration_ms(samples: npt.NDArray[np.int16]) -> int:
    return samples.size * 1000 // ASR_HZ


def _wav(samples: npt.NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(ASR_HZ)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
