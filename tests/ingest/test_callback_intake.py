from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit, Write
from callreel.domain.call import Role
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, LegSid, RecordingSid, StreamSid
from callreel.domain.pause import CarrierPause, PauseCause
from callreel.domain.recording import CloudState
from callreel.ingest.callback_intake import CallbackIntake
from callreel.simulator.calls.webhook_forms import (
    LegEvent,
    RecordingEvent,
    call_status_form,
    recording_status_form,
    stream_status_form,
)
from callreel.store.calls import calls, facts, legs, pauses, recordings
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.tables import callbacks as callback_table
from callreel.store.db.tables import facts as fact_table
from callreel.store.db.tables import live_events as event_table
from callreel.twilio.webhooks import parse_call_status, parse_recording_status, parse_stream_status
from tests.support.installation import ACCOUNT, NOON, Installation, a_call, leg, temporary_installation

SID = RecordingSid("RE" + "1" * 32)
STREAM = StreamSid("MZ" + "1" * 32)
CALL = CallId("000000000001")
PARENT, CHILD = leg(1), leg(99)
URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SID}"


@dataclass
class Hooks:
    """What the intake set off."""

    woken: int = 0
    legs: list[CallId] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)

    def wake(self) -> None:
        self.woken += 1


@dataclass(frozen=True)
class Intake:
    """What the routes stand on."""

    of: CallbackIntake
    commits: GroupCommit


def intake(installation: Installation, hooks: Hooks, publisher: EventPublisher | None = None) -> Intake:
    service = CallbackIntake(
        installation.clock,
        recording_changed=hooks.wake,
        leg_ended=hooks.legs.append,
        stream_ended=hooks.streams.append,
    )
    return Intake(service, GroupCommit(installation.database, publisher or installation.publisher))


def recording_form(status: str, *, of: LegSid = PARENT, error_code: int = 0) -> dict[str, str]:
    return recording_status_form(RecordingEvent(
        recording_sid=SID, leg_sid=of, account_sid=ACCOUNT, status=status, url=URL, start_time=NOON,
        duration_s=41, error_code=error_code,
    ))  # fmt: skip


def leg_form(status: str, number: int, *, child: bool = False, of: LegSid = PARENT) -> dict[str, str]:
    return call_status_form(LegEvent(
        leg_sid=CHILD if child else of, account_sid=ACCOUNT, status=status, sequence_number=number,
        timestamp=NOON, from_="client:ada", to="+12125550123", parent_sid=of if child else None, duration_s=41,
    ))  # fmt: skip


def stream_form(event: str, *, error: str | None = None) -> dict[str, str]:
    return stream_status_form(
        stream_sid=STREAM, leg_sid=leg(1), account_sid=ACCOUNT, event=event, timestamp=NOON, error=error
    )


def write_of(service: Intake, form: Mapping[str, str]) -> Write:
    """What its route does with a form."""
    if "RecordingSid" in form:
        return lambda conn: service.of.recording(conn, parse_recording_status(form), form)
    if "StreamSid" in form:
        return lambda conn: service.of.stream(conn, parse_stream_status(form), form)
    return lambda conn: service.of.call(conn, parse_call_status(form), form)


def take_in(service: Intake, form: Mapping[str, str]) -> None:
    service.commits.commit_blocking(write_of(service, form))


def row(installation: Installation) -> RecordingRow | None:
    with installation.database.read() as conn:
        return recordings.get(conn, SID)


def kinds_of_facts(installation: Installation) -> list[str]:
    with installation.database.read() as conn:
        return list(conn.execute(select(fact_table.c.kind).order_by(fact_table.c.id)).scalars())


def count(installation: Installation) -> tuple[int, int]:
    """How many callbacks and events are kept."""
    with installation.database.read() as conn:
        tables = (callback_table, event_table)
        kept = [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]
    return kept[0], kept[1]


# Recordings


def test_recording_in_the_usual_order(installation: Installation) -> None:
    a_call(installation)
    hooks = Hooks()
    service = intake(installation, hooks)
    take_in(service, recording_form("in-progress"))
    known = row(installation)
    assert known is not None and known.state is CloudState.IN_PROGRESS
    take_in(service, recording_form("completed"))
    known = row(installation)
    assert known is not None and known.state is CloudState.COMPLETED
    assert (known.channels, known.duration_s, known.error_code, known.started_at) == (2, 41, None, NOON)
    assert (known.call_id, known.leg_sid) == (CALL, leg(1))
    assert hooks.woken == 2
    states = [event.data["state"] for event in installation.published if event.kind is EventKind.RECORDING]
    assert states == ["in_progress", "completed"]


def test_recording_that_begins_in_a_pause_is_to_be_paused(installation: Installation) -> None:
    a_call(installation)
    with installation.database.write() as conn:
        pause, _ = pauses.begin(conn, CALL, PauseCause.PERSON, "maria", NOON)
        assert pause is not None
        pauses.change(conn, pause.id, carrier=CarrierPause.NONE)
    take_in(intake(installation, Hooks()), recording_form("in-progress"))
    with installation.database.read() as conn:
        changed = pauses.open_one(conn, CALL)
    assert changed is not None and changed.carrier is CarrierPause.AWAY
    assert [event.data["carrier"] for event in installation.published if event.kind is EventKind.PAUSE] == [
        "away"
    ]


def test_absent_recording_keeps_the_carriers_reason(installation: Installation) -> None:
    a_call(installation)
    take_in(intake(installation, Hooks()), recording_form("absent", error_code=16101))
    known = row(installation)
    assert known is not None and (known.state, known.error_code) == (CloudState.ABSENT, 16101)


USUAL = ["half-done", "in-progress", "failed", "absent", "completed"]
STATUSES = st.one_of(
    st.permutations(["in-progress", "completed", "absent", "failed", "half-done"]),
    st.permutations(["in-progress", "absent", "half-done"]),
    st.permutations(["in-progress", "failed"]),
)


@cache
def _row_after(statuses: tuple[str, ...]) -> tuple[RecordingRow | None, list[str]]:
    with temporary_installation() as installation:
        a_call(installation)
        service = intake(installation, Hooks())
        for status in statuses:
            take_in(service, recording_form(status, error_code=16101 if status == "absent" else 0))
        states = [str(e.data["state"]) for e in installation.stored_events() if e.kind is EventKind.RECORDING]
        assert [
            event for event in installation.published if event.id is not None
        ] == installation.stored_events()
        return row(installation), states


@given(STATUSES, st.data())
@settings(max_examples=12, deadline=None)
def test_recording_callbacks_in_any_order_and_repeated_end_alike(
    statuses: list[str], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(statuses), max_size=3))
    known, states = _row_after((*statuses, *again))
    expected, _ = _row_after(tuple(sorted(statuses, key=USUAL.index)))
    assert known == expected and known is not None
    assert states[-1] == known.state
    assert len(states) == len(set(states)), "each state is published once, at most"


def test_repeated_callback_changes_nothing(installation: Installation) -> None:
    a_call(installation)
    hooks = Hooks()
    service = intake(installation, hooks)
    take_in(service, recording_form("completed"))
    known, kept, published = row(installation), count(installation), len(installation.published)
    installation.clock.step(5)
    take_in(service, recording_form("completed"))
    assert (row(installation), count(installation), len(installation.published)) == (known, kept, published)
    assert hooks.woken == 1


def test_late_report_of_an_earlier_state_publishes_nothing(installation: Installation) -> None:
    a_call(installation)
    hooks = Hooks()
    service = intake(installation, hooks)
    take_in(service, recording_form("completed"))
    kept = count(installation)
    take_in(service, recording_form("in-progress"))
    assert count(installation) == (kept[0] + 1, kept[1])
    assert hooks.woken == 1


def test_unknown_recording_status_is_a_fact(installation: Installation) -> None:
    a_call(installation)
    hooks = Hooks()
    take_in(intake(installation, hooks), recording_form("half-done"))
    assert row(installation) is None and hooks.woken == 0
    with installation.database.read() as conn:
        (fact,) = facts.of_call(conn, CALL)
    assert (fact.kind, fact.data["RecordingStatus"]) == ("unknown_recording_status", "half-done")


# Calls that are not ours


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (recording_form("completed", of=leg(7)), "recording_of_unknown_call"),
        (leg_form("completed", 3, of=leg(7)), "status_of_unknown_call"),
        (leg_form("in-progress", 2, child=True, of=leg(7)), "status_of_unknown_call"),
        (stream_form("stream-error", error="31920"), "stream_error"),
    ],
)
def test_callback_of_an_unknown_call_is_noted(
    installation: Installation, form: dict[str, str], kind: str
) -> None:
    hooks = Hooks()
    take_in(intake(installation, hooks), form)
    assert kinds_of_facts(installation) == [kind]
    assert hooks == Hooks()
    assert count(installation) == (1, 0)


# Streams


def test_stopped_stream_is_reported_once(installation: Installation) -> None:
    a_call(installation)
    hooks = Hooks()
    service = intake(installation, hooks)
    for event in ("stream-stopped", "stream-started", "stream-stopped", "stream-rewound"):
        take_in(service, stream_form(event))
    assert hooks == Hooks(streams=[STREAM])


def test_stream_error_is_a_fact_of_the_call(installation: Installation) -> None:
    a_call(installation)
    take_in(intake(installation, Hooks()), stream_form("stream-error", error="31921: the socket was closed"))
    with installation.database.read() as conn:
        (fact,) = facts.of_call(conn, CALL)
    assert (fact.kind, fact.data) == ("stream_error", {"error": "31921: the socket was closed"})


# Legs


def test_child_is_the_other_party_and_its_answer_is_the_calls(installation: Installation) -> None:
    a_call(installation)
    service = intake(installation, Hooks())
    for seconds, status in enumerate(("initiated", "ringing", "in-progress", "completed")):
        take_in(service, leg_form(status, seconds, child=True))
        installation.clock.step(1)
    with installation.database.read() as conn:
        _, child = legs.of_call(conn, CALL)
        call = calls.get(conn, CALL)
    assert (child.sid, child.parent_sid, child.role) == (CHILD, leg(1), Role.TECHNICIAN)
    assert (child.status, child.duration_s) == ("completed", 41)
    assert (child.started_at, child.ended_at) == (NOON.replace(second=2), NOON.replace(second=3))
    assert call is not None and call.answered_at == NOON.replace(second=2)


def test_child_of_an_incoming_call_is_the_agent(installation: Installation) -> None:
    a_call(installation, from_="+4989123456")
    take_in(intake(installation, Hooks()), leg_form("ringing", 1, child=True))
    with installation.database.read() as conn:
        assert [leg.role for leg in legs.of_call(conn, CALL)] == [Role.TECHNICIAN, Role.AGENT]


@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
def test_only_the_end_of_the_parent_leg_ends_capture(installation: Installation, status: str) -> None:
    a_call(installation)
    hooks = Hooks()
    service = intake(installation, hooks)
    take_in(service, leg_form(status, 3, child=True))
    assert hooks.legs == []
    for _ in range(2):
        take_in(service, leg_form(status, 4))
    assert hooks.legs == [CALL]


LEG_WORDS = [("initiated", 0), ("ringing", 1), ("in-progress", 2), ("completed", 3)]


@cache
def _leg_after(words: tuple[tuple[str, int], ...]) -> tuple[object, ...]:
    with temporary_installation() as installation:
        a_call(installation)
        service = intake(installation, Hooks())
        for status, number in words:
            take_in(service, leg_form(status, number, child=True))
        with installation.database.read() as conn:
            return tuple(legs.of_call(conn, CALL)), installation.call(CALL).answered_at


@given(st.permutations(LEG_WORDS), st.lists(st.sampled_from(LEG_WORDS), max_size=3))
@settings(max_examples=10, deadline=None)
def test_leg_callbacks_in_any_order_and_repeated_end_alike(
    words: list[tuple[str, int]], again: list[tuple[str, int]]
) -> None:
    assert _leg_after((*words, *again)) == _leg_after(tuple(LEG_WORDS))


def test_late_ringing_does_not_unanswer(installation: Installation) -> None:
    a_call(installation)
    service = intake(installation, Hooks())
    take_in(service, leg_form("in-progress", 2, child=True))
    take_in(service, leg_form("ringing", 1, child=True))
    with installation.database.read() as conn:
        assert legs.of_call(conn, CALL)[1].status == "in-progress"


# One transaction


class FailingAnnouncer(EventPublisher):
    """Fails where the last row of a transaction is written."""

    def record_all(self, conn: object, events: Sequence[LiveEvent]) -> list[LiveEvent]:
        raise RuntimeError("the machine stops here")


@pytest.mark.parametrize("form", [recording_form("completed"), leg_form("in-progress", 2, child=True)])
def test_failed_callback_writes_nothing(installation: Installation, form: dict[str, str]) -> None:
    a_call(installation)
    hooks = Hooks()

    def before() -> tuple[object, ...]:
        return count(installation), row(installation), installation.call(CALL), kinds_of_facts(installation)

    untouched = before()
    with pytest.raises(RuntimeError):
        take_in(
            intake(
                installation,
                hooks,
                FailingAnnouncer(installation.database, installation.bus, installation.clock),
            ),
            form,
        )
    assert before() == untouched and hooks == Hooks()
    take_in(intake(installation, hooks), form)
    assert count(installation)[0] == 1, "the carrier's next try is taken as the first"


@pytest.mark.parametrize(("code", "number"), [("16101", 16101), (None, None), ("", None), ("x1", None)])
def test_error_number(code: str | None, number: int | None) -> None:
    assert recordings.error_number(code) == number
