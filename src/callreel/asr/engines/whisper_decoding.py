"""Whisper decoding of short segments: features, encoder, decoder, word times, guards against invented text.

It uses CTranslate2's model through the objects of faster-whisper, whose own `transcribe` pads every segment to 30 s. Here
10 s of silence follow a segment: the word error rate is that of 30 s, and with less than 6 s the model repeats itself
(docs/words.md). On a processor only the first second of the silence is encoded with the segment; the rest are the outputs
of the encoder for silence at the same positions, which are computed once. Encoding it each time costs more than the speech.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from callreel.asr.engine import RecognizedWord
from callreel.asr.engines.word_times import has_words, placed_words
from callreel.audio.samples import ASR_HZ, Floats, Samples

if TYPE_CHECKING:  # seconds to import
    from faster_whisper import WhisperModel

_PADDING_S = 10.0
_ENCODED_PADDING_S = 1.0
"""How much of the padding is encoded with the segment, so that the last words do not end at the seam."""
_WINDOW_S = 30.0
_FRAMES_PER_S = 100
_MAX_FRAMES = 3000
_ENCODED_PER_S = 50
"""Positions that the encoder returns for each second: one for two frames."""
_TOKENS_PER_S = 9
"""More than the fastest speech has; with the constant below it ends a loop of repeated words early."""
_TOKENS_AT_LEAST = 12
_MAX_PROMPT_TOKENS = 200

_NO_SPEECH = 0.5
_NO_SPEECH_UNLIKELY = -0.6
"""Speech of 11 calls stays below 0.3 and above -0.7, tones, music, clicks and noise above 0.6 and mostly below -0.9."""
_NO_SPEECH_CERTAIN = 0.75
"""Above this, nothing is speech however likely its text: a loop is likely too."""
_UNLIKELY = -1.0
_REPETITIVE = 2.4
"""Characters over compressed bytes, above which a text counts as a loop (OpenAI's threshold)."""
_RETRY_TEMPERATURE = 0.4


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """`language` empty: detected. `prompt` holds custom vocabulary."""

    beam: int
    language: str = "en"
    prompt: str = ""
    retry: bool = True
    """Decode a doubtful segment again, padded to 30 s and then at a higher temperature."""


@dataclass(slots=True)
class _Hypothesis:
    tokens: list[int]
    text: str
    likelihood: float
    """Mean log probability of a token."""
    no_speech: float

    @property
    def repetitive(self) -> bool:
        raw = self.text.encode()
        return len(raw) / len(zlib.compress(raw)) > _REPETITIVE if raw else False

    @property
    def doubtful(self) -> bool:
        return not self.silence and (self.repetitive or self.likelihood < _UNLIKELY)

    @property
    def silence(self) -> bool:
        unlikely = self.no_speech > _NO_SPEECH and self.likelihood < _NO_SPEECH_UNLIKELY
        return unlikely or self.no_speech > _NO_SPEECH_CERTAIN


class WhisperDecoder:
    """For one process. Segments must be shorter than 30 s."""

    def __init__(self, model: "WhisperModel") -> None:
        self._model = model
        self._tokenizers: dict[str, Any] = {}
        self._silence: Floats | None = None

    def decode(
        self, segments: Sequence[Samples], settings: DecodeSettings
    ) -> tuple[list[list[RecognizedWord]], str]:
        """The words of each segment, and the language: the given one, else that of all segments together."""
        encoded = self._encode(segments, _PADDING_S)
        language = settings.language or self._detect(encoded)
        found = self._generate(encoded, segments, settings, language)
        results = self._with_times(encoded, segments, found, language)
        for at, one in enumerate(found):
            if one.doubtful and settings.retry:
                results[at] = self._retry(segments[at], one, settings, language)
        return results, language

    def _retry(
        self, samples: Samples, doubtful: _Hypothesis, settings: DecodeSettings, language: str
    ) -> list[RecognizedWord]:
        """The likeliest of a decode with full padding and one at a higher temperature; loops come last."""
        encoded = self._encode([samples], _WINDOW_S)
        tried = [doubtful]
        for temperature in (0.0, _RETRY_TEMPERATURE):
            [found] = self._generate(encoded, [samples], settings, language, temperature)
            tried.append(found)
            if not found.doubtful:
                break
        best = max(tried, key=lambda one: (not one.repetitive, one.likelihood))
        return self._with_times(encoded, [samples], [best], language)[0]

    def _encode(self, segments: Sequence[Samples], padding_s: float) -> Any:
        """The encoder's output for the segments and `padding_s` seconds of silence, 30 s at most."""
        if padding_s >= _WINDOW_S or self._model.model.device != "cpu":
            return self._encode_all(segments, padding_s)
        if self._silence is None:
            self._silence = np.array(self._encode_all([np.zeros(ASR_HZ, np.int16)], _WINDOW_S))
        import ctranslate2

        encoded = np.array(self._encode_all(segments, _ENCODED_PADDING_S))
        positions = encoded.shape[1]
        rest = int((padding_s - _ENCODED_PADDING_S) * _ENCODED_PER_S)
        silence = np.repeat(self._silence[:, positions : positions + rest], len(segments), axis=0)
        return ctranslate2.StorageView.from_array(np.concatenate([encoded, silence], axis=1))

    def _encode_all(self, segments: Sequence[Samples], padding_s: float) -> Any:
        """Features end in zeros, as faster-whisper pads them: silence there costs accuracy with short padding."""
        import ctranslate2

        features = [self._model.feature_extractor(samples.astype(np.float32) / 32768) for samples in segments]
        longest = max(each.shape[1] for each in features)
        frames = min(longest + int(padding_s * _FRAMES_PER_S), _MAX_FRAMES)
        padded = np.zeros((len(features), features[0].shape[0], frames), np.float32)
        for row, each in zip(padded, features, strict=True):
            row[:, : each.shape[1]] = each[:, :frames]
        return self._model.model.encode(ctranslate2.StorageView.from_array(padded))

    def _detect(self, encoded: Any) -> str:
        """The likeliest language of all segments together; English where the model has no other."""
        if not self._model.model.is_multilingual:
            return "en"
        total: dict[str, float] = {}
        for ranked in self._model.model.detect_language(encoded):
            for token, probability in ranked:
                total[token] = total.get(token, 0.0) + probability
        return max(total, key=lambda token: total[token]).strip("<|>")

    def _generate(
        self,
        encoded: Any,
        segments: Sequence[Samples],
        settings: DecodeSettings,
        language: str,
        temperature: float = 0.0,
    ) -> list[_Hypothesis]:
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizer = self._tokenizer(language)
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        if settings.prompt:
            vocabulary = tokenizer.encode(" " + settings.prompt)[:_MAX_PROMPT_TOKENS]
            prompt = [tokenizer.sot_prev, *vocabulary, *prompt]
        longest_s = max(samples.size for samples in segments) / ASR_HZ
        results = self._model.model.generate(
            encoded,
            [prompt] * len(segments),
            beam_size=1 if temperature else settings.beam,
            sampling_topk=0 if temperature else 1,
            sampling_temperature=temperature or 1.0,
            max_length=min(
                len(prompt) + _TOKENS_AT_LEAST + int(_TOKENS_PER_S * longest_s), self._model.max_length
            ),
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            return_scores=True,
            return_no_speech_prob=True,
        )
        found = []
        for result in results:
            tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
            size = len(result.sequences_ids[0])
            found.append(
                _Hypothesis(
                    tokens,
                    tokenizer.decode(tokens),
                    result.scores[0] * size / (size + 1),
                    result.no_speech_prob,
                )
            )
        return found

    def _with_times(
        self, encoded: Any, segments: Sequence[Samples], found: Sequence[_Hypothesis], language: str
    ) -> list[list[RecognizedWord]]:
        tokenizer = self._tokenizer(language)
        # A batch must not hold an empty text; the words of its stand-in are dropped.
        texts = [one.tokens if has_words(one.text) and not one.silence else [] for one in found]
        if not any(texts):
            return [[] for _ in found]
        aligned = self._model.find_alignment(
            tokenizer,
            [text or [tokenizer.no_timestamps] for text in texts],
            encoded,
            [min(samples.size * _FRAMES_PER_S // ASR_HZ, _MAX_FRAMES) for samples in segments],
        )
        return [
            placed_words(words, samples) if text else []
            for text, words, samples in zip(texts, aligned, segments, strict=True)
        ]

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            from faster_whisper.tokenizer import Tokenizer

            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer,
                self._model.model.is_multilingual,
                task="transcribe",
                language=language,
            )
        return self._tokenizers[language]
