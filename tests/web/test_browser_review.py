"""The page of a finished call in a real Chromium: player, transcripts, corrections, notes."""

import re
import struct
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, Response, Route, expect
from sqlalchemy import select, update

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.transcript import TranscriptKind
from callreel.postcall.topics import Topics
from callreel.runtime.clock import Clock
from callreel.store.calls import layers
from callreel.store.db.tables import layers as layers_table
from callreel.store.db.tables import transcripts as transcripts_table
from callreel.store.db.tables import turns as turns_table
from callreel.store.insight import topics
from callreel.store.transcripts import live_scores
from tests.support.seed import Seed
from tests.web.spoken_call import LIVE_OFFSET_MS, SPOKEN, add_spoken_call, spoken_lines

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]

POSITION_MS = "() => Number(document.querySelector('call-review').dataset.positionMs)"
AUDIO = "document.querySelector('audio[data-main-audio]')"


@pytest.fixture
def review(page: Page, base_url: str, place: Seed) -> Iterator[Page]:
    """The page of the spoken call, ready to play."""
    add_spoken_call(place)
    open_review(page, base_url)
    yield page


def open_review(page: Page, base_url: str, fragment: str = "") -> None:
    page.goto(f"{base_url}/calls/{SPOKEN}{fragment}")
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    expect(page.locator("call-notes")).to_be_visible()  # from here on, its keys work


def final_word(page: Page, text: str) -> Locator:
    return page.locator('[data-view="final"] .word', has_text=re.compile(f"^{text}$")).first


def wait_for_position(page: Page, from_ms: float, to_ms: float) -> None:
    page.wait_for_function(
        f"() => {{ const at = ({POSITION_MS})(); return at >= {from_ms} && at <= {to_ms}; }}"
    )


def loudness(place: Seed, at_ms: float, long_ms: int = 250) -> float:
    """Root mean square of both parties in the cloud recording from `at_ms` on."""
    with place.database.read() as conn:
        [path] = [
            file.path for file in layers.of_call(conn, SPOKEN) if file.role is None and file.channels == 2
        ]
    samples, rate_hz = soundfile.read(place.blobs.path(path))
    first = round(at_ms * rate_hz / 1000)
    return float(np.sqrt(np.mean(samples[first : first + long_ms * rate_hz // 1000] ** 2)))


def test_clicked_word_plays_from_its_time(review: Page, place: Seed) -> None:
    word = final_word(review, "library")
    start_ms = float(word.get_attribute("data-start-ms") or "nan")
    word.click()
    review.wait_for_function(f"() => !{AUDIO}.paused")
    wait_for_position(review, start_ms, start_ms + 1500)
    assert review.url.endswith(f"#t={start_ms / 1000:.1f}")
    assert loudness(place, start_ms) > 0.02 > loudness(place, 28_000)


def test_clicked_moment_plays_from_its_time(page: Page, base_url: str, place: Seed) -> None:
    add_spoken_call(place)
    with place.database.write() as conn:
        conn.execute(update(transcripts_table).values(language="en"))
    open_review(page, base_url)
    moments = page.get_by_role("region", name="Moments")
    expect(moments.locator("summary")).to_have_text(["Promises: 1", "Thanks: 1"])
    promise = moments.locator("#moments-promise li")
    expect(promise).to_contain_text("i will be there in half an hour")
    promise.get_by_role("link").click()
    page.wait_for_function(f"() => !{AUDIO}.paused")
    wait_for_position(page, 32_900, 34_500)


def test_topic_and_moments_change_on_an_open_page(review: Page, place: Seed) -> None:
    moments = review.locator("#moments")
    expect(moments).to_be_hidden()
    with place.database.write() as conn:
        conn.execute(update(transcripts_table).values(language="en"))
        topics.set_due(conn, SPOKEN)
    assert Topics(place.database, EventPublisher(place.database, place.bus, Clock()), Clock()).sweep() > 0
    expect(review.locator("#head .topic")).to_have_text("Topic: door, elevator, switch")
    expect(moments).to_contain_text("i will be there in half an hour")


def test_spoken_word_is_highlighted(review: Page) -> None:
    final_word(review, "calling").click()
    expect(review.locator(".word.now").first).to_have_text(re.compile("calling|from|the|main"))
    expect(review.locator('[data-view="final"] .turn.playing')).to_have_count(1)
    review.locator("[data-play]").click()
    expect(review.locator(".word.now")).to_have_count(0)


def test_swapped_roles_exchange_turns_and_can_be_restored(review: Page) -> None:
    parties = review.locator('[data-view="final"] .turn .party')
    expect(parties.first).to_be_visible()
    recorded = parties.all_inner_texts()
    exchanged = {"Agent": "Technician", "Technician": "Agent"}
    review.get_by_role("button", name="Swap Agent and Technician").click()
    expect(review.locator("#roles")).to_contain_text("are swapped on this page")
    expect(parties).to_have_text([exchanged[party] for party in recorded])
    review.get_by_role("button", name="Restore recorded roles").click()
    expect(review.locator("#roles .small")).to_contain_text(
        [re.compile("^Restored by"), re.compile("^Swapped by")]
    )
    expect(parties).to_have_text(recorded)


def test_audio_is_read_with_range_requests_only(page: Page, base_url: str, place: Seed) -> None:
    add_spoken_call(place)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if ".wav" in answer.url else None)
    open_review(page, base_url, "#t=20")
    wait_for_position(page, 20_000, 20_000)
    assert answers == []  # audio is requested when it is played
    page.locator("[data-play]").click()
    wait_for_position(page, 20_200, 25_000)
    assert {answer.status for answer in answers} == {206}
    assert all("cloud" in answer.url for answer in answers)


def test_two_hour_call_is_loaded_in_parts(page: Page, base_url: str, place: Seed) -> None:
    """Of its 230 MB the browser loads only peaks and the ranges that are played."""
    add_spoken_call(place)
    extend_to_two_hours(place)
    got: list[tuple[str, int, int]] = []

    def count(answer: Response) -> None:
        if ".wav" in answer.url or "/peaks" in answer.url:
            size = int(answer.headers.get("content-length", "0"))
            got.append((answer.url, answer.status, size if "/peaks" in answer.url else 0))

    page.on("response", count)
    with page.expect_response(lambda answer: "/peaks" in answer.url, timeout=60_000):
        open_review(page, base_url)
    expect(page.locator("[data-total]")).to_have_text("2:00:00")
    wave = page.get_by_role("slider", name="Position in the call")
    expect(wave).to_have_attribute("aria-valuemax", "7200")
    box = wave.bounding_box()
    assert box is not None
    wave.click(position={"x": box["width"] * 0.75, "y": 20})
    wait_for_position(page, 5_370_000, 5_430_000)
    page.locator("[data-play]").click()
    page.wait_for_function(f"() => !{AUDIO}.paused && {AUDIO}.readyState >= 3 && {AUDIO}.currentTime > 5370")
    ranges = [status for address, status, _ in got if ".wav" in address]
    assert set(ranges) == {206}
    [peaks] = [size for address, _, size in got if "/peaks" in address]
    assert 0 < peaks < 1_000_000
    assert page.evaluate("() => performance.memory.usedJSHeapSize") < 60_000_000
    page.goto("about:blank")  # closes the file's connection, for which the server would wait


def extend_to_two_hours(place: Seed) -> None:
    """Replace the cloud recording by one of two hours that is silent between beginning and end, as a sparse file."""
    with place.database.read() as conn:
        [file] = [one for one in layers.of_call(conn, SPOKEN) if one.role is None and one.channels == 2]
    path = place.blobs.path(file.path)
    long_ms = 2 * 3_600_000
    spoken = path.read_bytes()[44:]
    size = long_ms * file.rate_hz // 1000 * file.channels * 2
    with path.open("wb") as wav:
        wav.write(wav_header(size, file.rate_hz, file.channels))
        wav.write(spoken)
        wav.seek(44 + size - len(spoken))
        wav.write(spoken)
    with place.database.write() as conn:
        conn.execute(
            layers_table.update()
            .where(layers_table.c.call_id == SPOKEN, layers_table.c.path == file.path)
            .values(duration_ms=long_ms, size_bytes=44 + size, sha256="0" * 64)
        )


def wav_header(size: int, rate_hz: int, channels: int) -> bytes:
    fmt = struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", size)


def test_waveform_shows_both_parties_and_seeks(review: Page) -> None:
    drawn = """() => {
        const canvas = document.querySelector('canvas.waveform');
        const half = canvas.height / 2;
        const full = (top) => canvas.getContext('2d').getImageData(0, top, canvas.width, half).data.filter((value, at) => at % 4 === 3 && value > 0).length;
        return full(0) > 2000 && full(half) > 2000;
    }"""
    review.wait_for_function(drawn)
    wave = review.get_by_role("slider", name="Position in the call")
    box = wave.bounding_box()
    assert box is not None
    wave.click(position={"x": box["width"] / 2, "y": 20})
    total_ms = spoken_lines()[-1].end_ms
    wait_for_position(review, total_ms * 0.45, total_ms * 0.56)
    before = review.evaluate(POSITION_MS)
    wave.press("ArrowRight")
    wait_for_position(review, before + 4900, before + 5100)
    expect(wave).to_have_attribute("aria-valuetext", re.compile(r"^0:\d\d of 0:4\d$"))


def test_other_party_or_layer_keeps_the_position(review: Page) -> None:
    review.evaluate("location.hash = '#t=20'")
    wait_for_position(review, 20_000, 30_000)
    review.keyboard.press("Space")
    at_ms = review.evaluate(POSITION_MS)
    review.locator("[data-party]").select_option("technician")
    review.wait_for_function(f"() => {AUDIO}.src.includes('cloud_channel-technician')")
    wait_for_position(review, at_ms - 100, at_ms + 1500)
    review.locator("[data-party]").select_option("both")
    review.locator("[data-layer]").select_option("live_8k")
    review.locator("[data-play]").click()
    review.wait_for_function(f"() => {AUDIO}.src.includes('live_8k-agent') && {AUDIO}.readyState >= 1")
    # The live layers start later than the recording; the position in the call stays the same.
    assert review.evaluate(
        f"{POSITION_MS.replace('() => ', '')} - {AUDIO}.currentTime * 1000"
    ) == pytest.approx(LIVE_OFFSET_MS, abs=60)


def test_silence_is_skipped(review: Page) -> None:
    lines = spoken_lines()
    gap = max(range(1, len(lines)), key=lambda at: lines[at].start_ms - lines[at - 1].end_ms)
    end_ms, next_ms = lines[gap - 1].end_ms, lines[gap].start_ms
    assert next_ms - end_ms > 1600, "the included call has no long pause"
    review.locator("[data-skip]").check()
    review.evaluate(f"location.hash = '#t={end_ms / 1000 + 0.6:.1f}'")
    wait_for_position(review, next_ms - 700, next_ms + 800)


def test_live_and_final_transcript_are_compared(review: Page) -> None:
    review.keyboard.press("d")
    table = review.locator("table.difference")
    expect(table.locator("del").first).to_have_text("escalator")
    expect(table.locator("ins").first).to_have_text("elevator")
    expect(review.locator("[data-view=both] > p")).to_have_text(
        re.compile(r"^The live and final transcripts agree on 9\d% of the words\.$")
    )
    review.get_by_role("radio", name="Live").check()
    expect(review.locator('[data-view="live"] .text').nth(1)).to_contain_text("escalator in the livery")


def test_turn_is_corrected_and_the_original_is_kept(review: Page, browser: Browser, base_url: str) -> None:
    watching, late = browser.new_context().new_page(), browser.new_context().new_page()
    for other in (watching, late):
        open_review(other, base_url)
    late.locator('[data-view="final"] .word', has_text="library").first.dblclick()
    late.get_by_label("Correct the word").fill("archive")

    turn = review.locator('[data-view="final"] .turn').nth(1)
    turn.get_by_role("button", name="Correct").click()
    review.get_by_label("What was said").fill("hello i am calling from the head office")
    review.get_by_label("Who said it").select_option("technician")
    review.get_by_role("button", name="Save").click()
    expect(turn.locator(".text")).to_have_text("hello i am calling from the head office")
    expect(turn.locator(".party")).to_have_text("Technician")
    expect(review.locator("[data-revision]")).to_contain_text(
        re.compile(r"^Corrected by demo, \w+ \d+.* \(revision 1\)")
    )
    expect(watching.locator('[data-view="final"] .turn').nth(1)).to_contain_text("the head office")

    expect(late.get_by_role("status").filter(has_text="Someone just corrected this call")).to_be_visible()
    late.keyboard.press("Enter")
    expect(late.get_by_role("status").filter(has_text="Someone else corrected")).to_be_visible()
    expect(late.locator('[data-view="final"] .turn').nth(1)).to_contain_text("the head office")

    review.get_by_text("Corrections", exact=True).click()
    expect(review.locator(".corrections")).to_contain_text(
        "Turn 2: changed to “hello i am calling from the head office”, speaker changed to technician"
    )
    review.get_by_role("radio", name="Before corrections").check()
    expect(review.locator('[data-view="machine"] .turn').nth(1)).to_contain_text("main office")
    for other in (watching, late):
        other.context.close()


def test_live_score_and_fallback_engine_are_shown(page: Page, base_url: str, place: Seed) -> None:
    add_spoken_call(place)
    with place.database.write() as conn:
        live_scores.put(conn, SPOKEN, {"words": 50, "same": 40, "live_words": 49, "late": 2, "retracted": 3})
        final = select(transcripts_table.c.id).where(
            transcripts_table.c.call_id == SPOKEN, transcripts_table.c.kind == TranscriptKind.FINAL
        )
        first = (turns_table.c.transcript_id == final.scalar_subquery()) & (turns_table.c.position == 0)
        conn.execute(update(turns_table).where(first).values(fallback_engine="openai"))
    open_review(page, base_url)
    expect(page.locator("[data-live-score]")).to_contain_text(
        "agrees with 40 of the 50 words of the final transcript (80%)"
    )
    turn = page.locator('[data-view="final"] .turn')
    expect(turn.first.locator(".confidence")).to_have_text("by openai")
    expect(page.locator('[data-view="final"] .confidence', has_text="by ")).to_have_count(1)
    turn.first.get_by_role("button", name="Correct").click()
    page.get_by_label("What was said").fill("something else")
    page.get_by_role("button", name="Save").click()
    expect(turn.first.locator(".text")).to_have_text("something else by openai")


def test_words_of_a_script_without_spaces_are_shown_without(review: Page) -> None:
    review.locator("[data-view=final] .turn").first.get_by_role("button", name="Correct").click()
    review.get_by_label("What was said").fill("請檢查鍋爐，OK 嗎")
    review.get_by_role("button", name="Save").click()
    text = review.locator("[data-view=final] .turn .text").first
    expect(text.locator(".word")).to_have_count(7)
    expect(text).to_contain_text("請檢查鍋爐，OK 嗎")
    review.get_by_role("radio", name="Side by side").check()
    expect(review.locator(".difference ins").first).to_have_text("請檢查鍋爐，OK 嗎")


def test_single_word_is_corrected_in_place(review: Page) -> None:
    final_word(review, "library").dblclick()
    review.get_by_label("Correct the word").fill("archive")
    review.keyboard.press("Enter")
    expect(final_word(review, "archive")).to_be_visible()
    expect(final_word(review, "elevator")).to_be_visible()


def test_marks_and_notes_have_their_position(review: Page) -> None:
    review.evaluate("location.hash = '#t=12.5'")
    review.wait_for_function(f"() => ({POSITION_MS})() >= 12500")
    review.keyboard.press("Space")
    review.wait_for_function(f"() => {AUDIO}.paused")
    paused_ms = review.evaluate(POSITION_MS)
    review.keyboard.press("m")
    notes = review.locator("call-notes .note")
    expect(notes).to_have_count(1)
    expect(notes.locator("a")).to_have_text(f"0:{paused_ms // 1000:02}")
    review.get_by_label("Add a note at this moment").fill("<b>ask</b> for a photo")
    review.get_by_role("button", name="Add note", exact=True).click()
    expect(notes).to_have_count(2)
    expect(notes.nth(1)).to_contain_text("<b>ask</b> for a photo")
    review.reload()
    expect(notes).to_have_count(2)
    # A mark is a line over the whole height of the waveform, whether the notes or the player loaded first.
    review.wait_for_function("""() => {
        const canvas = document.querySelector('canvas.waveform');
        const [wide, high] = [canvas?.width, canvas?.height];
        if (!wide || !high) return false;
        const pixels = canvas.getContext('2d').getImageData(0, 0, wide, high).data;
        const full = (x) => Array.from({length: high}, (_, y) => pixels[4 * (y * wide + x) + 3]).every((alpha) => alpha > 200);
        return Array.from({length: wide}, (_, x) => x).slice(4).some(full);
    }""")
    notes.first.get_by_role("button", name=re.compile("Remove")).click()
    expect(notes).to_have_count(1)


def test_link_to_a_position_opens_there(page: Page, base_url: str, place: Seed) -> None:
    add_spoken_call(place)
    open_review(page, base_url, "#t=24.0")
    wait_for_position(page, 24_000, 24_000)
    page.get_by_role("button", name="Copy link to here").click()
    assert page.url.endswith("#t=24.0")


def test_transcript_is_downloaded_in_each_format(review: Page) -> None:
    for ending, begins in (("txt", "["), ("srt", "1\n"), ("vtt", "WEBVTT"), ("json", "{"), ("csv", "")):
        with review.expect_download() as download:
            review.locator(f'a[href$="/transcript.{ending}"]').click()
        text = download.value.path().read_text(encoding="utf-8-sig")
        assert "repair service" in text
        assert text.startswith(begins) or ending == "txt"


def test_player_keeps_its_speed_and_pauses_for_a_correction(review: Page) -> None:
    review.keyboard.press(">")
    expect(review.locator("[data-speed]")).to_have_value("1.25")
    review.reload()
    expect(review.locator("[data-speed]")).to_have_value("1.25")
    assert review.evaluate(f"{AUDIO}.playbackRate") == 1.25
    final_word(review, "calling").click()
    review.wait_for_function(f"() => !{AUDIO}.paused")
    review.keyboard.press("e")
    expect(review.get_by_label("What was said")).to_be_focused()
    assert review.evaluate(f"{AUDIO}.paused")


COUNT_RESPONSES = """() => {
    const text = Response.prototype.text;
    window.handled = 0;
    Response.prototype.text = async function () {
        const body = await text.call(this);
        setTimeout(() => window.handled++);
        return body;
    };
}"""
"""Afterwards `window.handled` counts the responses that the page has processed."""


def test_overtaken_response_does_not_remove_a_note(review: Page) -> None:
    """The response to an older request arrives after a note was added: only the newest response counts."""
    held: list[Route] = []
    review.route(f"**/api/v1/calls/{SPOKEN}", lambda route: held.append(route), times=1)
    review.evaluate("document.dispatchEvent(new CustomEvent('notes-changed'))")
    expect(review.locator("call-notes")).to_contain_text("No notes yet.")
    while not held:
        review.wait_for_timeout(10)
    older = review.request.fetch(held[0].request)
    review.get_by_label("Add a note at this moment").fill("ask for a photo")
    review.get_by_role("button", name="Add note", exact=True).click()
    notes = review.locator("call-notes .note")
    expect(notes).to_contain_text("ask for a photo")
    review.evaluate(COUNT_RESPONSES)
    held[0].fulfill(response=older)
    review.wait_for_function("() => window.handled > 0")
    assert notes.count() == 1


def test_shortcuts_are_listed_and_ignored_while_typing(review: Page) -> None:
    review.keyboard.press("?")
    help_box = review.get_by_role("dialog", name="Keyboard shortcuts")
    expect(help_box.get_by_text("Play or pause")).to_be_visible()
    review.keyboard.press("?")
    expect(help_box).to_be_hidden()
    review.get_by_label("Add a note at this moment").press_sequentially("m d?")
    expect(review.locator("call-notes .note")).to_have_count(0)
    assert review.locator("call-review").get_attribute("data-shown") == "final"
