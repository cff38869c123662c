"""The promised result of each fault of the simulated carrier, as docs/reliability.md states it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Promise:
    """`exact`: layer 1 holds every sample that was sent. `transcript`: there is a final one."""

    verdict: str
    codes: set[str] = field(default_factory=set)
    exact: bool = True
    transcript: bool = True


PROMISES = {
    "none": Promise("verified"),
    "lost": Promise("explained", {"frames_lost"}, exact=False),
    "late": Promise("explained", {"frames_lost"}, exact=False),
    "repeated": Promise("verified"),
    "reordered": Promise("verified"),
    "stall": Promise("verified"),
    "socket-cut": Promise("explained", {"stream_interrupted"}, exact=False),
    "socket-cut-and-return": Promise("explained", {"stream_interrupted"}, exact=False),
    "socket-open": Promise("verified"),
    "callback-lost": Promise("verified"),
    "callback-repeated": Promise("verified"),
    "callback-delayed": Promise("verified"),
    "callback-reordered": Promise("verified"),
    "media-truncated": Promise("verified"),
    "media-404": Promise("verified"),
    "media-429": Promise("verified"),
    "media-500": Promise("verified"),
    "wrong-duration": Promise("suspect", {"duration_differs"}),
    "absent": Promise("suspect", {"absent_despite_speech"}),
    "failed": Promise("explained", {"cloud_failed"}),
    "late-stream": Promise("explained", {"late_stream"}),
    "mono": Promise("explained", {"mono_recording"}),
}

WITHOUT_CONVERSATION = {"forged-signature", "busy", "no-answer"}
"""Faults that end a call before a conversation."""

REQUEST_FAULTS = {
    *("list-429", "list-500", "list-slow", "list-odd-rows", "fetch-429", "fetch-500", "fetch-slow"),
    *("delete-429", "delete-500", "delete-slow"),
    *("pause-refused", "pause-500", "pause-slow"),
    "notice-lost",
}
"""Faults of single REST requests: `list-429` and `list-slow` strike with `callback-lost`, the others in the tests of what
sends those requests, `notice-lost` in `tests/end_to_end/test_notice_lost.py`."""
