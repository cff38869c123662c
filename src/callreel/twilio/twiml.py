"""The TwiML of our responses to voice requests. `simulator/calls/twiml_reader` parses it.

The official library writes and escapes the XML. Options are validated once, at startup, since the carrier accepts invalid
TwiML with a warning and continues the call without the recording or the stream.
Attributes, defaults and combinations: reference/twilio.md, sections 1.1, 1.2, 3.1, 5.3, 5.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from twilio.twiml.voice_response import Dial, Start, VoiceResponse

from callreel.domain.errors import SettingsError

STREAM_TRACKS = ("inbound_track", "outbound_track", "both_tracks")
RECORDING_CHANNELS = ("mono", "dual")
RECORDING_TRACKS = ("inbound", "outbound", "both")
RECORDING_TRIMS = ("trim-silence", "do-not-trim")
RECORDING_EVENTS = ("in-progress", "completed", "absent")
PARAMETER_CHARS = 500
"""The carrier's limit for a `<Parameter>`'s name and value together."""

_PROGRESS = "initiated ringing answered completed"
_POST = "POST"


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """A `<Start><Stream>`. `url` is wss and without a query; `parameters` arrive in the stream's `start` message."""

    url: str
    track: str = "both_tracks"
    name: str | None = None
    status_callback: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """A `<Start><Recording>`. `trim` stays explicit: the carrier's default cuts silence and so loses offsets."""

    status_callback: str
    channels: str = "dual"
    track: str = "both"
    trim: str = "do-not-trim"
    events: tuple[str, ...] = RECORDING_EVENTS


def check_stream_options(options: StreamOptions) -> None:
    """Raise SettingsError for options that the carrier would reject or silently ignore."""
    address = _address(options.url)
    if address.scheme != "wss" or not address.hostname:
        raise SettingsError("a stream's URL must be wss://, since the carrier connects to nothing else")
    if address.query or address.fragment:
        raise SettingsError(
            "a stream's URL must have no query or fragment: it breaks the carrier's handshake"
        )
    _one_of("a stream's track", options.track, STREAM_TRACKS)
    for name, value in options.parameters.items():
        if len(name) + len(value) >= PARAMETER_CHARS:
            raise SettingsError(
                f"stream parameter {name[:40]} with its value must be below {PARAMETER_CHARS} characters"
            )
    if options.status_callback is not None:
        _absolute("a stream's status callback", options.status_callback)


def check_recording_options(options: RecordingOptions) -> None:
    """Raise SettingsError for unknown values and for combinations that the carrier forbids."""
    _one_of("recording channels", options.channels, RECORDING_CHANNELS)
    _one_of("recording track", options.track, RECORDING_TRACKS)
    _one_of("recording trim", options.trim, RECORDING_TRIMS)
    if options.channels == "dual" and options.track != "both":
        raise SettingsError(
            f"recording track {options.track} with channels dual: one-sided recordings are always mono;"
            " use channels mono, or track both"
        )
    if not options.events:
        raise SettingsError(f"recording events must name at least one of {', '.join(RECORDING_EVENTS)}")
    for event in options.events:
        _one_of("a recording event", event, RECORDING_EVENTS)
    _absolute("a recording's status callback", options.status_callback)


def outgoing_answer(
    stream: StreamOptions | None,
    recording: RecordingOptions | None,
    caller_id: str,
    number: str,
    dial_status_callback: str,
    answer_on_bridge: bool = True,
    number_url: str | None = None,
) -> str:
    """For an agent's browser that calls out: stream and record its leg, then dial `number` (E.164) as `caller_id`.

    The document at `number_url` runs on the dialled leg before the bridge.
    """
    dial = _dial(answer_on_bridge, caller_id=caller_id)
    dial.number(
        number,
        url=number_url,
        method=_POST if number_url is not None else None,
        status_callback=dial_status_callback,
        status_callback_event=_PROGRESS,
        status_callback_method=_POST,
    )
    return _document(stream, recording, dial)


def incoming_answer(
    stream: StreamOptions | None,
    recording: RecordingOptions | None,
    client_identity: str,
    dial_status_callback: str,
    answer_on_bridge: bool = True,
) -> str:
    """For a call to our number: stream and record the caller's leg, then ring the agent's browser."""
    dial = _dial(answer_on_bridge)
    dial.client(
        client_identity,
        status_callback=dial_status_callback,
        status_callback_event=_PROGRESS,
        status_callback_method=_POST,
    )
    return _document(stream, recording, dial)


def refusal(text: str) -> str:
    """Says `text` to the caller and hangs up."""
    response = VoiceResponse()
    response.say(text)
    response.hangup()
    return str(response)


def _document(stream: StreamOptions | None, recording: RecordingOptions | None, dial: Dial) -> str:
    response = VoiceResponse()
    if stream is not None:
        response.append(_start_stream(stream))
    if recording is not None:
        response.append(_start_recording(recording))
    response.append(dial)
    return str(response)


def _start_stream(options: StreamOptions) -> Start:
    start = Start()
    callback = options.status_callback
    stream = start.stream(
        url=options.url,
        name=options.name,
        track=options.track,
        status_callback=callback,
        status_callback_method=_POST if callback is not None else None,
    )
    for name, value in options.parameters.items():
        stream.parameter(name=name, value=value)
    return start


def _start_recording(options: RecordingOptions) -> Start:
    start = Start()
    start.recording(
        channels=options.channels,
        track=options.track,
        trim=options.trim,
        recording_status_callback=options.status_callback,
        recording_status_callback_method=_POST,
        recording_status_callback_event=" ".join(options.events),
    )
    return start


def _dial(answer_on_bridge: bool, caller_id: str | None = None) -> Dial:
    return Dial(caller_id=caller_id, answer_on_bridge=answer_on_bridge)


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SettingsError(f"{what} must be one of {', '.join(known)}, not {value[:40]}")


def _absolute(what: str, url: str) -> None:
    address = _address(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise SettingsError(
            f"{what} must be an absolute http or https URL: the carrier fails on relative ones"
        )


def _address(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets without an IPv6 address
        return SplitResult("", "", "", "", "")
