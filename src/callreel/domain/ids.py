"""Ids. Each kind is a separate type, so that mypy rejects one passed for another."""

from typing import NewType

CallId = NewType("CallId", str)
"""Our id of a call, 12 hex digits; also the session in the names of the live layers' files."""

LegSid = NewType("LegSid", str)
"""The carrier's id of a leg (`CA` and 32 hex digits). A call has a parent leg and, once dialled, a child leg."""

StreamSid = NewType("StreamSid", str)
"""The carrier's id of a media stream (`MZ` and 32 hex digits)."""

RecordingSid = NewType("RecordingSid", str)
"""The carrier's id of a cloud recording (`RE` and 32 hex digits)."""
