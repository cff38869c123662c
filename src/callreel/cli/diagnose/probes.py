"""The checks of `callreel doctor` over the network: the server, its public address, the tunnel, the carrier's endpoints.

Requests are signed as the carrier signs them. None of them changes anything: the voice request names no number and is
refused, the callback names no recording, the media stream has no token.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from callreel.ops.diagnosis import Finding, Mark
from callreel.settings import MEDIA_PATH, Settings
from callreel.twilio.signature import sign

TUNNEL_API = "http://127.0.0.1:4040/api/tunnels"
_TIMEOUT_S = 10.0
_SIGNATURE = "X-Twilio-Signature"
_LEG = "CA" + "0" * 32
_BAD_SIGNATURE = "TWILIO_AUTH_TOKEN or CALLREEL_PUBLIC_URL differs between this shell and the server: start both with the same settings"

Probe = Callable[[Settings, httpx2.AsyncClient], Coroutine[Any, Any, Finding]]


def local_url(settings: Settings) -> str:
    """Where the server listens, as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


async def probe(settings: Settings, *, tunnel_api: str = TUNNEL_API) -> list[Finding]:
    """Run all checks; without a running server only that of the tunnel."""
    async with httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        found = [await server(settings, client)]
        tunnel_found = await tunnel(settings, client, tunnel_api)
        found += [tunnel_found] if tunnel_found else []
        if found[0].mark is Mark.BAD:
            return found
        found.append(await public_address(settings, client))
        if settings.auth_token is None:
            return [
                *found,
                Finding(Mark.BAD, "signed requests", "not checked: TWILIO_AUTH_TOKEN is not set", "set it"),
            ]
        endpoints: tuple[Probe, ...] = (voice, callback, unsigned_callback)
        found += [await check(settings, client) for check in endpoints]
        return [*found, await media_socket(settings)]


def provider(settings: Settings) -> list[Finding]:
    """Whether people can sign in at the provider, as far as its public documents show; nothing without one."""
    from callreel.app.web import provider_options
    from callreel.runtime.clock import Clock
    from callreel.web.auth.provider import Provider, ProviderError

    options = provider_options(settings)
    if options is None:
        return []
    what = f"sign-in provider {options.issuer}"
    try:
        signatures = Provider(options, Clock()).check()
    except ProviderError as error:
        return [Finding(Mark.BAD, what, str(error), "docs/security.md, section Single sign-on")]
    return [Finding(Mark.OK, what, f"has its configuration and keys ({signatures})")]


async def server(settings: Settings, client: httpx2.AsyncClient) -> Finding:
    """Whether `/health` responds at the configured address."""
    url = local_url(settings)
    try:
        answer = await client.get(f"{url}/health")
    except httpx2.TransportError:
        return Finding(Mark.BAD, "server", f"no response from {url}", "start it: callreel serve")
    if answer.status_code != 200:
        advice = "if another program uses this port, set CALLREEL_PORT; otherwise see the server's log"
        return Finding(Mark.BAD, "server", f"{url}/health returned {answer.status_code}", advice)
    return Finding(Mark.OK, "server", f"running at {url}")


async def public_address(settings: Settings, client: httpx2.AsyncClient) -> Finding:
    """Whether the public address reaches this server, as seen from this machine."""
    url = settings.public_url
    if urlsplit(url).scheme == "http":
        advice = "for a real account start a tunnel and set CALLREEL_PUBLIC_URL to its https address"
        return Finding(Mark.WARN, "public address", f"{url} is reachable from this machine only", advice)
    try:
        answer = await client.get(f"{url}/health")
    except httpx2.HTTPError as error:
        advice = "check that the tunnel or proxy runs and that the name resolves to it"
        return Finding(
            Mark.BAD, "public address", f"{url} cannot be reached ({type(error).__name__})", advice
        )
    if answer.status_code != 200 or "ok" not in answer.text:
        advice = f"forward it to {local_url(settings)}, including all paths and WebSockets"
        return Finding(
            Mark.BAD,
            "public address",
            f"{url}/health returned {answer.status_code}, not this server's response",
            advice,
        )
    return Finding(Mark.OK, "public address", f"{url} reaches this server")


async def tunnel(settings: Settings, client: httpx2.AsyncClient, api: str) -> Finding | None:
    """Compares the tunnels that ngrok reports with the public address; None if ngrok does not run."""
    try:
        answer = await client.get(api)
        tunnels = answer.json()["tunnels"]
        urls = [str(one["public_url"]) for one in tunnels if one.get("proto") == "https"]
    except (httpx2.HTTPError, json.JSONDecodeError, KeyError, TypeError):
        return None
    if not urls:
        return Finding(Mark.WARN, "ngrok", "runs without an https tunnel", f"ngrok http {settings.port}")
    if settings.public_url not in urls:
        return Finding(
            Mark.BAD,
            "ngrok",
            f"its tunnel is {urls[0]}",
            f"set CALLREEL_PUBLIC_URL={urls[0]} and restart the server",
        )
    return Finding(Mark.OK, "ngrok", f"{settings.public_url} is its tunnel")


async def voice(settings: Settings, client: httpx2.AsyncClient) -> Finding:
    """A signed voice request without a number: the response must be TwiML that refuses the call."""
    form = {
        "AccountSid": settings.account_sid or "AC" + "0" * 32,
        "ApiVersion": "2010-04-01",
        "CallSid": _LEG,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": "client:doctor",
        "To": "",
    }
    what = "signed voice request"
    answer = await _post(settings, client, "/twilio/voice", form, signed=True)
    if answer is None or answer.status_code == 403:
        return Finding(Mark.BAD, what, "refused: the signature is wrong", _BAD_SIGNATURE)
    if answer.status_code != 200 or "<Response>" not in answer.text:
        return Finding(Mark.BAD, what, f"returned {answer.status_code} without TwiML", "see the server's log")
    return Finding(Mark.OK, what, "returned TwiML (callreel doctor twiml --to NUMBER prints that of a call)")


async def callback(settings: Settings, client: httpx2.AsyncClient) -> Finding:
    """A signed recording callback without a recording: the signature must be accepted, the body refused with 400."""
    what = "signed callback"
    answer = await _post(settings, client, "/twilio/recording-status", {"CallSid": _LEG}, signed=True)
    if answer is None or answer.status_code == 403:
        return Finding(Mark.BAD, what, "refused: the signature is wrong", _BAD_SIGNATURE)
    if answer.status_code != 400:
        return Finding(Mark.BAD, what, f"returned {answer.status_code}, expected 400", "see the server's log")
    return Finding(Mark.OK, what, "the signature was accepted")


async def unsigned_callback(settings: Settings, client: httpx2.AsyncClient) -> Finding:
    """The same request without a signature must be refused with 403."""
    what = "unsigned callback"
    answer = await _post(settings, client, "/twilio/recording-status", {"CallSid": _LEG}, signed=False)
    if answer is not None and answer.status_code == 403:
        return Finding(Mark.OK, what, "refused with 403")
    status = "nothing" if answer is None else str(answer.status_code)
    return Finding(
        Mark.BAD, what, f"returned {status}, expected 403", "check the proxy: something adds signatures"
    )


async def media_socket(settings: Settings) -> Finding:
    """The handshake must be accepted, and a `start` message without a token closed with 1008."""
    what = "media socket"
    url = local_url(settings).replace("http", "ws", 1) + MEDIA_PATH
    headers = {_SIGNATURE: sign(settings.stream_url, None, _token(settings))}
    try:
        async with connect(url, additional_headers=headers, open_timeout=_TIMEOUT_S, proxy=None) as socket:
            await socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
            await socket.send(json.dumps(_start(settings)))
            await socket.recv()
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        if code == 1008:
            return Finding(Mark.OK, what, "the handshake was accepted, a stream without a token was refused")
        return Finding(Mark.BAD, what, f"closed with {code}, expected 1008", "see the server's log")
    except InvalidStatus as refused:
        return Finding(
            Mark.BAD, what, f"the handshake returned {refused.response.status_code}", _BAD_SIGNATURE
        )
    except (WebSocketException, OSError, TimeoutError) as error:
        return Finding(
            Mark.BAD, what, f"the handshake failed ({type(error).__name__})", "see the server's log"
        )
    return Finding(Mark.BAD, what, "a stream without a token was accepted", "stop the server and report this")


def _start(settings: Settings) -> dict[str, object]:
    sid = "MZ" + "0" * 32
    start = {
        "accountSid": settings.account_sid or "AC" + "0" * 32,
        "streamSid": sid,
        "callSid": _LEG,
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    }
    return {"event": "start", "sequenceNumber": "1", "streamSid": sid, "start": start}


async def _post(
    settings: Settings, client: httpx2.AsyncClient, path: str, form: Mapping[str, str], *, signed: bool
) -> httpx2.Response | None:
    """Sends to the local address, with the signature of the public one."""
    headers = {_SIGNATURE: sign(settings.url(path), form, _token(settings))} if signed else {}
    try:
        return await client.post(local_url(settings) + path, data=dict(form), headers=headers)
    except httpx2.TransportError:
        return None


def _token(settings: Settings) -> str:
    assert settings.auth_token is not None
    return settings.auth_token.get_secret_value()
