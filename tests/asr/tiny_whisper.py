"""A Whisper model of one megabyte that says one sentence, made here with numpy in a moment.

It is a real model for the real loader, encoder, decoder and word alignment; it just has not learned anything. Nothing
of what its layers compute reaches the output: each token's input row is the output row of the token that shall follow,
so the decoder walks the sentence for any audio. Recipe: reference/speech.md, section 4.2.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import attention_spec, common_spec, transformer_spec, whisper_spec
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

WIDTH = 64
HEADS = 2
MELS = 80
AUDIO_POSITIONS = 1500
TEXT_POSITIONS = 448
TICK_S = 0.02
SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",  # timestamps follow it at once
)

_PAD = "<|pad|>"

Array = npt.NDArray[np.float32]


def build(folder: Path, sentence: str, *, spoken_s: float = 2.0, languages: Sequence[str] = ()) -> Path:
    """Write an int8 model that says `sentence` (distinct words) in `spoken_s`. Returns `folder`.

    English-only without `languages`; with some, it takes all speech for the first of them.
    """
    tokenizer = _tokenizer(sentence, languages)
    random = np.random.default_rng(7)
    spec = whisper_spec.WhisperSpec(1, HEADS, 1, HEADS)
    _fill_encoder(spec.encoder, random)
    _fill_decoder(spec.decoder, random, *_chain(tokenizer, sentence, spoken_s, languages, random))
    names = {number: token for token, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    # ctranslate2 takes a model for multilingual by an empty token.
    spec.register_vocabulary(["" if names[number] == _PAD else names[number] for number in range(len(names))])
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [_id(tokenizer, "<|endoftext|>")]
    spec.config.lang_ids = [_id(tokenizer, f"<|{code}|>") for code in languages]
    spec.config.alignment_heads = [(0, head) for head in range(HEADS)]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    features = {
        "feature_size": MELS,
        "sampling_rate": 16000,
        "hop_length": 160,
        "chunk_length": 30,
        "n_fft": 400,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return folder


def _tokenizer(sentence: str, languages: Sequence[str]) -> Tokenizer:
    """Byte-level, trained on the sentence alone, so that each word with its space becomes one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator([f" {sentence}", f" {sentence}"], trainer)
    codes = [_PAD, *(f"<|{code}|>" for code in languages)] if languages else []
    special = [*codes[:1], *SPECIAL[:2], *codes[1:], *SPECIAL[2:]]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    ticks = [f"<|{tick * TICK_S:.2f}|>" for tick in range(AUDIO_POSITIONS + 1)]
    tokenizer.add_tokens([AddedToken(tick, special=False, normalized=False) for tick in ticks])
    return tokenizer


def _chain(
    tokenizer: Tokenizer,
    sentence: str,
    spoken_s: float,
    languages: Sequence[str],
    random: np.random.Generator,
) -> tuple[Array, Array]:
    """Input and output rows of all tokens. What is not on the chain leads to its end."""
    words = tokenizer.encode(f" {sentence}", add_special_tokens=False).ids
    if len(set(words)) != len(sentence.split()):
        raise ValueError("each word must be a token of its own, and none may come twice")
    begin, end = _id(tokenizer, "<|0.00|>"), _id(tokenizer, "<|endoftext|>")
    output = random.standard_normal((tokenizer.get_vocab_size(), WIDTH)).astype(np.float32)
    output /= np.linalg.norm(output, axis=1, keepdims=True)
    given = np.repeat(output[end : end + 1], len(output), axis=0)
    chain = [
        _id(tokenizer, "<|transcribe|>" if languages else "<|startoftranscript|>"),
        begin,
        *words,
        begin + round(spoken_s / TICK_S),
        end,
    ]
    for token, following in pairwise(chain):
        given[token] = output[following]
    given[_id(tokenizer, "<|notimestamps|>")] = output[words[0]]
    if languages:
        given[_id(tokenizer, "<|startoftranscript|>")] = output[_id(tokenizer, f"<|{languages[0]}|>")]
    return given, output


def _fill_encoder(encoder: whisper_spec.WhisperEncoderSpec, random: np.random.Generator) -> None:
    for layer, inputs in ((encoder.conv1, MELS), (encoder.conv2, WIDTH)):
        layer.weight = _noise(random, WIDTH, inputs, 3)
        layer.bias = np.zeros(WIDTH, np.float32)
    encoder.position_encodings.encodings = _noise(random, AUDIO_POSITIONS, WIDTH)
    _fill_norm(encoder.layer_norm)
    for block in encoder.layer:
        _fill_attention(block.self_attention, random, [3 * WIDTH, WIDTH])
        _fill_feed_forward(block.ffn, random)


def _fill_decoder(
    decoder: transformer_spec.TransformerDecoderSpec,
    random: np.random.Generator,
    given: Array,
    output: Array,
) -> None:
    decoder.embeddings.weight = given
    decoder.projection.weight = output
    decoder.position_encodings.encodings = _noise(random, TEXT_POSITIONS, WIDTH) / 50
    _fill_norm(decoder.layer_norm, gain=8)  # certain of each next token
    for block in decoder.layer:
        _fill_attention(block.self_attention, random, [3 * WIDTH, WIDTH])
        _fill_attention(block.attention, random, [WIDTH, 2 * WIDTH, WIDTH])
        _fill_feed_forward(block.ffn, random)


def _fill_attention(
    attention: attention_spec.MultiHeadAttentionSpec,
    random: np.random.Generator,
    sizes: list[int],
) -> None:
    """Attends at random, since word alignment looks at it, but adds nothing."""
    _fill_norm(attention.layer_norm)
    for linear, size in zip(attention.linear, sizes, strict=True):
        linear.weight = _noise(random, size, WIDTH)
        linear.bias = np.zeros(size, np.float32)
    attention.linear[-1].weight[:] = 0


def _fill_feed_forward(network: transformer_spec.FeedForwardSpec, random: np.random.Generator) -> None:
    _fill_norm(network.layer_norm)
    network.linear_0.weight = _noise(random, 4 * WIDTH, WIDTH)
    network.linear_0.bias = np.zeros(4 * WIDTH, np.float32)
    network.linear_1.weight = np.zeros((WIDTH, 4 * WIDTH), np.float32)
    network.linear_1.bias = np.zeros(WIDTH, np.float32)


def _fill_norm(norm: common_spec.LayerNormSpec, gain: float = 1) -> None:
    norm.gamma = np.full(WIDTH, gain, np.float32)
    norm.beta = np.zeros(WIDTH, np.float32)


def _id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    assert number is not None
    return number


def _noise(random: np.random.Generator, *shape: int) -> Array:
    return (random.standard_normal(shape) * 0.05).astype(np.float32)
