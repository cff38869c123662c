"""The JSON messages of a browser softphone's signalling socket, as typed structs for both ends.

Only shapes: what may follow what is `signalling`'s business. Names and fields are those that `@twilio/voice-sdk` 2.18.5
sends and reads, its signalling version 1.6 (reference/softphone.md, section 2). Unknown fields are ignored. A message is
`{"type", "version", "payload"}`; both ends use some of the same types for different payloads, so each end has a union
of its own.
"""

from typing import Any, Final

import msgspec

VERSION: Final = "1.6"


class _Payload(msgspec.Struct, rename=lambda name: name.replace("_", ""), omit_defaults=True):
    """The object inside a message. The SDK's names are in lower case without a divider."""


class _Message(msgspec.Struct, tag_field="type"):
    """A message; its tag is the `type` on the wire."""


class EmptyBody(_Payload):
    """A payload of which nothing is read."""


class CallReference(_Payload):
    """A payload that only names a call, by the carrier's id or by the temporary one of the browser."""

    callsid: str


class ListenBody(_Payload):
    """`reconnect_timeout` is in seconds."""

    token: str
    reconnect_timeout: int = msgspec.field(default=0, name="reconnectTimeout")


class MediaCapabilities(_Payload):
    """Whether calls are wanted: false unregisters."""

    audio: bool = False


class RegisterBody(_Payload):
    """What the browser can be rung for."""

    media: MediaCapabilities = msgspec.field(default_factory=MediaCapabilities)


class CallParameters(_Payload):
    """`params` is a query string: `To=%2B1555...&ticket=42`."""

    params: str = ""


class InviteBody(_Payload):
    """A new call under a temporary id; or, with `reconnect`, a call that goes on over this socket."""

    callsid: str
    sdp: str
    reconnect: str = ""
    twilio: CallParameters = msgspec.field(default_factory=CallParameters)


class SdpBody(_Payload):
    """An SDP for a call."""

    callsid: str
    sdp: str


class HangupBody(_Payload):
    """`message` says why, where the SDK hangs up by itself."""

    callsid: str
    message: str = ""


class DtmfBody(_Payload):
    """Keys in order; `w` is a pause of half a second."""

    callsid: str
    dtmf: str


class UserMessageBody(_Payload):
    """A message of the page's own, with an id that its acknowledgement repeats."""

    callsid: str
    voice_event_sid: str
    content: Any = None
    content_type: str = ""
    message_type: str = ""


class Listen(_Message, tag="listen"):
    """Browser: first on a socket, and again with a new token."""

    payload: ListenBody


class Register(_Message, tag="register"):
    """Browser: it can be rung. Repeated every 30 s."""

    payload: RegisterBody = msgspec.field(default_factory=RegisterBody)


class Invite(_Message, tag="invite"):
    """Browser: a new call, or a call resumed."""

    payload: InviteBody


class Answer(_Message, tag="answer"):
    """Browser: it takes the call that it was offered."""

    payload: SdpBody


class Reinvite(_Message, tag="reinvite"):
    """Browser: it wants to restart ICE."""

    payload: SdpBody


class Hangup(_Message, tag="hangup"):
    """Browser: the call is over."""

    payload: HangupBody


class Reject(_Message, tag="reject"):
    """Browser: it declines the call that it was offered."""

    payload: CallReference


class Dtmf(_Message, tag="dtmf"):
    """Browser: keys were pressed."""

    payload: DtmfBody


class UserMessage(_Message, tag="message"):
    """Browser: a message of the page's own."""

    payload: UserMessageBody


class TokenBody(_Payload):
    """Whose token it is, and for how many seconds more."""

    identity: str
    ttl: int


class ConnectedBody(_Payload):
    """`edge`, `region` and `gateway` are for logs."""

    token: TokenBody
    edge: str = "stand-in"
    region: str = "stand-in"
    gateway: str = "stand-in"


class ErrorBody(_Payload):
    """The carrier's number of an error and a sentence."""

    code: int
    message: str = ""


class RingingBody(_Payload):
    """With an `sdp` the caller hears what comes before the answer."""

    callsid: str
    sdp: str = ""


class AnsweredBody(_Payload):
    """`reconnect` is what the browser shows when it comes back after a lost socket."""

    callsid: str
    reconnect: str
    sdp: str = ""


class OfferBody(_Payload):
    """A call for the browser. `parameters` are named as the SDK shows them: CallSid, From, To, ..."""

    callsid: str
    sdp: str
    reconnect: str
    parameters: dict[str, str]


class EndedBody(_Payload):
    """`error` is left out where a call ended in order."""

    callsid: str
    error: ErrorBody | None = None


class AckBody(_Payload):
    """Which message arrived."""

    callsid: str
    voice_event_sid: str
    ack_type: str


class FaultBody(_Payload):
    """An error of the socket, or of one call."""

    error: ErrorBody
    callsid: str = ""


class Connected(_Message, tag="connected"):
    """Carrier: the token is good."""

    payload: ConnectedBody


class Ready(_Message, tag="ready"):
    """Carrier: registered."""

    payload: EmptyBody = msgspec.field(default_factory=EmptyBody)


class Offline(_Message, tag="offline"):
    """Carrier: registered no longer."""

    payload: EmptyBody = msgspec.field(default_factory=EmptyBody)


class Ringing(_Message, tag="ringing"):
    """Carrier: the other phone rings; tells the call's real id."""

    payload: RingingBody


class Answered(_Message, tag="answer"):
    """Carrier: the call is answered, or resumed."""

    payload: AnsweredBody


class Offer(_Message, tag="invite"):
    """Carrier: somebody calls."""

    payload: OfferBody


class Ended(_Message, tag="hangup"):
    """Carrier: the call is over."""

    payload: EndedBody


class Cancel(_Message, tag="cancel"):
    """Carrier: who called has given up, or it rang for too long."""

    payload: CallReference


class Ack(_Message, tag="ack"):
    """Carrier: a message of the page's own arrived."""

    payload: AckBody


class Fault(_Message, tag="error"):
    """Carrier: something is refused."""

    payload: FaultBody


class Envelope(msgspec.Struct):
    """Any message of which only the name is wanted."""

    type: str


BrowserMessage = Listen | Register | Invite | Answer | Reinvite | Hangup | Reject | Dtmf | UserMessage
CarrierMessage = Connected | Ready | Offline | Ringing | Answered | Offer | Ended | Cancel | Ack | Fault
BROWSER_TYPES = frozenset(
    {"listen", "register", "invite", "answer", "reinvite", "hangup", "reject", "dtmf", "message"}
)

_browser_decoder = msgspec.json.Decoder(BrowserMessage)
_carrier_decoder = msgspec.json.Decoder(CarrierMessage)
_envelope_decoder = msgspec.json.Decoder(Envelope)

decode_browser = _browser_decoder.decode
"""`decode_browser(text) -> BrowserMessage`; raises msgspec.ValidationError (a wrong shape) or DecodeError (no JSON)."""

decode_carrier = _carrier_decoder.decode
"""The same for what the carrier sends."""

decode_envelope = _envelope_decoder.decode
"""The same for a message of which only `type` matters."""


def encode(message: BrowserMessage | CarrierMessage) -> str:
    """The message as the text that goes on the socket."""
    fields = msgspec.to_builtins(message)
    return msgspec.json.encode(fields | {"version": VERSION}).decode()
