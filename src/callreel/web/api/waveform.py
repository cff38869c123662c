"""The API's waveforms: peaks of a layer, small enough to draw a call of hours without loading its audio."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from callreel.domain.errors import AudioFileError, StoreError, StoreUnavailableError
from callreel.domain.recording import Layer
from callreel.store.audio.peaks import DEFAULT_PER_SECOND, MAX_PER_SECOND, layer_peaks
from callreel.store.audio.silenced_layer import silenced_peaks
from callreel.store.calls import layers
from callreel.web.api.layer_audio import file_silences
from callreel.web.dependencies import Context, ExistingCall, Original
from callreel.web.errors import not_found
from callreel.web.heavy_requests import heavy

routes = APIRouter(tags=["media"])


@routes.get("/api/v1/calls/{call_id}/peaks")
@heavy
def waveform(
    context: Context,
    call: ExistingCall,
    original: Original,
    layer: Literal["cloud", "live_8k", "live_16k"] = "cloud",
    per_second: Annotated[int, Query(ge=1, le=MAX_PER_SECOND)] = DEFAULT_PER_SECOND,
) -> JSONResponse:
    """The peak amplitude of each interval, by party."""
    with context.database.read() as conn:
        files = layers.of_call(conn, call.id)
        silent = file_silences(context, conn, call.id, original=original)
    try:
        found = layer_peaks(context.blobs, files, Layer(layer), call.topology, per_second)
    except StoreUnavailableError:
        raise
    except (AudioFileError, StoreError):
        raise not_found("layer of this call") from None
    if found is None:
        raise not_found("layer of this call")
    duration_ms, channels = found
    cuts = [cut for file in files if file.layer is Layer(layer) for cut in silent.get(file.path, ())]
    channels = silenced_peaks(channels, per_second, cuts)
    by_party = [
        {"role": channel.role and call.displayed(channel.role), "peaks": channel.peaks}
        for channel in channels
    ]
    return JSONResponse({"per_second": per_second, "duration_ms": duration_ms, "channels": by_party})
