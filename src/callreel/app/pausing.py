"""Builds what pauses the recordings of calls, in a process that may have live calls."""

from dataclasses import dataclass, replace
from functools import partial

from callreel.app.carrier import carrier_access
from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.event_relay import EventRelay, PeerMessage
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.ids import CallId
from callreel.domain.pause import PauseCause
from callreel.domain.phrases import Phrases
from callreel.ingest.call_registry import CallRegistry
from callreel.ingest.live_pauses import LivePauses
from callreel.ingest.pause_control import CARRIER_TIMEOUT_S, PauseControl, PauseServices
from callreel.live.phrase_watch import Match, PhraseWatch
from callreel.runtime.clock import Clock
from callreel.settings import Settings
from callreel.store.db.database import Database


@dataclass(frozen=True, slots=True)
class Pausing:
    """`live` silences the calls of this process, `control` pauses any call; `phrases` pauses by what is said."""

    live: LivePauses
    control: PauseControl
    phrases: PhraseWatch[str]
    carrier: CarrierRecordings
    """Its owner closes it."""


def open_pausing(
    settings: Settings,
    registry: CallRegistry,
    database: Database,
    publisher: EventPublisher,
    commits: GroupCommit,
    clock: Clock,
    relay: EventRelay,
) -> Pausing:
    """Pauses reach all processes of the installation over the relay."""
    live = LivePauses(registry, database, commits, clock)

    def received(paused: bool, subject: str) -> None:
        call_id, _, announcement = subject.partition(" ")
        (live.begun if paused else live.changed)(CallId(call_id), announcement)

    relay.on(PeerMessage.PAUSED, partial(received, True))
    relay.on(PeerMessage.RESUMED, partial(received, False))

    def notify(announced: bool, call_id: CallId, announcement: str) -> None:
        subject = f"{call_id} {announcement}"
        received(announced, subject)
        relay.send(PeerMessage.PAUSED if announced else PeerMessage.RESUMED, subject)

    carrier = CarrierRecordings(replace(carrier_access(settings), timeout_s=CARRIER_TIMEOUT_S))
    services = PauseServices(database, publisher, clock, carrier, notify, settings.pause_max_s or None)
    control = PauseControl(services)

    def said(_phrase: str, match: Match) -> None:
        live.said(match.call_id, match.end_ms, partial(control.pause, match.call_id, PauseCause.PHRASE))

    phrases = {phrase: (Phrases([phrase]), None) for phrase in settings.pause_phrases}
    return Pausing(live, control, PhraseWatch(phrases, said, once_per_segment=False), carrier)
