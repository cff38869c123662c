"""Parses a TwiML document into verbs, as the carrier does.

What the carrier accepts with a warning becomes a `TwimlWarning` with its code: 13621 (recording event), 13622 (recording
track or channels), 31941 (stream track, name, or too many tracks), 31920 (stream URL), 12200 (unknown verb or noun). What
happens then is documented only for streams (none is opened, the call continues); for recordings this reader uses the
nearest valid options. Defaults are the carrier's: reference/twilio.md, sections 1.1, 1.2, 3.1, 3.4, 5.3, 5.4. A document
with a DOCTYPE is rejected, so that no entity is ever expanded.
"""

from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from callreel.domain.errors import CallreelError
from callreel.simulator.calls.twiml_script import (
    Callback,
    Dial,
    DialClient,
    DialConference,
    DialNumber,
    Gather,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Script,
    StartRecording,
    StartStream,
    StopRecording,
    StopStream,
    StreamRefusedError,
    TwimlWarning,
    Verb,
)
from callreel.twilio.twiml import (
    RECORDING_CHANNELS,
    RECORDING_EVENTS,
    RECORDING_TRACKS,
    RECORDING_TRIMS,
    STREAM_TRACKS,
)

BAD_DOCUMENT = 12100
BAD_CONTENT_TYPE = 12300
BAD_EVENT = 13621
BAD_RECORDING = 13622
BAD_STREAM = 31941
BAD_STREAM_URL = 31920
UNKNOWN_ELEMENT = 12200
DIAL_RECORDS = (
    "do-not-record",
    "record-from-answer",
    "record-from-answer-dual",
    "record-from-ringing",
    "record-from-ringing-dual",
    "true",
    "false",
)


class TwimlError(CallreelError):
    """The document is invalid. `code` is the carrier's."""

    def __init__(self, message: str, code: int = BAD_DOCUMENT) -> None:
        super().__init__(message)
        self.code = code


def read_twiml(xml: str) -> Script:
    """The verbs of a document. Raises TwimlError if it is not XML, has a DOCTYPE, or is not a `<Response>`."""
    root = _parse(xml)
    if root.tag != "Response":
        raise TwimlError(f"the root element of TwiML must be <Response>, not <{root.tag[:40]}>")
    return _Reader().read(root)


def read_document(content_type: str, body: str) -> Script:
    """The verbs of a response. Raises TwimlError, also for a content type that is not XML."""
    if "xml" not in content_type:
        raise TwimlError(
            f"the content type is {content_type or 'missing'}, expected text/xml", BAD_CONTENT_TYPE
        )
    return read_twiml(body)


class _NoDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise TwimlError("TwiML must not have a DOCTYPE")


def _parse(xml: str) -> Element:
    parser = XMLParser(target=_NoDoctype())
    try:
        parser.feed(xml.strip())
        root: Element = parser.close()
    except (ParseError, ValueError) as error:
        raise TwimlError(f"TwiML is not well-formed XML: {error}") from None
    return root


class _Reader:
    """Collects the verbs and warnings of one document."""

    def __init__(self) -> None:
        self._verbs: list[Verb] = []
        self._warnings: list[TwimlWarning] = []
        self._read: dict[str, Callable[[Element], None]] = {
            "Start": self._start,
            "Stop": self._stop,
            "Connect": self._connect,
            "Dial": self._dial,
            "Say": lambda element: self._verbs.append(Say(_text(element), _number(element, "loop", 1))),
            "Play": self._play,
            "Gather": self._gather,
            "Pause": lambda element: self._verbs.append(Pause(_number(element, "length", 1))),
            "Hangup": lambda element: self._verbs.append(Hangup()),
            "Reject": lambda element: self._verbs.append(Reject(element.get("reason", "rejected"))),
            "Redirect": lambda element: self._verbs.append(Redirect(_text(element), _method(element))),
        }

    def read(self, root: Element) -> Script:
        for element in root:
            self._read.get(element.tag, self._unknown)(element)
        return Script(tuple(self._verbs), tuple(self._warnings))

    def _warn(self, code: int, text: str) -> None:
        self._warnings.append(TwimlWarning(code, text))

    def _unknown(self, element: Element) -> None:
        self._warn(UNKNOWN_ELEMENT, f"unknown element <{str(element.tag)[:40]}>")

    def _start(self, element: Element) -> None:
        for noun in element:
            if noun.tag == "Stream":
                self._stream(noun)
            elif noun.tag == "Recording":
                self._verbs.append(self._recording(noun))
            else:
                self._unknown(noun)

    def _connect(self, element: Element) -> None:
        for noun in element:
            if noun.tag == "Stream":
                self._stream(noun, connects=True)
            else:
                self._unknown(noun)

    def _stop(self, element: Element) -> None:
        for noun in element:
            if noun.tag == "Stream":
                self._verbs.append(StopStream(noun.get("name", "")))
            elif noun.tag == "Recording":
                self._verbs.append(StopRecording(noun.get("name", "")))
            else:
                self._unknown(noun)

    def _stream(self, noun: Element, *, connects: bool = False) -> None:
        stream = StartStream(
            url=noun.get("url", ""),
            track=noun.get("track", "inbound_track"),
            name=noun.get("name"),
            callback=_callback(noun, "statusCallback", events=""),
            parameters={
                parameter.get("name", ""): parameter.get("value", "")
                for parameter in noun.iterfind("Parameter")
            },
            connects=connects,
        )
        fault = _url_fault(stream.url) or self._stream_fault(stream)
        if fault is None:
            self._verbs.append(stream)
        else:
            self._warnings.append(fault)

    def _stream_fault(self, stream: StartStream) -> TwimlWarning | None:
        others = [verb for verb in self._verbs if isinstance(verb, StartStream) and not stream.connects]
        if stream.connects and stream.track != "inbound_track":
            return TwimlWarning(BAD_STREAM, "a bidirectional stream has the inbound track only")
        if stream.track not in STREAM_TRACKS:
            return TwimlWarning(BAD_STREAM, f"unknown stream track {stream.track[:40]}")
        try:
            stream.check_beside(others)
        except StreamRefusedError as refused:
            return TwimlWarning(BAD_STREAM, str(refused))
        return None

    def _recording(self, noun: Element) -> StartRecording:
        channels = self._choice(noun, "channels", RECORDING_CHANNELS, "dual")
        track = self._choice(noun, "track", RECORDING_TRACKS, "both")
        if track != "both" and channels == "dual":
            if noun.get("channels") is not None:
                self._warn(
                    BAD_RECORDING,
                    f"recording track {track} with channels dual; a one-sided recording is mono",
                )
            channels = "mono"
        callback = _callback(noun, "recordingStatusCallback", events="completed")
        return StartRecording(
            channels=channels,
            track=track,
            trim=self._choice(noun, "trim", RECORDING_TRIMS, "trim-silence"),
            name=noun.get("name"),
            callback=None if callback is None else self._known_events(callback),
        )

    def _choice(self, noun: Element, attribute: str, known: tuple[str, ...], default: str) -> str:
        value = noun.get(attribute, default)
        if value in known:
            return value
        self._warn(BAD_RECORDING, f"unknown recording {attribute} {value[:40]}")
        return default

    def _known_events(self, callback: Callback) -> Callback:
        for event in callback.events:
            if event not in RECORDING_EVENTS:
                self._warn(BAD_EVENT, f"unknown recording event {event[:40]}")
        known = tuple(event for event in callback.events if event in RECORDING_EVENTS)
        return Callback(callback.url, callback.method, known)

    def _dial(self, element: Element) -> None:
        targets: list[DialNumber | DialClient] = []
        conference: DialConference | None = None
        if text := _text(element):
            targets.append(DialNumber(text))
        for noun in element:
            callback = _callback(noun, "statusCallback", events="completed")
            if noun.tag == "Number":
                targets.append(DialNumber(_text(noun), callback, noun.get("url")))
            elif noun.tag == "Client":
                identity = noun.findtext("Identity") or _text(noun)
                targets.append(DialClient(identity.strip(), callback, noun.get("url")))
            elif noun.tag == "Conference":
                conference = _conference(noun)
            else:
                self._unknown(noun)
        dial = Dial(
            targets=tuple(targets),
            caller_id=element.get("callerId"),
            action=element.get("action"),
            method=_method(element),
            timeout_s=_number(element, "timeout", 30),
            answer_on_bridge=element.get("answerOnBridge") == "true",
            recording=self._dial_recording(element),
            records_ringing=element.get("record", "").startswith("record-from-ringing"),
            conference=conference,
        )
        self._verbs.append(dial)

    def _dial_recording(self, element: Element) -> StartRecording | None:
        """`record`: the older values `true` and `false` are `record-from-answer` and `do-not-record`."""
        record = self._choice(element, "record", DIAL_RECORDS, "do-not-record")
        if record in ("do-not-record", "false"):
            return None
        callback = _callback(element, "recordingStatusCallback", events="completed")
        track = self._choice(element, "recordingTrack", RECORDING_TRACKS, "both")
        return StartRecording(
            channels="dual" if record.endswith("-dual") and track == "both" else "mono",
            track=track,
            trim=self._choice(element, "trim", RECORDING_TRIMS, "do-not-trim"),
            name=None,
            callback=None if callback is None else self._known_events(callback),
        )

    def _gather(self, element: Element) -> None:
        """The nested verbs are read as those of a document are, then moved into the `<Gather>`."""
        first = len(self._verbs)
        for child in element:
            self._read.get(child.tag, self._unknown)(child)
        nested = [verb for verb in self._verbs[first:] if isinstance(verb, Say | Play | Pause)]
        del self._verbs[first:]
        gather = Gather(
            action=element.get("action", ""),
            method=_method(element),
            inputs=tuple(element.get("input", "dtmf").split()),
            timeout_s=_number(element, "timeout", 5),
            num_digits=_number(element, "numDigits", 0),
            prompts=tuple(nested),
            action_on_empty=element.get("actionOnEmptyResult") == "true",
        )
        self._verbs.append(gather)

    def _play(self, element: Element) -> None:
        self._verbs.append(Play(_text(element), _number(element, "loop", 1), element.get("digits")))


def _url_fault(url: str) -> TwimlWarning | None:
    try:
        address = urlsplit(url)
    except ValueError:
        return TwimlWarning(BAD_STREAM_URL, "the URL of a stream is invalid")
    if address.scheme not in ("wss", "") or not url:
        return TwimlWarning(BAD_STREAM_URL, "the URL of a stream must begin with wss://")
    if address.query:
        return TwimlWarning(
            BAD_STREAM_URL, "the URL of a stream must not have a query, which breaks the handshake"
        )
    return None


def _conference(noun: Element) -> DialConference | None:
    """None without a name. An invalid flag has its default."""
    name = _text(noun)
    if not name:
        return None
    return DialConference(
        name=name,
        starts_on_enter=noun.get("startConferenceOnEnter") != "false",
        ends_on_exit=noun.get("endConferenceOnExit") == "true",
        muted=noun.get("muted") == "true",
        callback=_callback(noun, "statusCallback", events=""),
    )


def _callback(element: Element, attribute: str, events: str) -> Callback | None:
    url = element.get(attribute)
    if not url:
        return None
    subscribed = element.get(f"{attribute}Event", events)
    return Callback(url, element.get(f"{attribute}Method", "POST").upper(), tuple(subscribed.split()))


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _method(element: Element) -> str:
    return element.get("method", "POST").upper()


def _number(element: Element, attribute: str, default: int) -> int:
    text = element.get(attribute, "")
    return int(text) if text.isdecimal() and len(text) <= 9 else default
