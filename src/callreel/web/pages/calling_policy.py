"""The content security policy of the page that places calls: as strict as all others, but for the carrier. Pure.

The voice SDK talks to the carrier by WebSocket, at a host that may change when it reconnects, and sends the carrier what
it measured of a call by https. With the stand-in carrier on this machine it reaches that one host instead. Nothing
else changes: script, style and sound come from us alone.
"""

from callreel.web.auth.gate import SECURITY_HEADERS
from callreel.web.options import SoftphoneOptions

CARRIER = "wss://*.twilio.com https://*.twilio.com"


def calling_policy(softphone: SoftphoneOptions) -> str:
    """The policy, opened no further than this server's softphone needs: not at all while it cannot call."""
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    if softphone.missing:
        return policy
    reach = f"ws://{softphone.local_signal}" if softphone.local_signal else CARRIER
    return f"{policy}; connect-src 'self' {reach}"
