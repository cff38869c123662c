"""Calls whose notice the carrier cannot fetch: they continue; without consent nothing is captured, and the pages say so."""

from pathlib import Path

from callreel.simulator.faults import Fault
from tests.end_to_end.house import TECHNICIAN, House
from tests.end_to_end.live_files import script

ANNOUNCED = "+12125550123"
VOICE_S = 5
POLICY = {
    "version": 0,
    "rules": [
        {"name": "announced", "mode": "announce", "notice": "Notice", "prefixes": [ANNOUNCED]},
        {"name": "asked", "mode": "ask", "notice": "Notice"},
    ],
    "notices": [
        {
            "name": "Notice",
            "wordings": [{"language": "en-US", "text": "Recorded. Press 1.", "yes": ["yes"], "no": ["no"]}],
        }
    ],
}


def test_call_continues_and_is_recorded_only_where_no_consent_is_needed(tmp_path: Path) -> None:
    with House(tmp_path, speed=2.5) as house:
        house.client.put("/api/v1/consent", json=POLICY).raise_for_status()
        outcomes = house.place_all(
            {
                name: script(VOICE_S, Fault("notice-lost"), number=number, responses=("1",))
                for name, number in (("asked", TECHNICIAN), ("announced", ANNOUNCED))
            }
        )
        calls = {name: house.closed_call(outcome.call_sid) for name, outcome in outcomes.items()}
        pages = {name: house.client.get(f"/calls/{call['call_id']}").text for name, call in calls.items()}
    for outcome in outcomes.values():
        assert outcome.status == "completed" and outcome.duration_ms >= VOICE_S * 1000
        assert [warning for warning in outcome.warnings if "could not be fetched" in warning]
    asked, announced = outcomes["asked"], outcomes["announced"]
    assert (len(asked.recordings), len(asked.streams)) == (0, 0)
    assert len(announced.recordings) == len(announced.streams) == 1
    consent = calls["asked"]["consent"]
    assert (consent["played_at"], consent["answer"], consent["may_record"]) == (None, None, False)
    assert calls["announced"]["consent"]["played_at"] is None
    reasons = {name: [reason["code"] for reason in call["reasons"]] for name, call in calls.items()}
    assert {name: call["verdict"] for name, call in calls.items()} == dict.fromkeys(calls, "explained")
    assert reasons == {"asked": ["consent_missing"], "announced": ["notice_missing"]}
    assert calls["asked"]["layers"] == [] and calls["announced"]["layers"] != []
    assert "no consent of the other party was stored" in pages["asked"].lower()
    assert "the notice about the recording was not played to its end" in pages["announced"].lower()
