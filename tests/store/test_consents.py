from dataclasses import replace
from datetime import timedelta

from callreel.domain.consent import Answer, Mode, Notice, Policy, Rule, Stamp, Wording
from callreel.domain.consent_notices import FIRST_POLICY
from callreel.domain.ids import CallId
from callreel.store.calls import calls, consent_policies, consents
from callreel.store.calls.consent_policies import PolicyRow, SoundRow
from callreel.store.db.database import Database
from tests.support.rows import CALL, CHILD, a_call, after

STAMP = Stamp(call_id=CALL.id, mode=Mode.ASK, policy_version=1, rule="all")
LATER = timedelta(seconds=30)


def test_first_answer_and_first_end_of_the_notice_stay(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert consents.insert(conn, STAMP) and not consents.insert(conn, replace(STAMP, rule="other"))
        assert consents.set_answer(conn, CALL.id, Answer.DECLINED, CHILD, after(9), "key")
        assert not consents.set_answer(conn, CALL.id, Answer.GRANTED, CHILD, after(10), "word")
        assert not consents.set_played(conn, CALL.id, CHILD, after(11))
        stamp = consents.of_call(conn, CALL.id)
    assert stamp == replace(
        STAMP,
        answer=Answer.DECLINED,
        answered_at=after(9),
        answered_by="key",
        played_at=after(9),
        leg_sid=CHILD,
    )


def test_recording_with_consent_is_claimed_once_until_it_is_requested(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        consents.insert(conn, STAMP)
        assert not consents.claim_capture(conn, CALL.id, after(1), after(1) + LATER), "no answer yet"
        consents.set_answer(conn, CALL.id, Answer.GRANTED, CHILD, after(1), "key")
        assert consents.waiting_for_capture(conn, after(1)) == [CALL.id]
        assert consents.claim_capture(conn, CALL.id, after(1), after(1) + LATER)
        assert not consents.claim_capture(conn, CALL.id, after(2), after(2) + LATER)
        assert consents.claim_capture(conn, CALL.id, after(40), after(40) + LATER), "the claim has expired"
        consents.set_captured(conn, CALL.id, after(41))
        assert consents.waiting_for_capture(conn, after(200)) == []
        stamp = consents.of_calls(conn, [CALL.id, CallId("f" * 12)])[CALL.id]
    assert stamp.capture_at == after(41)


def test_call_that_ended_waits_for_no_recording(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        consents.insert(conn, replace(STAMP, answer=Answer.GRANTED))
        calls.end(conn, CALL.id, after(5), CALL.owner)
        assert consents.waiting_for_capture(conn, after(6)) == []
        assert not consents.claim_capture(conn, CALL.id, after(6), after(6) + LATER)


def test_versions_of_the_policy_are_kept(database: Database) -> None:
    notice = Notice("Notice", (Wording("en-US", "Recorded.", yes=("yes",)),))
    policy = Policy(
        (Rule("all", Mode.ANNOUNCE, "Notice", prefixes=("+49",)),), (notice,), agents_may_skip=False
    )
    with database.write() as conn:
        assert consent_policies.current(conn) == PolicyRow(0, FIRST_POLICY, "", None)
        for number, kept in ((1, Policy()), (2, policy)):
            assert consent_policies.add(conn, PolicyRow(number, kept, "ada", after(number)))
        assert not consent_policies.add(conn, PolicyRow(2, Policy(), "zoe", after(3)))
        assert consent_policies.current(conn) == PolicyRow(2, policy, "ada", after(2))
        assert consent_policies.version(conn, 1) == Policy()
        assert consent_policies.version(conn, 7) is None


def test_sound_is_stored_once_by_its_digest(database: Database) -> None:
    row = SoundRow("ab" * 32, "audio/wav", b"\x00RIFF", 100, "ada", after(1))
    with database.write() as conn:
        consent_policies.add_sound(conn, row)
        consent_policies.add_sound(conn, replace(row, by="zoe"))
        assert consent_policies.sound(conn, row.sha256) == row
        assert consent_policies.sound(conn, "cd" * 32) is None
        assert consent_policies.has_sounds(conn, {row.sha256})
        assert not consent_policies.has_sounds(conn, {row.sha256, "cd" * 32})
