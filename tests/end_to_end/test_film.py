"""The documentation's animation: one real call on the stand-in carrier, from the number to the verdict."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.end_to_end.album import PICTURES
from tests.end_to_end.film import Film, Picture, write
from tests.end_to_end.office import open_office
from tests.end_to_end.phone_house import CALLING_MS, CHECKED_MS, call_id_of, wait_for_phone

MOST_BYTES = 1_500_000
SIZE = (1100, 720)


def png(shade: int) -> bytes:
    encoder = av.VideoCodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "rgb24"
    pixels = np.full((48, 64, 3), shade, np.uint8)
    [packet] = encoder.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
    return bytes(packet)


def test_animation_shows_each_picture_for_its_time(tmp_path: Path) -> None:
    path = tmp_path / "film.webp"
    write(path, [Picture(png(10), 1_000), Picture(png(250), 300), Picture(png(120), 700)], quality=60)
    data = path.read_bytes()
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    # https://developers.google.com/speed/webp/docs/riff_container: an ANMF chunk has its duration at byte 12 of its payload.
    times = [
        int.from_bytes(data[at.start() + 20 : at.start() + 23], "little") for at in re.finditer(b"ANMF", data)
    ]
    assert times[:2] == [1_000, 300] and times[2] >= 700


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not PICTURES, reason="makes the animation of the documentation: make pictures")
def test_call_from_number_to_verdict(tmp_path: Path) -> None:
    film = Film()
    with open_office(tmp_path) as office:
        desk = office.open_as("maria")
        desk.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
        wait_for_phone(desk)
        film.take(desk, 1_200)
        for digits in ("20", "25", "55", "0177"):
            desk.get_by_label("Phone number").press_sequentially(digits)
            film.take(desk, 300)
        film.hold(500)
        desk.get_by_role("button", name="Call technician").click()
        while "Talking" not in desk.locator("[data-status]").inner_text():
            film.run(desk, 400)
        film.run(desk, 8_000)

        call_page = desk.context.new_page()
        call_page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
        call_page.goto(f"{office.house.url}/calls/{call_id_of(desk)}")
        expect(call_page.locator("[data-finals] .turn").first).to_be_visible(timeout=CALLING_MS)
        film.run(call_page, 6_000)
        desk.get_by_role("button", name="Hang up").click()
        film.run(call_page, 1_200)
        badge = call_page.locator("#head .badge")
        expect(badge).to_have_text(re.compile("Verified|Explained"), timeout=CHECKED_MS)
        expect(call_page.locator("call-review[data-ready]")).to_be_attached()
        call_page.evaluate("scrollTo(0, 0)")
        film.take(call_page, 2_500)
        call_page.locator("[data-play]").click()
        film.run(call_page, 6_000)
        film.hold(1_500)
        assert office.errors == [], office.errors
    assert 24_000 <= film.duration_ms <= 40_000
    path = Path(PICTURES or tmp_path) / "call.webp"
    film.save(path)
    assert path.stat().st_size <= MOST_BYTES
