"""Webhooks: how often, how patiently, and signed over what."""

import socket

import httpx2
import pytest

from callreel.simulator.webhook_delivery import Delivery, WebhookSender
from tests.simulator.calling import carrier_for, place, run
from tests.simulator.receiver import Receiver, receiving


def deliver(fragment: str, *answers: int, path: str = "/hook") -> tuple[Delivery, Receiver]:
    async def work() -> tuple[Delivery, Receiver]:
        async with receiving(answers={"/hook": list(answers)}) as got, carrier_for(got) as carrier:
            async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
                courier = WebhookSender(client, carrier.account, carrier.sids)
                return await courier.deliver(
                    f"{got.url}{path}{fragment}", {"Empty": "", "Name": "a b&c"}
                ), got

    return run(work)


def test_a_webhook_is_signed_over_the_url_without_its_fragment() -> None:
    delivery, got = deliver("#rc=5&rp=all")
    assert delivery.accepted
    assert got.webhooks[0].valid
    assert got.webhooks[0].form == {"Empty": "", "Name": "a b&c"}
    assert "#" not in delivery.url


def test_the_default_is_no_second_try_after_an_answer() -> None:
    delivery, got = deliver("", 500, 500)
    assert delivery.attempts == (500,)
    assert not delivery.accepted


@pytest.mark.parametrize(
    ("fragment", "answers", "attempts"),
    [
        ("#rc=5&rp=all", (500, 404), (500, 404, 204)),
        ("#rc=1&rp=all", (500, 500, 500), (500, 500)),
        ("#rc=0&rp=all", (500,), (500,)),
        ("#rc=5&rp=5xx", (500, 403), (500, 403)),
        ("#rc=5&rp=4xx", (429,), (429, 204)),
    ],
)
def test_the_url_says_what_is_tried_again(
    fragment: str, answers: tuple[int, ...], attempts: tuple[int, ...]
) -> None:
    delivery, got = deliver(fragment, *answers)
    assert delivery.attempts == attempts
    tokens = [hook.headers.get("i-twilio-idempotency-token") for hook in got.webhooks]
    assert tokens[0] is None
    assert len(set(tokens[1:])) == (1 if len(attempts) > 1 else 0)


def test_one_more_try_when_no_connection_was_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def work() -> Delivery:
        async with receiving() as got, carrier_for(got) as carrier:
            async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
                return await WebhookSender(client, carrier.account, carrier.sids).deliver(
                    f"http://127.0.0.1:{port}/", {}
                )

    assert run(work).attempts == (0, 0)


def test_patience_ends_with_the_time_that_the_url_gives() -> None:
    async def work() -> Delivery:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/#rt=100&tt=150&rc=5&rp=rt"
            async with receiving() as got, carrier_for(got) as carrier:
                async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
                    return await WebhookSender(client, carrier.account, carrier.sids).deliver(url, {})

    assert run(work).attempts == (0, 0)


def test_a_call_survives_callbacks_that_are_refused() -> None:
    outcome, got = place(receiver={"answers": {"/recording": [500, 503], "/leg": [404]}})
    assert outcome.status == "completed"
    assert [form["RecordingStatus"] for form in got.forms("/recording")] == ["in-progress"] * 3 + [
        "completed"
    ]
    assert outcome.warnings == ()


def test_a_callback_that_is_given_up_is_told() -> None:
    outcome, got = place(receiver={"answers": {"/recording": [500]}, "callback_policy": None})
    assert [form["RecordingStatus"] for form in got.forms("/recording")] == ["in-progress", "completed"]
    assert [warning.split()[0] for warning in outcome.warnings] == ["11200"]
