"""`<Gather>`, `<Say>` and `<Play>` on the caller's and on the dialled leg, and what REST refuses before the bridge."""

from typing import Any

import numpy as np
import pytest

from callreel.audio import wav
from callreel.domain.call import Direction, Track
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import Gather, Pause, Play, Say
from tests.simulator.calling import carrier_for, client_of, place, script
from tests.simulator.receiver import Receiver, receiving
from tests.support.rest_server import Answer, rest_server

ASK = "<Gather input='dtmf speech' numDigits='1' timeout='3' action='/answer'><Say>Agree?</Say></Gather>"
NUMBER = "<Dial answerOnBridge='true'><Number url='/again'>+14155550123</Number></Dial>"


def test_gather_is_read_with_its_nested_verbs() -> None:
    (gather,) = read_twiml(
        "<Response><Gather action='/a' method='get' actionOnEmptyResult='true'>"
        "<Say>Hello.</Say><Pause/><Play>/b.wav</Play></Gather></Response>"
    ).verbs
    assert gather == Gather(
        "/a", "GET", ("dtmf",), 5, 0, (Say("Hello."), Pause(1), Play("/b.wav")), action_on_empty=True
    )


def documents(got: Receiver, **by_path: str) -> str:
    """The document of the last request's path."""
    path = got.webhooks[-1].path.strip("/")
    return f"<Response>{by_path.get(path, '')}</Response>"


@pytest.mark.parametrize(
    ("responses", "fields"),
    [
        (("1",), {"Digits": "1"}),
        (("12#",), {"Digits": "1"}),
        (("yes please",), {"SpeechResult": "yes please"}),
    ],
)
async def test_dialled_party_answers_before_the_bridge(
    responses: tuple[str, ...], fields: dict[str, str]
) -> None:
    twiml = {"voice": NUMBER, "again": ASK, "answer": "<Say>Thanks.</Say>"}
    outcome, got = await place(
        responses=responses, receiver={"twiml": lambda got: documents(got, **twiml), "pages": ("answer",)}
    )
    (form,) = got.forms("/answer")
    assert fields.items() <= form.items()
    assert (form["CallSid"], form["ParentCallSid"]) == (outcome.child_sid, outcome.call_sid)
    assert [(prompt.leg_sid, prompt.what) for prompt in outcome.prompts] == [
        (outcome.child_sid, "Agree?"),
        (outcome.child_sid, "Thanks."),
    ]
    assert outcome.answered_ms is not None and outcome.answered_ms >= outcome.prompts[-1].to_ms


async def test_silence_continues_after_the_gather() -> None:
    twiml = {"voice": NUMBER, "again": f"{ASK}<Redirect>/answer</Redirect>", "answer": "<Hangup/>"}
    outcome, got = await place(receiver={"twiml": lambda got: documents(got, **twiml), "pages": ("answer",)})
    assert "Digits" not in got.forms("/answer")[0]
    assert outcome.answered_ms is None


async def test_caller_answers_before_the_dial() -> None:
    twiml = {"voice": ASK, "answer": "<Dial><Client>agent</Client></Dial>"}
    outcome, got = await place(
        direction=Direction.INCOMING,
        responses=("2",),
        receiver={"twiml": lambda got: documents(got, **twiml), "pages": ("answer",)},
    )
    assert got.forms("/answer")[0]["Digits"] == "2"
    assert [prompt.leg_sid for prompt in outcome.prompts] == [outcome.call_sid]
    assert outcome.answered_ms is not None


@pytest.mark.parametrize("exists", [True, False])
async def test_sound_is_downloaded_and_played_on_the_callers_leg(exists: bool) -> None:
    tone = np.full(8_000, 1_000, np.int16)
    with rest_server() as server:
        if exists:
            server.put("/notice.wav", Answer(body=wav.header(tone.nbytes, 8_000, 1) + tone.tobytes()))
        twiml = f"<Response><Start><Recording/></Start><Play>{server.url}/notice.wav</Play></Response>"
        outcome, _ = await place(direction=Direction.INCOMING, receiver={"twiml": lambda got: twiml})
    if not exists:
        assert outcome.prompts == () and any("11200" in warning for warning in outcome.warnings)
        return
    (prompt,) = outcome.prompts
    assert prompt.to_ms - prompt.from_ms == 1_000
    assert outcome.cloud is not None
    sent = outcome.cloud[:, 1]
    assert np.abs(sent.astype(int)).max() > 900, "the caller receives it, so channel 2 has it"


@pytest.mark.parametrize("path", ["Recordings", "Streams"])
async def test_rest_refuses_to_capture_before_the_bridge(path: str) -> None:
    answers: list[Any] = []

    async with receiving(twiml=lambda got: f"<Response>{NUMBER}</Response>") as got:
        async with carrier_for(got) as carrier, client_of(carrier) as client:

            async def request(call_sid: str) -> None:
                url = f"Calls/{call_sid}/{path}.json"
                answer = await client.post(url, data={"Url": f"wss://127.0.0.1:{got.port}/media"})
                answers.append((answer.status_code, answer.json().get("code")))

            got.before_answer = request
            outcome = await carrier.place(script())
    assert answers == [(400, 21220)]
    assert outcome.recordings == () and outcome.streams == () and Track.INBOUND not in outcome.sent
