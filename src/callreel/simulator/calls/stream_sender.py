"""The carrier's end of one media socket: makes the messages that `twilio/stream` reads, and keeps their counters."""

from collections.abc import Mapping

from callreel.domain.call import Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.twilio import media_messages
from callreel.twilio.media_messages import Dtmf, Mark, Media, Start, Stop


class StreamSender:
    """One sequence number runs over all messages after `connected`, `start` being 1. `chunk` counts from 1 for each track;
    whether the carrier's counts per track or over both is open (reference/twilio.md, section 3.2), so nothing reads it.
    """

    def __init__(self, stream_sid: StreamSid, leg_sid: LegSid, account_sid: str) -> None:
        self._stream_sid = stream_sid
        self._leg_sid = leg_sid
        self._account_sid = account_sid
        self._sequence = 0
        self._chunks = {track: 0 for track in Track}

    def connected(self) -> str:
        return media_messages.encode(media_messages.Connected())

    def start(
        self,
        tracks: tuple[Track, ...] = (Track.INBOUND, Track.OUTBOUND),
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """`parameters` are the TwiML's `<Parameter>`s."""
        body = media_messages.StartBody(
            stream_sid=self._stream_sid,
            account_sid=self._account_sid,
            call_sid=self._leg_sid,
            tracks=[track.value for track in tracks],
            custom_parameters=dict(parameters or {}),
        )
        return media_messages.encode(Start(body, self._number(), self._stream_sid))

    def media(self, track: Track, timestamp_ms: int, payload: bytes) -> str:
        """`payload` is mu-law at 8000 Hz; 160 bytes are the usual 20 ms."""
        self._chunks[track] += 1
        body = media_messages.MediaBody(track, str(timestamp_ms), payload, str(self._chunks[track]))
        return media_messages.encode(Media(body, self._number(), self._stream_sid))

    def dtmf(self, digit: str) -> str:
        return media_messages.encode(
            Dtmf(media_messages.DtmfBody(digit, "inbound_track"), self._number(), self._stream_sid)
        )

    def mark(self, name: str) -> str:
        return media_messages.encode(Mark(media_messages.MarkBody(name), self._number(), self._stream_sid))

    def stop(self) -> str:
        body = media_messages.StopBody(self._account_sid, self._leg_sid)
        return media_messages.encode(Stop(body, self._number(), self._stream_sid))

    def _number(self) -> str:
        self._sequence += 1
        return str(self._sequence)
