"""The content security policy of the page that places calls: as strict as all others, except for the carrier. Pure.

The voice SDK connects to the carrier by WebSocket, to a host that may change when it reconnects, and posts call quality
figures by https. With the stand-in carrier it connects to that one host instead.
"""

from callreel.web.auth.gate import SECURITY_HEADERS
from callreel.web.options import SoftphoneOptions

CARRIER = "wss://*.twilio.com https://*.twilio.com"


def calling_policy(softphone: SoftphoneOptions) -> str:
    """The policy, opened only as far as this server's softphone needs; not at all while it cannot place calls."""
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    if softphone.missing:
        return policy
    hosts = f"ws://{softphone.local_signal}" if softphone.local_signal else CARRIER
    return f"{policy}; connect-src 'self' {hosts}"
