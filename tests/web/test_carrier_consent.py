"""The carrier's routes for notices and consent: signed, idempotent, and closed when the database fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import pytest
from sqlalchemy import text

from callreel.domain.call import Direction
from callreel.domain.consent import Answer, Mode, Notice, OnDecline, Policy, Rule, Stamp, Wording
from callreel.domain.ids import CallId
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import (
    Dial,
    Gather,
    Hangup,
    Play,
    Redirect,
    Say,
    StartRecording,
    StartStream,
)
from callreel.simulator.calls.webhook_forms import voice_form
from callreel.store.calls import calls, consent_policies, consents
from callreel.store.calls.consent_policies import PolicyRow
from callreel.twilio.connection_overrides import split_overrides
from tests.support.installation import ACCOUNT, NOON, Installation, leg
from tests.web.carrier_side import PUBLIC, CarrierSide, carrier_side, signed

QUESTION = Wording("en-US", "May this call be recorded? Press 1.", yes=("yes",), no=("no",))
NOTICE = Wording("en-US", "This call is recorded.")
OUTGOING = voice_form(leg_sid=leg(1), account_sid=ACCOUNT, from_="client:ada", to="+12125550123")
INCOMING = voice_form(leg_sid=leg(1), account_sid=ACCOUNT, from_="+12125550123", to="+12125550100")
CHILD = {"AccountSid": ACCOUNT, "CallSid": leg(2), "ParentCallSid": leg(1)}
PARENT = {"AccountSid": ACCOUNT, "CallSid": leg(1)}


def save_policy(installation: Installation, mode: Mode, on_decline: OnDecline, sound: str = "") -> None:
    notices = (
        Notice("notice", (Wording("en-US", "This call is recorded.", sound),)),
        Notice("question", (QUESTION,)),
    )
    rule = Rule("all", mode, "question" if mode is Mode.ASK else "notice", on_decline)
    with installation.database.write() as conn:
        consent_policies.add(conn, PolicyRow(1, Policy((rule,), notices), "ada", NOON))


@contextmanager
def calling(
    mode: Mode, form: dict[str, str], on_decline: OnDecline = OnDecline.CONTINUE, sound: str = ""
) -> Iterator[tuple[CarrierSide, str]]:
    """The carrier's side after a voice request, and the TwiML of the response."""
    with carrier_side() as side:
        save_policy(side.installation, mode, on_decline, sound)
        status, document = side.post("/twilio/voice", form)
        assert status == 200
        yield side, document


def verbs(document: str) -> tuple[object, ...]:
    script = read_twiml(document)
    assert script.warnings == ()
    return script.verbs


def path_of(url: str) -> str:
    address, overrides = split_overrides(url)
    assert overrides.retries == 5
    return address.removeprefix(PUBLIC)


def stamp_of(side: CarrierSide) -> Stamp:
    with side.installation.database.read() as conn:
        call = calls.by_leg(conn, leg(1))
        stamp = consents.of_call(conn, call.id) if call else None
    assert stamp is not None
    return stamp


def tokens(side: CarrierSide) -> int:
    with side.installation.database.read() as conn:
        return int(conn.execute(text("SELECT count(*) FROM media_tokens")).scalar_one())


def notice_path(document: str) -> str:
    """The document for the dialled leg that the TwiML of an outgoing call names."""
    (dial,) = (verb for verb in verbs(document) if isinstance(verb, Dial))
    url = dial.targets[0].url
    assert url is not None and dial.answer_on_bridge
    return path_of(url)


def starts(document: str) -> list[type]:
    return [type(verb) for verb in verbs(document) if isinstance(verb, StartStream | StartRecording)]


def test_outgoing_notice_plays_on_the_dialled_leg_while_the_call_is_recorded() -> None:
    with calling(Mode.ANNOUNCE, OUTGOING) as (side, document):
        assert starts(document) == [StartStream, StartRecording]
        _, first = side.post(notice_path(document), CHILD)
        say, redirect = verbs(first)
        assert isinstance(say, Say) and say.text == NOTICE.text
        assert isinstance(redirect, Redirect)
        assert stamp_of(side).played_at is None
        side.installation.clock.step(5)
        assert verbs(side.post(path_of(redirect.url), CHILD)[1]) == ()
        stamp = stamp_of(side)
        assert stamp.played_at == side.installation.clock.now() and stamp.leg_sid == leg(2)
        side.installation.clock.step(5)
        side.post(path_of(redirect.url), CHILD)
        assert stamp_of(side).played_at == stamp.played_at, "a repeated request changes nothing"
        kinds = [
            (event.kind, event.data.get("played_at") is not None)
            for event in side.installation.stored_events()
        ]
        assert ("consent", False) in kinds and ("consent", True) in kinds


def test_incoming_call_is_dialled_and_recorded_after_the_notice() -> None:
    with calling(Mode.ANNOUNCE, INCOMING) as (side, document):
        say, redirect = verbs(document)
        assert isinstance(say, Say) and isinstance(redirect, Redirect)
        assert tokens(side) == 0, "no stream may begin before the notice"
        _, second = side.post(path_of(redirect.url), PARENT)
        assert starts(second) == [StartStream, StartRecording]
        assert isinstance(verbs(second)[-1], Dial)
        stamp = stamp_of(side)
        assert stamp.played_at == stamp.capture_at == NOON and stamp.leg_sid == leg(1)


@pytest.mark.parametrize("form", [OUTGOING, INCOMING], ids=["outgoing", "incoming"])
@pytest.mark.parametrize(
    ("reply", "answer", "by"),
    [
        ({"Digits": "1"}, Answer.GRANTED, "key"),
        ({"SpeechResult": "Yes, please."}, Answer.GRANTED, "word"),
        ({"Digits": "2"}, Answer.DECLINED, "key"),
        ({"SpeechResult": "No."}, Answer.DECLINED, "word"),
    ],
)
def test_only_consent_starts_the_recording(
    form: dict[str, str], reply: dict[str, str], answer: Answer, by: str
) -> None:
    with calling(Mode.ASK, form) as (side, document):
        assert starts(document) == [] and tokens(side) == 0
        outgoing = form is OUTGOING
        question = side.post(notice_path(document), CHILD)[1] if outgoing else document
        say, gather, redirect = verbs(question)
        assert isinstance(say, Say) and isinstance(gather, Gather) and isinstance(redirect, Redirect)
        assert gather.prompts == (), "no key may interrupt the question"
        last = side.post(path_of(gather.action), (CHILD if outgoing else PARENT) | reply)[1]
        assert starts(last) == [] and tokens(side) == 0
        assert [type(verb) for verb in verbs(last)] == ([] if outgoing else [Dial])
        stamp = stamp_of(side)
        assert (stamp.answer, stamp.answered_by, stamp.leg_sid) == (answer, by, leg(2 if outgoing else 1))
        assert side.granted == ([stamp.call_id] if answer is Answer.GRANTED else [])


def test_silence_is_no_consent_after_a_second_question() -> None:
    with calling(Mode.ASK, OUTGOING) as (side, document):
        first = side.post(notice_path(document), CHILD)[1]
        second = side.post(path_of(verbs(first)[-1].url), CHILD)[1]  # type: ignore[attr-defined]
        assert [type(verb) for verb in verbs(second)] == [Say, Gather, Redirect]
        assert stamp_of(side).answer is None
        assert verbs(side.post(path_of(verbs(second)[-1].url), CHILD)[1]) == ()  # type: ignore[attr-defined]
        assert stamp_of(side).answer is Answer.NONE and side.granted == []


@pytest.mark.parametrize("form", [OUTGOING, INCOMING], ids=["outgoing", "incoming"])
def test_declining_may_end_the_call(form: dict[str, str]) -> None:
    with calling(Mode.ASK, form, OnDecline.END) as (side, document):
        question = side.post(notice_path(document), CHILD)[1] if form is OUTGOING else document
        answer_url = verbs(question)[1].action  # type: ignore[attr-defined]
        assert verbs(side.post(path_of(answer_url), CHILD | {"Digits": "2"})[1]) == (Hangup(),)


def test_first_answer_counts() -> None:
    with calling(Mode.ASK, INCOMING) as (side, document):
        path = path_of(verbs(document)[1].action)  # type: ignore[attr-defined]
        for digits in ("2", "1"):
            side.post(path, PARENT | {"Digits": digits})
        assert stamp_of(side).answer is Answer.DECLINED and side.granted == []


def test_call_that_is_not_to_be_recorded_starts_nothing() -> None:
    with calling(Mode.OFF, OUTGOING) as (side, document):
        assert [type(verb) for verb in verbs(document)] == [Dial] and tokens(side) == 0
        assert not stamp_of(side).permits_recording


def test_agent_may_choose_not_to_record_a_call() -> None:
    with calling(Mode.NONE, OUTGOING | {"Record": "no"}) as (side, document):
        assert starts(document) == [] and stamp_of(side).skipped


def test_call_without_a_matching_rule_has_no_stamp() -> None:
    with carrier_side() as side:
        _, document = side.post("/twilio/voice", OUTGOING)
        assert starts(document) == [StartStream, StartRecording]
        with side.installation.database.read() as conn:
            assert consents.of_calls(conn, [CallId("000000000001")]) == {}


def test_repeated_voice_request_does_not_record_before_consent() -> None:
    with calling(Mode.ASK, OUTGOING) as (side, document):
        again = side.post("/twilio/voice", OUTGOING)[1]
        assert starts(again) == [] and notice_path(again) == notice_path(document)


def test_sound_is_played_in_place_of_the_text() -> None:
    sha256 = "ab" * 32
    with calling(Mode.ANNOUNCE, INCOMING, sound=sha256) as (_, document):
        play = verbs(document)[0]
        assert isinstance(play, Play)
        assert play.url == f"{PUBLIC}/notices/{sha256}.wav"


@pytest.mark.parametrize("page", ["notice", "played", "answer"])
def test_routes_check_the_signature_with_its_query(page: str) -> None:
    with calling(Mode.ASK, OUTGOING) as (side, _):
        path = f"/twilio/consent/{page}?call=000000000001&direction=outgoing&decline=continue&attempt=1"
        other = signed(path.replace("continue", "end"), CHILD)
        for headers in ({}, other):
            assert side.post(path, CHILD | {"Digits": "1"}, headers)[0] == 403
        assert stamp_of(side).answer is None
        assert side.post(f"/twilio/consent/{page}?call=1&direction=up", CHILD)[0] == 422


@pytest.mark.parametrize("on_decline", list(OnDecline))
@pytest.mark.parametrize("page", ["notice", "answer"])
@pytest.mark.parametrize("direction", list(Direction))
def test_nothing_is_recorded_if_the_answer_cannot_be_stored(
    on_decline: OnDecline, page: str, direction: Direction
) -> None:
    with calling(Mode.ASK, OUTGOING, on_decline) as (side, _):
        path = (
            f"/twilio/consent/{page}?call=000000000001&direction={direction}&decline={on_decline}&attempt=1"
        )
        side.installation.database.close()
        (side.installation.folder / "callreel.db").unlink()
        status, document = side.post(path, CHILD | {"Digits": "1"})
        assert status == 200 and starts(document) == [] and side.granted == []
        found = [type(verb) for verb in verbs(document)]
        expected = (
            [Hangup] if on_decline is OnDecline.END else [Dial] if direction is Direction.INCOMING else []
        )
        assert found == expected


def test_twiml_escapes_the_text() -> None:
    with carrier_side() as side:
        notices = (Notice("notice", (Wording("en-US", "<Hangup/> & recorded"),)),)
        with side.installation.database.write() as conn:
            policy = Policy((Rule("all", Mode.ANNOUNCE, "notice"),), notices)
            consent_policies.add(conn, PolicyRow(1, policy, "ada", NOON))
        _, document = side.post("/twilio/voice", INCOMING)
        assert "&lt;Hangup/&gt;" in document and "<Hangup/>" in unescape(document)
        assert not re.search(r"<Hangup", document)
