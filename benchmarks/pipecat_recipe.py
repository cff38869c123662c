# mypy: ignore-errors
"""A peer's usual recipe for a carrier's media stream, which `ingest --against pipecat` measures beside Callreel.

    python pipecat_recipe.py PORT FOLDER

It runs in a separate environment without Callreel, so its types are not checked. It follows the peer's documentation: a FastAPI WebSocket, `FastAPIWebsocketTransport` with the carrier's serializer, an
`AudioBufferProcessor` for the caller's track, written to a WAV file. Pipeline and file use 16 kHz, the rate of speech
recognisers and the cheaper of the two that were tried. It records one of the two tracks: its serializer drops the other. The
pipeline contains no speech service, and its setup of a call is not counted.
"""

import json
import sys
import wave
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport

RATE_HZ = 16_000
FOLDER = Path(sys.argv[2])
app = FastAPI()


@app.websocket("/twilio/media-stream")
async def media_stream(websocket: WebSocket) -> None:
    await websocket.accept()
    messages = websocket.iter_text()
    await anext(messages)  # connected
    start = json.loads(await anext(messages))["start"]
    serializer = TwilioFrameSerializer(
        stream_sid=start["streamSid"],
        call_sid=start["callSid"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=False, add_wav_header=False, serializer=serializer
        ),
    )
    recording = AudioBufferProcessor(sample_rate=RATE_HZ, num_channels=1, buffer_size=2 * RATE_HZ)
    task = PipelineTask(
        Pipeline([transport.input(), transport.output(), recording]),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=8_000),
        idle_timeout_secs=None,
    )
    with wave.open(str(FOLDER / f"{start['streamSid']}_inbound.16k.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)

        @recording.event_handler("on_track_audio_data")
        async def on_track_audio_data(
            _buffer, caller: bytes, _bot: bytes, _rate: int, _channels: int
        ) -> None:
            file.writeframes(caller)

        @transport.event_handler("on_client_connected")
        async def on_client_connected(_transport, _client) -> None:
            await recording.start_recording()

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(_transport, _client) -> None:
            await task.cancel()

        await PipelineRunner(handle_sigint=False, handle_sigterm=False).run(task)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
