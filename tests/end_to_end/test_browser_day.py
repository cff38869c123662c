"""An agent's day in a real Chromium, on a server with sign-in: the administrator's welcome link, a call from the button to
the verdict, finding, playing, correcting and downloading it, signing out; and that others have no access to it.

The pictures of the documentation are taken here.
"""

import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Locator, Page, expect

from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.call import Direction, Role
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.album import PICTURES, Album
from tests.end_to_end.house import CALLER_ID
from tests.end_to_end.office import Office, open_office, sign_in
from tests.end_to_end.phone_house import (
    CALLING_MS,
    CHECKED_MS,
    TECHNICIAN,
    PhoneHouse,
    call_id_of,
    talk,
    wait_for_phone,
)
from tests.support.service_call import shipped_lines
from tests.web.axe import need_axe, serious_violations
from tests.web.call_parts import parts_of_call

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

EARLIER_S = 6
GOOD = re.compile("Verified|Explained")  # on a busy machine the stream may start late, which is explained
NAMES = ("live", "calls", "call")
LIVE_TURNS = 5 if PICTURES else 3
POSITION_MS = "() => Number(document.querySelector('call-review').dataset.positionMs)"
LISTEN = """() => {
    const audio = document.querySelector('audio[data-main-audio]');
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 4096;
    context.createMediaElementSource(audio).connect(analyser);
    analyser.connect(context.destination);
    const samples = new Float32Array(analyser.fftSize);
    window.played = [];
    setInterval(() => {
        if (audio.paused) return;
        analyser.getFloatTimeDomainData(samples);
        window.played.push([audio.currentTime * 1000, samples.reduce((most, one) => Math.max(most, Math.abs(one)), 0)]);
    }, 20);
}"""
"""Afterwards `window.played` lists positions of the player in ms, and the loudest sample it has just played."""
LOUDEST = """([from, to]) =>
    Math.max(...window.played.filter(([at]) => at >= from && at <= to).map(([, loudness]) => loudness))"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("office")) as office:
        # Long enough for a slow machine to see everything before the technician hangs up.
        voice = np.tile(load_voice(shipped_voice(Role.TECHNICIAN)), 3)
        office.house.set_technician(replace(TECHNICIAN, voice=voice))
        for fault in (None, Fault("mono")):  # processed while people sign in
            office.house.begin(short_call(fault))
        yield office


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Album:
    return Album(tmp_path_factory.mktemp("album"))


def short_call(fault: Fault | None) -> CallScript:
    """A short call of maria, between two recorded voices."""
    agent, technician = (load_voice(shipped_voice(role))[: EARLIER_S * TELEPHONE_HZ] for role in Role)
    return CallScript(
        agent_voice=agent,
        technician_voice=technician,
        agent_identity="maria",
        direction=Direction.OUTGOING if fault is None else Direction.INCOMING,
        number="+12025550144" if fault is None else "+12025550188",
        our_number=CALLER_ID,
        faults=() if fault is None else (fault,),
    )


def test_welcome_link_works_once_and_wrong_passwords_fail(office: Office) -> None:
    page = office.new_context().new_page()
    page.goto(office.first_link)
    expect(page.get_by_role("alert")).to_have_text("This link was used already or has expired.")
    expect(page.get_by_label("Password")).to_have_count(0)
    page.goto(office.house.url)
    sign_in(page, "maria", "not her password")
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")
    expect(page.get_by_label("Name")).to_have_value("maria")
    page.context.close()


def test_agents_day(office: Office, album: Album) -> None:
    need_axe()
    house = office.house
    desk, supervisor, stranger = office.open_as("maria"), office.open_as("sam"), office.open_as("zoe")
    wait_for_phone(desk)
    talk(desk)
    call_id = call_id_of(desk)
    words = desk.locator("[data-live-words]")
    expect(words.locator(".turn.agent").first).to_be_visible(timeout=CALLING_MS)
    expect(words.locator(".turn.technician").first).to_be_visible(timeout=CALLING_MS)

    watchers = [supervisor, desk.context.new_page()]
    for watcher in watchers:
        watcher.goto(f"{house.url}/calls/{call_id}")
        expect(watcher.locator("[data-finals] .turn.technician").first).to_be_visible(timeout=CALLING_MS)
        expect(watcher.locator("#lights .light.recording")).to_have_count(3, timeout=CALLING_MS)
    supervisor.get_by_label("Add a note at this moment").fill("The library's elevator again")
    supervisor.get_by_role("button", name="Add note").click()
    expect(watchers[1].locator("call-notes .note")).to_contain_text("The library's elevator again")
    lines = supervisor.locator("[data-finals] .turn")
    expect(lines.nth(LIVE_TURNS - 1)).to_be_visible(timeout=CALLING_MS)
    provisional = supervisor.locator("[data-partial]", has_text=re.compile(r"\S"))
    expect(provisional.first).to_be_visible(timeout=CHECKED_MS)  # partials are shed first on a busy machine
    album.take(
        supervisor, "live", [lines, supervisor.locator("#lights"), supervisor.locator("[data-meters]")]
    )
    album.take(
        desk,
        "calls",
        [desk.locator("[data-clock]"), desk.locator(".badge.live"), desk.locator(".badge.explained")],
    )

    for page in (desk, supervisor):
        assert serious_violations(page) == []
    mute_and_press_keys(desk)
    desk.get_by_role("button", name="Hang up").click()
    expect(desk.locator("[data-note]")).to_have_text("The call has ended.")
    house.until(lambda: bool(house.carrier.browser_outcomes), 10)
    assert house.carrier.browser_outcomes[-1].keys == "1*#"

    for watcher in watchers:
        expect(watcher.locator("#head .badge")).to_have_text(GOOD, timeout=CHECKED_MS)
        expect(watcher.locator("#layers .light.done")).to_have_count(3)
        expect(watcher.locator("call-review[data-ready]")).to_be_attached()
        expect(watcher.locator("#measures")).to_be_visible(timeout=CHECKED_MS)  # the stage after the verdict
        assert_same_as_reloaded(watcher)
    call = house.client.get(f"/api/v1/calls/{call_id}?words=true").json()
    word = clear_word(house.client, call)
    find_and_play(desk, call_id, word)
    album.take(
        desk,
        "call",
        [desk.locator("canvas.waveform"), desk.locator("call-notes .note"), desk.locator(".word.now, .turn")],
    )
    correct_the_turn_of(desk, house.client, call_id, word)
    download_layers(desk, call)
    download_transcripts(watchers[1])

    # The call did not appear for another agent.
    expect(stranger.locator(".call")).to_have_count(0)
    sign_out(desk, house.client, call_id)
    assert office.errors == [], office.errors
    assert album.checked() == {f"{name}-{scheme}.png" for name in NAMES for scheme in ("light", "dark")}


def assert_same_as_reloaded(page: Page) -> None:
    """A page that was open while the call ended becomes the same as one that is opened now; only the latter's accesses differ."""
    opened = page.context.new_page()
    opened.goto(page.url)
    for one in (page, opened):
        expect(one.locator("call-review[data-ready]")).to_be_attached()
    until = time.monotonic() + CHECKED_MS / 1000
    while (shown := parts_of_call(page)) != (wanted := parts_of_call(opened)) and time.monotonic() < until:
        page.wait_for_timeout(100)  # the topic may just have been found
    assert list(shown) == list(wanted)
    assert shown == wanted
    assert "live" not in shown and "cost" in shown
    opened.close()


def mute_and_press_keys(desk: Page) -> None:
    """While muted the agent is silent; pressed keys reach the carrier."""
    desk.get_by_role("button", name="Mute", exact=True).click()
    expect(desk.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
    meter = desk.locator('[data-meter="agent"]')
    expect(meter).to_have_attribute("aria-valuenow", "-60", timeout=CALLING_MS)
    expect(desk.get_by_text("You are muted.")).to_be_visible()
    desk.get_by_role("button", name="Keypad").click()
    for key in ("1", "star", "hash"):
        desk.get_by_role("button", name=key, exact=True).click()
    expect(desk.locator("[data-digits]")).to_have_text("1*#")
    desk.get_by_role("button", name="Unmute").click()
    expect(desk.get_by_role("button", name="Mute", exact=True)).to_be_visible()


def clear_word(client: httpx2.Client, call: dict[str, Any]) -> dict[str, Any]:
    """A word that the technician really said while the agent was silent, and that was not said before.

    On a slow machine the call is longer than what the stand-in's parties say, so they say it again.
    """
    [url] = [layer["url"] for layer in call["layers"] if layer["layer"] == "cloud"]
    sound, rate_hz = soundfile.read(io.BytesIO(client.get(url).content))
    said = {word.strip(".,?").lower() for line in shipped_lines() for word in line.text.split()}
    words = [{**word, "role": turn["role"]} for turn in call["turns"] for word in turn["words"]]
    texts = [word["text"] for word in words]
    for position, word in enumerate(words):
        samples = sound[word["start_ms"] * rate_hz // 1000 : word["end_ms"] * rate_hz // 1000]
        agent, technician = np.sqrt(np.mean(samples**2, axis=0))
        alone = technician > 0.01 and agent < technician / 20
        if alone and word["role"] == "technician" and len(word["text"]) > 4 and word["text"] in said:
            if word["text"] not in texts[:position]:
                return word
    pytest.fail(f"no word was recognized correctly: {texts}")


def find_and_play(desk: Page, call_id: str, word: dict[str, Any]) -> None:
    """Search the word, open its hit, and play it: only the party that said it is audible."""
    desk.get_by_role("searchbox", name="Search transcripts").fill(word["text"])
    rows = desk.locator(".call")
    expect(rows.locator(".hit mark").first).to_have_text(word["text"], ignore_case=True, timeout=CALLING_MS)
    hits = rows.locator(f'.hit a[href^="/calls/{call_id}#t="]')
    hits.first.click()
    desk.wait_for_url(re.compile(rf"/calls/{call_id}#t=[\d.]+$"))
    expect(desk.locator("call-review[data-ready]")).to_be_attached()
    at_ms = desk.evaluate(POSITION_MS)
    assert abs(at_ms - word["start_ms"]) <= 60, "the player is not at the word"
    desk.evaluate(LISTEN)
    loudest = {party: loudness_at(desk, party, word) for party in ("agent", "technician")}
    assert loudest["technician"] > 0.05, loudest
    assert loudest["agent"] < loudest["technician"] / 5, loudest
    desk.locator("[data-party]").select_option("both")


def loudness_at(desk: Page, party: str, word: dict[str, Any]) -> float:
    """The loudest sample of one party that the browser plays during the word."""
    desk.locator("[data-party]").select_option(party)
    desk.wait_for_function(
        "party => document.querySelector('audio[data-main-audio]').src.includes(party)", arg=party
    )
    desk.evaluate("window.played = []; history.replaceState(null, '', '#')")
    desk.evaluate(f"location.hash = '#t={word['start_ms'] / 1000:.3f}'")
    desk.wait_for_function(
        "end => window.played.some(([at]) => at > end)", arg=word["end_ms"], timeout=CALLING_MS
    )
    desk.locator("[data-play]").click()
    loudest: float = desk.evaluate(LOUDEST, [word["start_ms"] + 50, word["end_ms"]])
    return loudest


def correct_the_turn_of(desk: Page, client: httpx2.Client, call_id: str, word: dict[str, Any]) -> None:
    """Correct the turn of a word; the original and the author of the change are kept."""
    turn = turn_of(desk, word)
    before = client.get(f"/api/v1/calls/{call_id}").json()["turns"]
    turn.get_by_role("button", name="Correct").click()
    assert serious_violations(desk) == []
    desk.get_by_label("What was said").fill("This is what was really said.")
    desk.get_by_role("button", name="Save").click()
    expect(turn.locator(".text")).to_contain_text("This is what was really said.")
    expect(desk.locator("[data-revision]")).to_contain_text(
        re.compile(r"Corrected by maria, .+ \(revision 1\)")
    )
    after = client.get(f"/api/v1/calls/{call_id}?machine=true").json()
    assert "This is what was really said." in [turn["text"] for turn in after["turns"]]
    assert [turn["text"] for turn in after["machine_turns"]] == [turn["text"] for turn in before]
    [revision] = client.get(f"/api/v1/calls/{call_id}/revisions").json()["revisions"]
    assert (revision["number"], revision["by"]) == (1, "maria")


def turn_of(desk: Page, word: dict[str, Any]) -> Locator:
    """The turn that contains the word, also after its words have changed."""
    final = desk.locator('[data-view="final"]')
    begins_ms = final.locator(f'.turn:has([data-start-ms="{word["start_ms"]}"])').get_attribute(
        "data-start-ms"
    )
    return final.locator(f'.turn[data-start-ms="{begins_ms}"]')


def download_layers(desk: Page, call: dict[str, Any]) -> None:
    """Every layer is downloaded completely."""
    for details in desk.locator("#layers details summary").all():
        details.click()
    links = desk.locator("#layers a[download]")
    expect(links).to_have_count(len(call["layers"]))
    lengths = []
    for link in links.all():
        with desk.expect_download() as download:
            link.click()
        lengths.append(round(soundfile.info(download.value.path()).duration * 1000))
    assert sorted(lengths) == sorted(layer["duration_ms"] for layer in call["layers"])


def download_transcripts(tab: Page) -> None:
    """Every format of the transcript is downloaded, as corrected.

    In another tab than the layers: Chromium drops the eleventh download of a tab within a second, without an event.
    """
    texts = {}
    for ending in ("txt", "srt", "vtt", "json", "csv"):
        with tab.expect_download() as download:
            tab.locator(f'#downloads a[href$=".{ending}"]').click()
        texts[ending] = download.value.path().read_text(encoding="utf-8-sig")
    assert all("This is what was really said." in text for text in texts.values())
    assert texts["vtt"].startswith("WEBVTT") and texts["srt"].startswith("1\n") and json.loads(texts["json"])


def sign_out(desk: Page, client: httpx2.Client, call_id: str) -> None:
    """Sign out; the old cookies give no access any more."""
    cookies = {one["name"]: one["value"] for one in desk.context.cookies()}
    old = httpx2.Client(base_url=client.base_url, cookies=cookies)
    assert old.get(f"/api/v1/calls/{call_id}").status_code == 200
    desk.get_by_role("button", name="Sign out").click()
    expect(desk.get_by_role("heading", name="Sign in")).to_be_visible()
    for path in (
        "/api/v1/calls",
        f"/api/v1/calls/{call_id}",
        f"/calls/{call_id}/events",
        "/api/v1/softphone",
    ):
        assert old.get(path).status_code == 401
    old.close()
    desk.goto(f"{client.base_url}/calls/{call_id}")
    expect(desk.get_by_label("Password")).to_be_visible()


def complete_call(house: PhoneHouse) -> dict[str, Any]:
    """A call with all seven files."""
    found: list[dict[str, Any]] = []

    def is_complete() -> bool:
        ids = [call["call_id"] for call in house.client.get("/api/v1/calls").json()["calls"]]
        known = [house.client.get(f"/api/v1/calls/{call_id}").json() for call_id in ids]
        found[:] = [call for call in known if len(call["layers"]) == 7]
        return bool(found)

    house.until(is_complete, CHECKED_MS / 1000)
    return found[0]


def test_agent_cannot_access_a_colleagues_call(office: Office) -> None:
    house = office.house
    call = complete_call(house)
    assert call["agent"] == "maria"
    address = f"/calls/{call['call_id']}"
    page = office.open_as("zoe")
    expect(page.locator(".call")).to_have_count(0)
    page.goto(f"{house.url}/?agent=maria")
    expect(page.locator("#calls")).to_contain_text("No calls yet", timeout=CALLING_MS)
    page.goto(f"{house.url}/?q=morning")
    expect(page.locator("#calls")).to_contain_text("No matching calls", timeout=CALLING_MS)
    page.goto(house.url + address)
    expect(page.get_by_role("heading", name="There is no such call.")).to_be_visible()
    closed = [
        *(layer["url"] for layer in call["layers"]),
        f"{address}/events",
        f"{address}/transcript.txt",
        f"/api/v1{address}",
        f"/api/v1{address}/peaks",
    ]
    statuses = page.evaluate(
        "async paths => await Promise.all(paths.map(async path => (await fetch(path)).status))", closed
    )
    assert statuses == [404] * len(closed)
    noted = page.evaluate(
        """async path => (await fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({kind: 'mark', at_ms: 0, text: ''})})).status""",
        f"/api/v1{address}/notes",
    )
    assert noted == 404
    page.context.close()


def test_call_is_held_released_and_erased(office: Office, album: Album) -> None:
    """Runs last, because the call is erased: here, at the simulated carrier, and in an open list."""
    house = office.house
    call_id = complete_call(house)["call_id"]
    watcher = office.open_as("sam")
    expect(watcher.locator(f"#call-{call_id}")).to_be_visible()
    page = office.open_as("ada", f"/calls/{call_id}")
    keeping = page.locator("#keeping")
    keeping.get_by_text("Place legal hold").click()
    keeping.get_by_label("Reason").fill("case 17")
    keeping.get_by_role("button", name="Place hold").click()
    expect(keeping).to_contain_text("case 17")
    expect(watcher.locator(f"#call-{call_id} .held")).to_be_visible(timeout=CALLING_MS)
    keeping.get_by_text("Release legal hold").click()
    keeping.get_by_label("Reason").fill("closed")
    keeping.get_by_role("button", name="Release").click()
    page.get_by_role("link", name="Erase this call").click()
    page.get_by_label("Reason").fill("ticket 7")
    album.take(
        page,
        "erase",
        [page.get_by_role("heading", name=name) for name in ("What is deleted", "What is kept")],
    )
    page.get_by_role("button", name="Erase permanently").click()
    expect(page.get_by_role("heading", name="This call is erased")).to_be_visible(timeout=CALLING_MS)
    expect(page.locator("#erasure")).to_contain_text(re.compile(r"RE[0-9a-f]{32}: deleted"))
    assert serious_violations(page) == []
    assert {"erase-light.png", "erase-dark.png"} <= album.checked()
    expect(watcher.locator(f"#call-{call_id}")).to_have_count(0, timeout=CALLING_MS)
    assert house.client.get(f"/api/v1/calls/{call_id}").status_code == 404
    page.context.close()
    watcher.context.close()
    assert office.errors == [], office.errors
