"""The API's waveforms: peaks of a layer, small enough to draw a call of hours without its audio."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from callreel.domain.errors import AudioFileError, StoreAwayError, StoreError
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer
from callreel.store.audio.peaks import DEFAULT_PER_SECOND, MAX_PER_SECOND, PeaksError, layer_peaks
from callreel.store.calls import calls, layers
from callreel.web.errors import not_found, unusable
from callreel.web.options import WebContext


def router(context: WebContext) -> APIRouter:
    """`/api/calls/{call_id}/peaks`."""
    routes = APIRouter(tags=["media"])

    @routes.get("/api/calls/{call_id}/peaks")
    def waveform(
        call_id: CallId,
        layer: Literal["cloud", "live_8k", "live_16k"] = "cloud",
        per_second: Annotated[int, Query(ge=1, le=MAX_PER_SECOND)] = DEFAULT_PER_SECOND,
    ) -> JSONResponse:
        """The largest amplitude of each stretch, by party."""
        with context.database.read() as conn:
            row = calls.get(conn, call_id)
            files = layers.of_call(conn, call_id)
        if row is None:
            raise not_found("call")
        try:
            found = layer_peaks(context.blobs, files, Layer(layer), row.topology, per_second)
        except PeaksError as error:
            raise unusable(error) from None
        except StoreAwayError:
            raise
        except (AudioFileError, StoreError):
            raise not_found("layer of this call") from None
        if found is None:
            raise not_found("layer of this call")
        duration_ms, channels = found
        said = [{"role": channel.role, "peaks": channel.peaks} for channel in channels]
        return JSONResponse({"per_second": per_second, "duration_ms": duration_ms, "channels": said})

    return routes
