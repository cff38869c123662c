"""An installation whose simulated carrier accepts browsers, and a browser with a microphone.

The microphone is a file that Chromium plays in a loop: the agent's voice that is included in Callreel.
"""

import asyncio
import wave
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, Page, expect, sync_playwright

from callreel.audio.resample import to_rate
from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.call import Role
from callreel.simulator.scenario import Technician
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import House
from tests.web.chromium import CHROMIUM, QUIET, need_chromium

T = TypeVar("T")

CALLING_MS = 30_000
"""Timeout for what takes seconds on an idle machine."""
CHECKED_MS = 90_000
RAW_MICROPHONE = "if (location.protocol === 'http:') localStorage.setItem('callreel.raw-microphone', 'yes')"
TECHNICIAN = Technician(ring_s=1.0)


class PhoneHouse(House):
    """An installation in real time. `settings` are added to its own; with `sign_in` it requires sign-in."""

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, *, sign_in: bool = False
    ) -> None:
        super().__init__(folder, settings, speed=1.0)
        if sign_in:
            self.arguments = (*self.arguments, "--sign-in")
        self._config = replace(self._config, signalling=True, technician=TECHNICIAN)

    def launch_server(self) -> None:
        self._settings = {
            "TWILIO_API_KEY_SID": self._config.account.api_key_sid,
            "TWILIO_API_KEY_SECRET": self._config.account.api_key_secret,
            "TWILIO_TWIML_APP_SID": self._config.application_sid,
            "CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS": self.carrier.signal_host,
            **self._settings,
        }
        super().launch_server()

    def start_in_carrier(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` in the carrier's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def set_technician(self, technician: Technician) -> None:
        """From the next call on, `technician` answers."""
        self._loop.call_soon_threadsafe(self.carrier.set_technician, technician)


@contextmanager
def browser_with_microphone(folder: Path) -> Iterator[Browser]:
    """A browser that may use the microphone and play audio; its microphone's file is saved in `folder`."""
    need_chromium()
    microphone = folder / "agent.wav"
    with wave.open(str(microphone), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(to_rate(load_voice(shipped_voice(Role.AGENT)), TELEPHONE_HZ, 48_000).tobytes())
    flags = [
        *QUIET,
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


def wait_for_phone(desk: Page) -> None:
    """Wait until the softphone is ready."""
    expect(desk.locator("[data-ready]")).to_have_text(
        "Ready for outgoing and incoming calls", timeout=CALLING_MS
    )


def talk(desk: Page) -> None:
    """Dial a number and wait until the technician answers."""
    desk.get_by_label("Phone number").press_sequentially("(202) 555-0177")
    expect(desk.get_by_label("Phone number")).to_have_value("+1 202-555-0177")
    desk.get_by_role("button", name="Call technician").click()
    expect(desk.locator("[data-status]")).to_have_text("Talking to +1 202-555-0177", timeout=CALLING_MS)


def call_id_of(desk: Page) -> str:
    """The id of the current call, once its words are shown."""
    link = desk.locator("[data-live-words]").get_by_role("link", name="Open call page")
    expect(link).to_be_visible(timeout=CALLING_MS)
    return (link.get_attribute("href") or "").rpartition("/")[2]
