"""A minimal recorder of media streams in Python, which `ingest --against bare` measures beside Callreel.

    python -m benchmarks.bare PORT FOLDER

One process, the same libraries: a WebSocket of picows' own server, a message decoded once, both tracks in blocks of a
second into files of 8 and 16 kHz whose headers are written at the end. No token, signature, page, database or frame order,
and a kill loses all headers and a second of audio. It is the reference for a machine of unknown speed.
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import soxr
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from callreel.audio import mulaw, wav
from callreel.twilio.media_messages import Frame

BLOCK = 8_000


class MediaMessage(msgspec.Struct, rename="camel"):
    """Any message of the stream protocol."""

    event: str
    media: Frame | None = None
    stream_sid: str = ""


_decode = msgspec.json.Decoder(MediaMessage, strict=False).decode


class File:
    """A WAV file that is valid once it is closed."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._rate_hz = rate_hz
        self._bytes = 0
        os.write(self._fd, wav.header(0, rate_hz))

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        self._bytes += os.write(self._fd, samples.data)

    def close(self) -> None:
        os.pwrite(self._fd, wav.header(self._bytes, self._rate_hz), 0)
        os.close(self._fd)


class TrackFiles:
    """One track: mu-law in, two files out."""

    def __init__(self, stem: Path) -> None:
        self.parts: list[bytes] = []
        self.samples = 0
        self.full = BLOCK
        self._stream = soxr.ResampleStream(8_000, 16_000, 1, dtype="float32", quality="HQ")
        self._files = (File(stem.with_suffix(".8k.wav"), 8_000), File(stem.with_suffix(".16k.wav"), 16_000))

    def write(self, *, last: bool = False) -> None:
        samples = mulaw.decode(b"".join(self.parts))
        self.parts.clear()
        self.full = self.samples + BLOCK
        self._files[0].write(samples)
        wide = self._stream.resample_chunk(samples.astype(np.float32), last=last)
        self._files[1].write(np.rint(wide).clip(-32_768, 32_767).astype(np.int16))

    def close(self) -> None:
        self.write(last=True)
        for file in self._files:
            file.close()


class Socket(WSListener):
    """One stream."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tracks: dict[str, TrackFiles] = {}

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        message = _decode(frame.get_payload_as_bytes())
        audio = message.media
        if audio is not None:
            track = self._tracks[audio.track]
            if audio.timestamp_ms * 8 == track.samples:
                track.parts.append(audio.payload)
                track.samples += len(audio.payload)
                if track.samples >= track.full:
                    track.write()
        elif message.event == "start":
            names = ("inbound", "outbound")
            self._tracks = {name: TrackFiles(self._folder / f"{message.stream_sid}_{name}") for name in names}
        elif message.event == "stop":
            self._end()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._end()

    def _end(self) -> None:
        for track in self._tracks.values():
            track.close()
        self._tracks.clear()


def _admit(folder: Path, _request: WSUpgradeRequest) -> WSListener:
    return Socket(folder)


async def main(port: int, folder: Path) -> None:
    server = await ws_create_server(partial(_admit, folder), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
