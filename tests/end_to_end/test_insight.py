"""Topic, moments and analysis of a call through the whole server: spoken, transcribed by the default engine, found, corrected."""

import json
from pathlib import Path

from callreel.domain.call import Role
from callreel.simulator.scenario import CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import CALLER_ID, TECHNICIAN, House
from tests.end_to_end.office import FINAL_BY_DEFAULT_ENGINE
from tests.support.language_model import ABOUT_VALVE, MODEL, PATH, asked, completion
from tests.support.rest_server import Answer, rest_server

FOUND_S = 60


def test_call_has_a_topic_and_moments_that_follow_a_correction(tmp_path: Path) -> None:
    agent, technician = (load_voice(shipped_voice(role)) for role in Role)
    script = CallScript(
        agent_voice=agent, technician_voice=technician, number=TECHNICIAN, our_number=CALLER_ID
    )
    with House(tmp_path, FINAL_BY_DEFAULT_ENGINE) as house:
        call_id = house.closed_call(house.place(script).call_sid)["call_id"]
        house.until(lambda: house.call_of(call_id)["topic"] is not None, FOUND_S)
        call = house.call_of(call_id)
        assert "door" in call["topic"]
        [promise] = [one for one in call["moments"] if one["kind"] == "promise"]
        assert promise["role"] == "technician" and "I will be there" in promise["text"]
        assert 32_400 <= promise["start_ms"] <= 36_400
        [listed] = house.client.get("/api/v1/calls", params={"q": "door"}).json()["calls"]
        assert listed["topic"] == call["topic"]

        changes = [
            {"turn": number, "text": turn["text"].replace("door", "gate").replace("I will", "I may")}
            for number, turn in enumerate(call["turns"])
        ]
        answer = house.client.post(f"/api/v1/calls/{call_id}/revisions", json={"base": 0, "changes": changes})
        assert answer.status_code == 201, answer.text
        house.until(lambda: "gate" in (house.call_of(call_id)["topic"] or ""), FOUND_S)
        corrected = house.call_of(call_id)
        assert "door" not in corrected["topic"]
        assert not [one for one in corrected["moments"] if one["kind"] == "promise"]


def test_call_is_analysed_after_its_redaction_in_spite_of_a_failure(tmp_path: Path) -> None:
    agent, technician = (load_voice(shipped_voice(role)) for role in Role)
    script = CallScript(
        agent_voice=agent, technician_voice=technician, number=TECHNICIAN, our_number=CALLER_ID
    )
    with rest_server() as server:
        server.put(PATH, Answer(429, headers={"Retry-After": "1"}), completion(ABOUT_VALVE))
        model = {
            "CALLREEL_LANGUAGE_MODEL_URL": f"{server.url}/v1",
            "CALLREEL_LANGUAGE_MODEL": MODEL,
            "CALLREEL_REDACTION": "keep_both",
        }
        with House(tmp_path, {**FINAL_BY_DEFAULT_ENGINE, **model}) as house:
            call_id = house.closed_call(house.place(script).call_sid)["call_id"]
            house.until(lambda: house.call_of(call_id)["analysis"] is not None, FOUND_S)
            call = house.call_of(call_id)
        requests = asked(server)
    assert call["redaction"]["state"] == "done"
    assert [item["kind"] for item in call["analysis"]["items"]] == ["summary", "reason", "action"]
    assert call["analysis"]["items"][0]["turns"][0]["start_ms"] == call["turns"][1]["start_ms"]
    assert len(requests) == 2 and requests[0] == requests[1]
    said = json.loads(requests[0]["messages"][1]["content"])["transcript"]
    assert [turn["text"] for turn in said] == [turn["text"] for turn in call["turns"]]
