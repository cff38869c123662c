"""The documents that play a call's notice or question, and the URLs at which the carrier continues after them.

A URL has in its query what is needed to continue the call even if the database fails; the carrier's signature covers it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import Connection

from callreel.domain.call import Direction
from callreel.domain.consent import Mode, OnDecline, Stamp, Wording
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.store.calls import consent_policies
from callreel.twilio import consent_twiml

Callback = Callable[[str], str]
"""Makes the public URL of one of our carrier routes (`ingest/voice_request.AnswerOptions.callback`)."""


@dataclass(frozen=True, slots=True)
class ConsentStep:
    """One request of the carrier about the consent to a call. `attempt` counts the times that the question was played."""

    call_id: CallId
    direction: Direction
    on_decline: OnDecline = OnDecline.CONTINUE
    attempt: int = 1

    @classmethod
    def of(cls, stamp: Stamp, direction: Direction) -> "ConsentStep":
        return cls(stamp.call_id, direction, stamp.on_decline)

    def url(self, callback: Callback, page: str) -> str:
        """The address of `notice`, `played` or `answer`."""
        query = {"call": self.call_id, "direction": self.direction, "decline": self.on_decline}
        return callback(f"consent/{page}?{urlencode(query | {'attempt': self.attempt})}")


def wording_of(conn: Connection, stamp: Stamp) -> Wording | None:
    """The text or sound of the call's notice, from the policy that was in force when the call began."""
    policy = consent_policies.version(conn, stamp.policy_version)
    return policy.notice(stamp.notice).wording([stamp.language]) if policy and stamp.notice else None


def notice_document(
    callback: Callback, public_url: str, stamp: Stamp, wording: Wording, step: ConsentStep
) -> str:
    """The TwiML that plays the notice, or the question and waits for its answer."""
    sound_url = f"{public_url}/notices/{wording.sound}.wav" if wording.sound else ""
    if stamp.mode is Mode.ASK:
        return consent_twiml.question(wording, sound_url, step.url(callback, "answer"))
    return consent_twiml.notice(wording, sound_url, step.url(callback, "played"))


def consent_event(stamp: Stamp) -> LiveEvent:
    """The live event for a new or changed stamp."""
    return LiveEvent(stamp.call_id, EventKind.CONSENT, stamp.summary)
