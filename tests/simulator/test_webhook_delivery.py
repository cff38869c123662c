"""Webhook delivery: retries, timeouts and signatures."""

import socket

import httpx2
import pytest

from callreel.simulator.webhook_delivery import Delivery, WebhookSender
from tests.simulator.calling import carrier_for, place
from tests.simulator.receiver import Receiver, receiving


async def deliver(fragment: str, *answers: int, path: str = "/hook") -> tuple[Delivery, Receiver]:
    async with (
        receiving(answers={"/hook": list(answers)}) as got,
        carrier_for(got) as carrier,
        httpx2.AsyncClient(trust_env=False, verify=False) as client,
    ):
        sender = WebhookSender(client, carrier.account, carrier.sids)
        return await sender.deliver(f"{got.url}{path}{fragment}", {"Empty": "", "Name": "a b&c"}), got


async def test_signature_excludes_the_fragment_of_the_url() -> None:
    delivery, got = await deliver("#rc=5&rp=all")
    assert delivery.accepted
    assert got.webhooks[0].valid
    assert got.webhooks[0].form == {"Empty": "", "Name": "a b&c"}
    assert "#" not in delivery.url


async def test_default_policy_does_not_retry_after_a_response() -> None:
    delivery, got = await deliver("", 500, 500)
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
async def test_retry_policy_of_the_url(
    fragment: str, answers: tuple[int, ...], attempts: tuple[int, ...]
) -> None:
    delivery, got = await deliver(fragment, *answers)
    assert delivery.attempts == attempts
    tokens = [hook.headers.get("i-twilio-idempotency-token") for hook in got.webhooks]
    assert tokens[0] is None
    assert len(set(tokens[1:])) == (1 if len(attempts) > 1 else 0)


async def test_default_policy_retries_a_failed_connection_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async with receiving() as got, carrier_for(got) as carrier:
        async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
            result = await WebhookSender(client, carrier.account, carrier.sids).deliver(
                f"http://127.0.0.1:{port}/", {}
            )
    assert result.attempts == (0, 0)


async def test_total_timeout_of_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/#rt=100&tt=150&rc=5&rp=rt"
        async with receiving() as got, carrier_for(got) as carrier:
            async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
                result = await WebhookSender(client, carrier.account, carrier.sids).deliver(url, {})
    assert result.attempts == (0, 0)


async def test_call_survives_refused_callbacks() -> None:
    outcome, got = await place(receiver={"answers": {"/recording": [500, 503], "/leg": [404]}})
    assert outcome.status == "completed"
    assert [form["RecordingStatus"] for form in got.forms("/recording")] == ["in-progress"] * 3 + [
        "completed"
    ]
    assert outcome.warnings == ()


async def test_failed_callback_is_a_warning() -> None:
    outcome, got = await place(receiver={"answers": {"/recording": [500]}, "callback_policy": None})
    assert [form["RecordingStatus"] for form in got.forms("/recording")] == ["in-progress", "completed"]
    assert [warning.split()[0] for warning in outcome.warnings] == ["11200"]
