"""The unmodified voice SDK in a real Chromium, through the simulated carrier.

npm downloads the SDK into pytest's cache, never into the tree. Without npm, the package or Chromium the test is skipped
with a reason; in continuous integration (CI=true) it fails instead.
"""

import asyncio
import contextlib
import functools
import json
import os
import shutil
import subprocess
import tarfile
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from callreel.audio import mulaw
from callreel.audio.resample import to_rate
from callreel.domain.call import Track
from callreel.simulator.carrier import SimulatedCarrier
from callreel.simulator.scenario import CallOutcome, Technician
from tests.simulator.browser_client import best_lag, hang_up_by_rest, newest_parent, outcome_of, token_for
from tests.simulator.calling import carrier_for, voice
from tests.simulator.receiver import receiving
from tests.web.chromium import CHROMIUM, need_chromium

SDK = "@twilio/voice-sdk@2.18.5"
PAGE = Path(__file__).with_name("voice_sdk_page.html")
SOUNDS = [f"dtmf{key}" for key in (*range(10), "s", "h")] + ["incoming", "outgoing", "disconnect"]
SHOWN = "+14155550100"  # the callerId of the test's Dial
WAIT_S = 20.0


def unavailable(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def sdk(request: pytest.FixtureRequest) -> str:
    """The text of the SDK's own bundle."""
    assert request.config.cache is not None
    folder = request.config.cache.mkdir("voice-sdk")
    bundle = folder / f"{SDK.rpartition('@')[2]}.min.js"
    if not bundle.exists():
        bundle.write_bytes(fetched_sdk(folder))
    return bundle.read_text(encoding="utf-8")


def fetched_sdk(folder: Path) -> bytes:
    npm = shutil.which("npm") or unavailable("no npm: the voice SDK cannot be fetched")
    try:
        packed = subprocess.run(
            [npm, "pack", "--json", SDK], cwd=folder, capture_output=True, timeout=60, check=True
        )
    except (subprocess.SubprocessError, OSError):
        unavailable(f"npm cannot fetch {SDK}")
    archive = folder / json.loads(packed.stdout)[0]["filename"]
    with tarfile.open(archive) as files:
        member = files.extractfile("package/dist/twilio.min.js")
        assert member is not None
        return member.read()


def speech(seed: int, duration_ms: int) -> Any:
    """Noise in the band of a telephone, so that every codec and resampler on the way keeps it."""
    noise = np.fft.rfft(voice(seed, duration_ms).astype(float))
    hertz = np.fft.rfftfreq(duration_ms * 8, 1 / 8000)
    noise[(hertz < 400) | (hertz > 3000)] = 0
    return np.rint(np.fft.irfft(noise) * 1.2).astype(np.int16)


def scores(said: Any, received: Any) -> list[float]:
    """How well each piece of 200 ms matches: a busy browser stretches and drops some of what it plays."""
    return [best_lag(said[at : at + 1600], received)[1] for at in range(0, len(said) - 1600 + 1, 1600)]


def write_microphone(path: Path, samples: Any) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(to_rate(samples, 8000, 48000).tobytes())


def silent_wav() -> bytes:
    return (
        b"RIFF\x24\x03\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\x03\0\0"
        + bytes(768)
    )


class Files(SimpleHTTPRequestHandler):
    """A folder over HTTP, without log lines."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The folder's address. A real server, because Chromium denies intercepted requests access to loopback (local network access)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.asynccontextmanager
async def browser_page(folder: Path, origin: str, requested: list[str]) -> AsyncIterator[Page]:
    """The test's page, open. `requested` gets the host of every request."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=CHROMIUM,
            headless=True,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--allow-loopback-in-peer-connection",
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}",
            ],
        )
        try:
            page = await context.new_page()
            page.on("request", lambda request: requested.append(urlsplit(request.url).hostname or ""))
            await page.goto(origin)
            yield page
        finally:
            await context.close()


async def until(page: Page, line: str, count: int = 1) -> None:
    """Wait until the page noted that, so many times."""
    condition = "([line, count]) => log.filter(noted => noted === line).length >= count"
    try:
        await page.wait_for_function(condition, arg=[line, count], timeout=WAIT_S * 1000)
    except Exception as error:
        raise AssertionError(f"{line!r} never came; {await page.evaluate('log')}") from error


async def receive_for(page: Page, seconds: float) -> Any:
    """What the page received from now on: float [8000 * seconds]."""
    begin = await page.evaluate("received.length")
    count = round(seconds * 8000)
    await page.wait_for_function(
        "count => received.length >= count", arg=begin + count, timeout=WAIT_S * 1000
    )
    return np.array(await page.evaluate("([from, to]) => received.slice(from, to)", [begin, begin + count]))


async def call_out(page: Page, carrier: SimulatedCarrier) -> tuple[CallOutcome, Any]:
    """Dial, talk, press keys, lose the socket, mute, hang up; what was received at the beginning."""
    await page.evaluate("dial({To: '+14155550123', ticket: '42'})")
    await until(page, "call ringing true")
    await until(page, "call accept")
    received = await receive_for(page, 4)
    await page.evaluate("call.sendDigits('12#')")
    await page.evaluate("token => device.updateToken(token)", token_for(carrier, "agent"))
    await page.evaluate("sockets.at(-1).close()")
    await until(page, "call reconnecting")
    await until(page, "call reconnected")
    await until(page, "device registered", 2)
    await page.evaluate("call.mute(true)")
    await receive_for(page, 1.5)
    await page.evaluate("call.disconnect()")
    await until(page, "call disconnect")
    return await outcome_of(carrier), received


async def be_called(page: Page, carrier: SimulatedCarrier) -> CallOutcome:
    """Answer an incoming call, talk, and be hung up on."""
    ringing = asyncio.create_task(carrier.ring_client("agent", "+14155550199"))
    await until(page, f"device incoming {SHOWN}")
    await page.evaluate("accept()")
    await until(page, "call accept", 2)
    await receive_for(page, 3.5)
    await hang_up_by_rest(carrier, await newest_parent(carrier))
    await until(page, "call disconnect", 2)
    return await ringing


async def decline(page: Page, carrier: SimulatedCarrier) -> CallOutcome:
    ringing = asyncio.create_task(carrier.ring_client("agent", "+14155550198"))
    await until(page, f"device incoming {SHOWN}", 2)
    await page.evaluate("call.reject()")
    return await ringing


@pytest.mark.browser
@pytest.mark.slow
async def test_unmodified_sdk_places_and_receives_calls(sdk: str, tmp_path: Path) -> None:
    need_chromium()
    said, line = speech(41, 1600), speech(42, 1500)
    lines = np.concatenate([line, np.zeros(8000, np.int16)] * 8)  # more than the call has time for
    write_microphone(tmp_path / "microphone.wav", said)
    (tmp_path / "index.html").write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "twilio.min.js").write_text(sdk, encoding="utf-8")
    (tmp_path / "silence.wav").write_bytes(silent_wav())
    requested: list[str] = []

    technician = Technician(voice=lines, ring_s=0.5)
    with serving(tmp_path) as origin:
        async with (
            receiving() as got,
            carrier_for(got, signalling=True, technician=technician, recording_delay_s=0.1) as carrier,
            browser_page(tmp_path, origin, requested) as page,
        ):
            options = {
                "chunderw": carrier.signal_host,
                "publishEvents": False,
                "disableAudioContextSounds": True,
                "sounds": {name: f"{origin}/silence.wav" for name in SOUNDS},
            }
            token = token_for(carrier, "agent")
            await page.evaluate("([options, token]) => void start(options, token)", [options, token])
            await until(page, "device registered")
            outgoing, received = await call_out(page, carrier)
            got.direction = "incoming"
            incoming, declined = await be_called(page, carrier), await decline(page, carrier)
            await page.evaluate("device.unregister()")
            await until(page, "device unregistered")
            log = await page.evaluate("log")
    assert set(requested) == {"localhost"}
    assert not [noted for noted in log if "error" in noted], log
    form = got.forms("/voice")[0]
    assert (form["From"], form["To"], form["ticket"]) == ("client:agent", "+14155550123", "42")
    assert (outgoing.status, outgoing.keys) == ("completed", "12#")
    inbound = mulaw.decode(outgoing.sent[Track.INBOUND])
    assert np.median(scores(said, inbound)) > 0.9
    assert not inbound[-6400:].any()  # muted
    assert np.median(scores(line, received)) > 0.9
    assert incoming.status == "completed" and incoming.recordings[0].status == "completed"
    assert np.median(scores(said, mulaw.decode(incoming.sent[Track.OUTBOUND]))) > 0.9
    assert declined.answered_ms is None
