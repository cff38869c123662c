"""Small streaming models that the tests make themselves, for the real loading and decoding code of sherpa-onnx.

`build_ctc` makes one of NeMo's streaming CTC family. It hears nothing: with each chunk of audio, 200 ms, it says the next
word of a given text, and nothing once the text is over. The chunk's number is the model's own state, so each stream has
its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

CHUNK_MS = 200
_SHIFT = 20  # frames of 10 ms
_FRAMES = 5  # of output a chunk: subsampled by four


def build_ctc(folder: Path, words: list[str]) -> Path:
    """The model in `folder`, which is made."""
    folder.mkdir(parents=True)
    tokens = [f"▁{word}" for word in dict.fromkeys(words)]
    blank = len(tokens)
    lines = [f"{token} {number}\n" for number, token in enumerate([*tokens, "<blk>"])]
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
    scores = np.full((len(words) + 1, _FRAMES, blank + 1), -20, np.float32)
    scores[:, :, blank] = 0
    for chunk, word in enumerate(words):
        scores[chunk, 2, blank] = -20
        scores[chunk, 2, tokens.index(f"▁{word}")] = 0
    onnx.save(_model(scores), folder / "model.onnx")
    return folder


def _model(scores: Array) -> onnx.ModelProto:
    chunks, _, width = scores.shape
    values = {
        "scores": scores,
        "last": np.array([chunks - 1], np.int64),
        "one": np.array([1], np.int64),
        "frames": np.array([_FRAMES], np.int64),
    }
    nodes = [
        helper.make_node("Min", ["cache_last_channel_len", "last"], ["chunk"]),
        helper.make_node("Gather", ["scores", "chunk"], ["logits"], axis=0),
        helper.make_node("Identity", ["frames"], ["logits_len"]),
        helper.make_node("Identity", ["cache_last_channel"], ["cache_last_channel_next"]),
        helper.make_node("Identity", ["cache_last_time"], ["cache_last_time_next"]),
        helper.make_node("Add", ["cache_last_channel_len", "one"], ["cache_last_channel_len_next"]),
    ]
    whole, real = TensorProto.INT64, TensorProto.FLOAT
    info = helper.make_tensor_value_info
    told = {
        "window_size": _SHIFT + 4,
        "chunk_shift": _SHIFT,
        "subsampling_factor": 4,
        "vocab_size": width - 1,
    }
    told |= {f"cache_last_{kind}_dim{n}": 1 for kind in ("channel", "time") for n in (1, 2, 3)}
    return _finished(
        nodes,
        [
            info("audio_signal", real, ["N", 80, "T"]),
            info("length", whole, ["N"]),
            info("cache_last_channel", real, ["N", 1, 1, 1]),
            info("cache_last_time", real, ["N", 1, 1, 1]),
            info("cache_last_channel_len", whole, ["N"]),
        ],
        [
            info("logits", real, ["N", _FRAMES, width]),
            info("logits_len", whole, ["N"]),
            info("cache_last_channel_next", real, ["N", 1, 1, 1]),
            info("cache_last_time_next", real, ["N", 1, 1, 1]),
            info("cache_last_channel_len_next", whole, ["N"]),
        ],
        values,
        {"model_type": "EncDecCTCModelBPE", **told},
    )


def build_transducer(folder: Path, words: list[str], *, instead: dict[str, str]) -> Path:
    """A transducer of the LSTM family that says the next of `words` with each chunk, 160 ms.

    For a word of `instead` it finds the other one a little more likely, so that only a hint brings the right one out.
    The chunk's number is the state of its one layer. Comes with a `bpe.model` in which each word is a piece.
    """
    folder.mkdir(parents=True)
    tokens = ["<blk>", "<sos/eos>", "<unk>"]
    tokens += [f"▁{word}" for word in dict.fromkeys([*words, *instead.values()])]
    lines = [f"{token} {number}\n" for number, token in enumerate(tokens)]
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "bpe.model").write_bytes(b"".join(_piece(token) for token in tokens))
    scores = np.full((len(words) + 1, 4, len(tokens)), -20, np.float32)
    scores[:, :, 0] = 0
    for chunk, word in enumerate(words):
        scores[chunk, 1, 0] = -20
        scores[chunk, 1, tokens.index(f"▁{word}")] = 0
        if word in instead:
            scores[chunk, 1, tokens.index(f"▁{instead[word]}")] = 0.5
    onnx.save(_encoder(scores), folder / "encoder.onnx")
    onnx.save(_decoder(len(tokens)), folder / "decoder.onnx")
    onnx.save(_joiner(len(tokens)), folder / "joiner.onnx")
    return folder


def _piece(text: str) -> bytes:
    """One piece of a word as SentencePiece keeps it."""
    spelled = text.encode()
    body = b"\x0a" + bytes([len(spelled)]) + spelled + b"\x15" + np.float32(-1).tobytes()
    return b"\x0a" + bytes([len(body)]) + body


def _encoder(scores: Array) -> onnx.ModelProto:
    chunks, frames, width = scores.shape
    values: dict[str, Array] = {
        "scores": scores,
        "last": np.array([chunks - 1], np.int64),
        "one": np.array(1, np.float32),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["h", "flat"], ["counted"]),
        helper.make_node("Cast", ["counted"], ["number"], to=TensorProto.INT64),
        helper.make_node("Min", ["number", "last"], ["chunk"]),
        helper.make_node("Gather", ["scores", "chunk"], ["encoder_out"], axis=0),
        helper.make_node("Add", ["h", "one"], ["next_h"]),
        helper.make_node("Identity", ["c"], ["next_c"]),
    ]
    real = TensorProto.FLOAT
    info = helper.make_tensor_value_info
    told = {"num_encoder_layers": 1, "T": 20, "decode_chunk_len": 16, "rnn_hidden_size": 1, "d_model": 1}
    return _finished(
        nodes,
        [info("x", real, ["N", 20, 80]), info("h", real, [1, "N", 1]), info("c", real, [1, "N", 1])],
        [
            info("encoder_out", real, ["N", frames, width]),
            info("next_h", real, [1, "N", 1]),
            info("next_c", real, [1, "N", 1]),
        ],
        values,
        {"model_type": "lstm", "version": "1", "model_author": "callreel", **told},
    )


def _decoder(width: int) -> onnx.ModelProto:
    """What was said before does not matter."""
    nodes = [
        helper.make_node("Cast", ["y"], ["said"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["said", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nothing"], ["decoder_out"]),
    ]
    values: dict[str, Array] = {"axis": np.array([1], np.int64), "nothing": np.zeros((1, width), np.float32)}
    info = helper.make_tensor_value_info
    return _finished(
        nodes,
        [info("y", TensorProto.INT64, ["N", 2])],
        [info("decoder_out", TensorProto.FLOAT, ["N", width])],
        values,
        {"context_size": 2, "vocab_size": width},
    )


def _joiner(width: int) -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    real = TensorProto.FLOAT
    return _finished(
        [helper.make_node("Add", ["encoder_out", "decoder_out"], ["logit"])],
        [info("encoder_out", real, ["N", width]), info("decoder_out", real, ["N", width])],
        [info("logit", real, ["N", width])],
        {},
        {"joiner_dim": width},
    )


def _finished(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    values: Mapping[str, Array],
    told: Mapping[str, str | int],
) -> onnx.ModelProto:
    kept = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "canned", inputs, outputs, kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {key: str(value) for key, value in told.items()})
    onnx.checker.check_model(model)
    return model
