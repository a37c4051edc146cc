"""The contact sheet in a browser: decided by keyboard, saved, loaded; every size and colour."""

from __future__ import annotations

import json
import shutil

import pytest

from geolab.locate_command import References
from geolab.own_photos import in_order, load_decisions, write_page
from geolab.own_photos.command import locate_album
from tests.course.browser import check, opened

from .conftest import Recognises

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def sheet(album, tmp_path):
    (album / "d.jpg").write_bytes(b"shopping list")
    entries = locate_album(in_order(album), Recognises(), References("mine", 3, synthetic=False))
    return write_page(entries, tmp_path / "album.html", "summer", ["About."])


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_reads_and_is_quiet(browser, sheet, size, scheme):
    with opened(browser, sheet, size=size, scheme=scheme) as (page, watch):
        page.locator("summary").click()
        page.locator("#photo0 .place").fill("Ly")
        assert page.locator("#photo0 .found button").count() == 6
        assert check(page, "contrast") == []
        assert check(page, "tooWide") == []
        assert (watch.console, watch.outside) == ([], [])
        small = page.eval_on_selector_all(
            "button, .choice, .place, .file, summary",
            "all => all.map(e => e.getBoundingClientRect().height).filter(h => h && h < 43.5)",
        )
        assert small == []


def saved(page, path):
    with page.expect_download() as download:
        page.locator("#save").focus()
        page.keyboard.press("Enter")
    download.value.save_as(path)
    return path


def test_decisions_by_keyboard_are_saved_and_load_again(browser, sheet, tmp_path):
    with opened(browser, sheet) as (page, watch):
        page.locator('#photo0 input[value="open"]').focus()
        page.keyboard.press("ArrowDown")  # the proposed place
        page.locator("#photo1 .place").focus()
        page.keyboard.type("villeurb")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the first city found
        page.locator("#photo2 .place").fill("45.76, 4.8")
        assert page.locator("#progress").inner_text() == "3 of 3 decided, not saved yet"
        path = saved(page, tmp_path / "decisions.json")
        assert page.locator("#progress").inner_text() == "3 of 3 decided"
        assert watch.console == []
    one, two, three = load_decisions(path)
    assert (one.file, one.decision, one.radius_km) == ("b.jpg", "confirmed", 25)
    assert (one.lat, one.lon) == pytest.approx((48.9, 2.3), abs=0.11)
    assert (two.decision, two.lat, two.lon) == ("corrected", 45.77, 4.88)
    assert (three.lat, three.lon, three.radius_km) == (45.76, 4.8, 5.56)

    with opened(browser, sheet) as (page, _):
        page.locator("#load").set_input_files(path)
        page.wait_for_function("document.querySelectorAll('.decided').length === 3")
        assert page.locator("#photo1 .place").input_value().startswith("Villeurbanne")
        assert page.locator('#photo0 input[value="0"]').is_checked()
        again = json.loads(saved(page, tmp_path / "again.json").read_text())
    assert again == json.loads(path.read_text())


def test_what_is_no_place_stays_open_and_small_places_wait(browser, sheet, tmp_path):
    with opened(browser, sheet) as (page, _):
        page.locator("#photo0 .place").fill("95, 4")
        assert "Not on Earth" in page.locator("#photo0 .said").inner_text()
        page.locator("#photo1 .place").fill("Gruissan, France")
        assert "looked up" in page.locator("#photo1 .said").inner_text()
        path = saved(page, tmp_path / "decisions.json")
    one, two, three = load_decisions(path)
    assert [d.decision for d in (one, two, three)] == ["open", "corrected", "open"]
    assert (two.lat, two.lon) == pytest.approx((43.1, 3.09), abs=0.1)


def test_a_foreign_file_changes_nothing(browser, sheet, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"geolab": "rows"}')
    with opened(browser, sheet) as (page, _):
        page.locator('#photo0 input[value="0"]').check()
        page.locator("#load").set_input_files(other)
        page.wait_for_function("document.getElementById('complaint').textContent")
        assert "nothing was changed" in page.locator("#complaint").inner_text()
        assert page.locator('#photo0 input[value="0"]').is_checked()
