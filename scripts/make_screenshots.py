"""Makes the pictures in docs/images from real demo calls: the list, a live call and a finished one, light and dark.

A server and the stand-in carrier are started as `callreel demo` starts them, and Debian's Chromium looks at the pages.
It takes about a minute and a half. Run from the root of the repository: .venv/bin/python scripts/make_screenshots.py
"""

import asyncio
import os
import re
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from callreel.cli.client import Client
from callreel.cli.rehearsal import HOST, Plan, carrier_config, server_environment
from callreel.cli.server_process import ServerProcess
from callreel.domain.call import Direction, Role
from callreel.settings import load_settings
from callreel.simulator.carrier import StandInCarrier
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallScript
from callreel.simulator.voices import RATE_HZ, load_voice, shipped_voice

IMAGES = Path("docs/images")
CHROMIUM = os.environ.get("CALLREEL_TEST_CHROMIUM", "/usr/bin/chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
SHORT_S = 14
WIDTH, HEIGHT = 1200, 900
LIST_HEIGHT = 290
LIVE_TURNS = 5
PATIENCE_MS = 120_000
MOST_BYTES = 250_000


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = the_plan(Path(folder))
        config = carrier_config(plan)
        async with StandInCarrier(config) as carrier:
            environ = server_environment(plan, config, carrier, os.environ)
            arguments = ["serve", "--demo", "--host", HOST, "--port", str(plan.port)]
            with ServerProcess(arguments, environ, plan.data_dir, plan.data_dir / "server.log"):
                async with Client(plan.base_url) as client:
                    await client.until_healthy()
                    await take_all(plan, carrier, client)


def the_plan(folder: Path) -> Plan:
    """The shipped voices, on a free port, in a folder of its own."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    agent, technician = (load_voice(shipped_voice(role)) for role in Role)
    return Plan(load_settings({}, {}, folder), folder, port, agent, technician)


async def take_all(plan: Plan, carrier: StandInCarrier, client: Client) -> None:
    script = CallScript(agent_voice=plan.agent_voice, technician_voice=plan.technician_voice)
    agent, technician = (voice[: SHORT_S * RATE_HZ] for voice in (plan.agent_voice, plan.technician_voice))
    short = replace(
        script,
        agent_voice=agent,
        technician_voice=technician,
        direction=Direction.INCOMING,
        faults=(Fault("late-stream", 6),),
    )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        pages: dict[str, Page] = {}
        for scheme in ("light", "dark"):
            context = await browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="light" if scheme == "light" else "dark",
                locale="en-US",
                timezone_id="UTC",
            )
            pages[scheme] = await context.new_page()
        await carrier.place(short)
        placing = asyncio.create_task(carrier.place(script))
        await pages["light"].goto(plan.base_url)
        await expect(pages["light"].locator(".call")).to_have_count(2)
        address = f"{plan.base_url}/calls/{(await client.call_ids())[0]}"
        await take_live(pages, address)
        await take_list(pages, plan.base_url)
        await placing
        await take_finished(pages, address)
        await browser.close()


async def take_live(pages: dict[str, Page], address: str) -> None:
    """While words come: some that are final, and one that may still change."""
    for page in pages.values():
        await page.goto(address)
    for scheme, page in pages.items():
        await expect(page.locator("[data-finals] .turn").nth(LIVE_TURNS)).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("[data-partial]", has_text=re.compile(r"\S")).first).to_be_visible(
            timeout=PATIENCE_MS
        )
        await save(page, f"live-{scheme}")


async def take_list(pages: dict[str, Page], address: str) -> None:
    for scheme, page in pages.items():
        await page.goto(address)
        await expect(page.locator(".badge.explained")).to_be_visible(timeout=PATIENCE_MS)
        await save(page, f"calls-{scheme}", height=LIST_HEIGHT)


async def take_finished(pages: dict[str, Page], address: str) -> None:
    for scheme, page in pages.items():
        await page.goto(address)
        await expect(page.locator(".badge.verified").first).to_be_visible(timeout=PATIENCE_MS)
        await page.goto(address)  # the layers with their players as they are at the end
        await save(page, f"call-{scheme}")


async def save(page: Page, name: str, height: int = HEIGHT) -> None:
    path = IMAGES / f"{name}.png"
    await page.screenshot(path=path, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    size = path.stat().st_size
    print(f"{path}: {size // 1000} kB")
    if size > MOST_BYTES:
        sys.exit(f"{path} should be below {MOST_BYTES // 1000} kB")


if __name__ == "__main__":
    asyncio.run(main())
