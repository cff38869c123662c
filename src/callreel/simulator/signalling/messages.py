"""The JSON messages of a browser softphone's signalling socket, as typed structs for both ends.

Names and fields are those that `@twilio/voice-sdk` 2.18.5 sends and reads, its signalling version 1.6
(reference/softphone.md, section 2). Unknown fields are ignored. A message is `{"type", "version", "payload"}`; both ends
use some of the same types for different payloads, so each end has its own union.
"""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

VERSION: Final = "1.6"
_MAX_PARAMETERS = 100


class _Payload(msgspec.Struct, rename=lambda name: name.replace("_", ""), omit_defaults=True):
    """The payload of a message. The SDK's field names are lower case without separators."""


class _Message(msgspec.Struct, tag_field="type"):
    """A message; its tag is the `type` on the wire."""


class EmptyBody(_Payload):
    """An empty payload."""


class CallReference(_Payload):
    """A reference to a call, by the carrier's id or by the browser's temporary one."""

    callsid: str


class ListenBody(_Payload):
    """`reconnect_timeout` is in seconds."""

    token: str
    reconnect_timeout: int = msgspec.field(default=0, name="reconnectTimeout")


class MediaCapabilities(_Payload):
    """Media that the browser accepts calls with; false unregisters."""

    audio: bool = False


class RegisterBody(_Payload):
    """Registration for incoming calls."""

    media: MediaCapabilities = msgspec.field(default_factory=MediaCapabilities)


class CallParameters(_Payload):
    """`params` is a query string: `To=%2B1555...&ticket=42`."""

    params: str = ""


class InviteBody(_Payload):
    """A new call under a temporary id; or, with `reconnect`, a call to resume over this socket."""

    callsid: str
    sdp: str
    reconnect: str = ""
    twilio: CallParameters = msgspec.field(default_factory=CallParameters)

    @property
    def parameters(self) -> dict[str, str] | None:
        """The parameters of `Device.connect`; None if there are more than 100."""
        try:
            return dict(parse_qsl(self.twilio.params, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS))
        except ValueError:
            return None


class SdpBody(_Payload):
    """An SDP for a call."""

    callsid: str
    sdp: str


class HangupBody(_Payload):
    """`message` is the reason if the SDK itself hangs up."""

    callsid: str
    message: str = ""


class DtmfBody(_Payload):
    """DTMF digits in order; `w` is a pause of half a second."""

    callsid: str
    dtmf: str


class UserMessageBody(_Payload):
    """A user-defined message, with an id that its acknowledgement repeats."""

    callsid: str
    voice_event_sid: str
    content: Any = None
    content_type: str = ""
    message_type: str = ""


# Messages of the browser.


class Listen(_Message, tag="listen"):
    """Browser: first on a socket, and again with a new token."""

    payload: ListenBody


class Register(_Message, tag="register"):
    """Browser: registers for incoming calls. Repeated every 30 s."""

    payload: RegisterBody = msgspec.field(default_factory=RegisterBody)


class Invite(_Message, tag="invite"):
    """Browser: a new or resumed call."""

    payload: InviteBody


class Answer(_Message, tag="answer"):
    payload: SdpBody


class Reinvite(_Message, tag="reinvite"):
    payload: SdpBody


class Hangup(_Message, tag="hangup"):
    payload: HangupBody


class Reject(_Message, tag="reject"):
    payload: CallReference


class Dtmf(_Message, tag="dtmf"):
    payload: DtmfBody


class UserMessage(_Message, tag="message"):
    payload: UserMessageBody


class TokenBody(_Payload):
    """The token's identity and remaining lifetime in seconds."""

    identity: str
    ttl: int


class ConnectedBody(_Payload):
    """`edge`, `region` and `gateway` are for logs."""

    token: TokenBody
    edge: str = "simulated"
    region: str = "simulated"
    gateway: str = "simulated"


class ErrorBody(_Payload):
    """The carrier's error code and message."""

    code: int
    message: str = ""


class RingingBody(_Payload):
    """With an `sdp` the caller receives early media."""

    callsid: str
    sdp: str = ""


class AnsweredBody(_Payload):
    """`reconnect` is the token for resuming the call after the socket closed."""

    callsid: str
    reconnect: str
    sdp: str = ""


class OfferBody(_Payload):
    """A call for the browser. `parameters` have the SDK's names: CallSid, From, To, ..."""

    callsid: str
    sdp: str
    reconnect: str
    parameters: dict[str, str]


class EndedBody(_Payload):
    """`error` is omitted if the call ended normally."""

    callsid: str
    error: ErrorBody | None = None


class AckBody(_Payload):
    """The message that is acknowledged."""

    callsid: str
    voice_event_sid: str
    ack_type: str


class FaultBody(_Payload):
    """An error of the socket, or of one call."""

    error: ErrorBody
    callsid: str = ""


# Messages of the carrier.


class Connected(_Message, tag="connected"):
    payload: ConnectedBody


class Ready(_Message, tag="ready"):
    payload: EmptyBody = msgspec.field(default_factory=EmptyBody)


class Offline(_Message, tag="offline"):
    payload: EmptyBody = msgspec.field(default_factory=EmptyBody)


class Ringing(_Message, tag="ringing"):
    """Carrier: the other phone rings; contains the call's real id."""

    payload: RingingBody


class Answered(_Message, tag="answer"):
    payload: AnsweredBody


class Offer(_Message, tag="invite"):
    payload: OfferBody


class Ended(_Message, tag="hangup"):
    payload: EndedBody


class Cancel(_Message, tag="cancel"):
    """Carrier: the caller hung up, or the call timed out."""

    payload: CallReference


class Ack(_Message, tag="ack"):
    payload: AckBody


class Fault(_Message, tag="error"):
    payload: FaultBody


class Envelope(msgspec.Struct):
    """Any message, of which only the type is read."""

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
"""`decode_browser(text) -> BrowserMessage`; raises msgspec.ValidationError (a wrong shape) or DecodeError (invalid JSON)."""

decode_carrier = _carrier_decoder.decode
"""The same for the carrier's messages."""

decode_envelope = _envelope_decoder.decode
"""The same for the type of any message."""


def encode(message: BrowserMessage | CarrierMessage) -> str:
    """The message as text for the socket."""
    fields = msgspec.to_builtins(message)
    return msgspec.json.encode(fields | {"version": VERSION}).decode()
