"""Games played in a real browser, without a network: by mouse, by touch, by keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from geolab.metrics import errors_km, geoguessr_score
from geolab.play import read_results, write_page

from .conftest import FIRST, NAMES, PLACES, SECOND, SYSTEMS

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

WIDE, NARROW = {"width": 1280, "height": 720}, {"width": 390, "height": 780}
GUESSES = [(10.0, -60.0), (-20.0, 150.0), (45.0, 20.0)]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(game, tmp_path_factory) -> str:
    return write_page(game, tmp_path_factory.mktemp("page") / "play.html").as_uri()


@pytest.fixture
def opened(browser, address) -> Iterator[Callable]:
    """Open the page; at the end nothing may have complained, nor asked for anything outside."""
    contexts, complaints, asked = [], [], []

    def open_page(viewport: dict = WIDE, scheme: str = "light", *, touch: bool = False):
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, has_touch=touch, offline=True,
            reduced_motion="reduce", accept_downloads=True,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda m: complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert {url for url in asked if url.startswith("file:")} == {address}


def on_screen(page, place: tuple[float, float]) -> tuple[float, float]:
    """Where a place of the map is, in pixels of the window."""
    box = page.locator("#map").bounding_box()
    x, y = page.evaluate("place => geolabPlay.where(place)", list(place))
    return box["x"] + x, box["y"] + y


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def begin(page, name: str = "Ada") -> None:
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#play", state="visible")
    settle(page)


def settle(page) -> None:
    """Wait for the next two drawings of the map."""
    page.evaluate("() => new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)))")


def by_mouse(page, place) -> None:
    page.mouse.click(*on_screen(page, place))
    page.click("#guess")


def by_touch(page, place) -> None:
    page.touchscreen.tap(*on_screen(page, place))
    page.tap("#guess")


def by_keyboard(page, place) -> None:
    """Walk the pin to a place with the arrow keys, first in large steps, then in small ones."""
    assert page.evaluate("document.activeElement.id") == "map"
    page.keyboard.press("ArrowUp")  # the first key sets the pin
    for pixels, prefix in ((22, ""), (22, ""), (3, "Shift+")):  # the map moves along, so look again
        settle(page)
        goal = page.evaluate("place => geolabPlay.where(place)", list(place))
        now = page.evaluate("geolabPlay.where(geolabPlay.pin())")
        for axis, keys in enumerate((("ArrowLeft", "ArrowRight"), ("ArrowUp", "ArrowDown"))):
            steps = round((goal[axis] - now[axis]) / pixels)
            for _ in range(abs(steps)):
                page.keyboard.press(prefix + keys[steps > 0])
    page.keyboard.press("Enter")


def download(page, folder, name: str = "results.csv"):
    with page.expect_download() as waiting:
        page.click("#download")
    waiting.value.save_as(folder / name)
    assert waiting.value.suggested_filename.startswith("geolab_play_")
    return folder / name


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.parametrize(
    ("guess", "scheme"), [(by_mouse, "light"), (by_touch, "dark"), (by_keyboard, "light")]
)
def test_a_whole_game(opened, game, tmp_path, viewport, guess, scheme):
    page = opened(viewport, scheme, touch=guess is by_touch)
    assert page.is_visible("#synthetic")
    assert fits(page)
    begin(page)
    for i, place in enumerate(GUESSES):
        assert page.is_disabled("#guess")
        assert page.is_hidden("#reveal")
        assert fits(page)
        assert NAMES[i] not in page.inner_text("body")
        guess(page, place)
        page.wait_for_selector("#reveal", state="visible")
        page.wait_for_selector("#legend", state="visible")
        assert NAMES[i] in page.inner_text("#truth")
        assert all(system in page.inner_text("#answers") for system in SYSTEMS)
        assert fits(page)
        assert page.evaluate("document.activeElement.id") == "next"
        page.keyboard.press("Enter")
    page.wait_for_selector("#end", state="visible")
    assert fits(page)
    results = read_results(download(page, tmp_path))
    assert len(results) == 9
    own = results[results["kind"] == "human"]
    off = errors_km(own[["lat", "lon"]].to_numpy(), GUESSES)
    assert (off < (300 if guess is by_keyboard else 120)).all(), off  # a pixel is 50 to 110 km
    assert np.allclose(own[["true_lat", "true_lon"]], PLACES)
    assert list(own["photo"]) == [one.photo for one in game.rounds]
    assert (own["seconds"] >= 0).all()
    for system, points in zip(SYSTEMS, (FIRST, SECOND), strict=True):
        theirs = results[results["player"] == system]
        assert np.allclose(theirs[["lat", "lon"]], points)
        assert set(theirs["kind"]) == {"model"}
    sums = results["score"].round().groupby(results["player"]).sum().astype(int)
    shown = page.inner_text("#bars")
    assert all(f"{total:,}" in shown for total in sums)


def test_kilometres_and_points_are_those_of_the_evaluator(opened):
    page = opened()
    rng = np.random.default_rng(0)
    a = np.stack([np.degrees(np.arcsin(rng.uniform(-1, 1, 3000))), rng.uniform(-180, 180, 3000)], 1)
    b = np.roll(a, 1, axis=0)
    b[:500] = a[:500] + rng.normal(0, 1e-4, (500, 2))  # neighbours
    b[500:1000] = np.stack([-a[500:1000, 0], (a[500:1000, 1] % 360) - 180], 1)  # antipodes
    b = np.stack([b[:, 0].clip(-90, 90), (b[:, 1] + 180) % 360 - 180], 1)
    edges = [[(90, 0), (-90, 50)], [(0, 180), (0, -180)], [(0, 0), (0, 0)], [(90, 10), (90, 99)]]
    a, b = (np.concatenate([x, [e[i] for e in edges]]) for i, x in enumerate((a, b)))
    pairs = np.stack([a, b], axis=1).tolist()
    km = np.array(page.evaluate("ps => ps.map(p => geolabPlay.kilometres(p[0], p[1]))", pairs))
    assert np.abs(km - errors_km(a, b)).max() < 1e-6
    points = np.array(page.evaluate("ks => ks.map(geolabPlay.scoreOf)", km.tolist()))
    assert np.abs(points - geoguessr_score(km)).max() < 1e-9


def test_dragging_and_pinching_move_the_map_and_set_no_pin(opened):
    page = opened(NARROW, touch=True)
    begin(page)
    box = page.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        held = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(places)]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": held})

    def span() -> float:
        settle(page)
        (x0, _), (x1, _) = (on_screen(page, (0, lon)) for lon in (0, 10))
        return x1 - x0

    before, start = span(), on_screen(page, (0, 0))
    touch("touchStart", (x, y))
    for step in range(1, 9):
        touch("touchMove", (x + 10 * step, y))
    touch("touchEnd")
    settle(page)
    assert on_screen(page, (0, 0))[0] - start[0] == pytest.approx(80, abs=1)
    assert span() == pytest.approx(before)
    touch("touchStart", (x - 20, y))
    touch("touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 9):
        touch("touchMove", (x - 20 - 5 * step, y), (x + 20 + 5 * step, y))
    touch("touchEnd")
    assert span() / before == pytest.approx(3, rel=0.15)
    assert page.is_disabled("#guess")
    page.click("#whole")
    assert span() == pytest.approx(before, rel=0.01)


def test_the_wheel_zooms_at_the_pointer_and_the_map_turns_around_the_earth(opened):
    page = opened()
    begin(page)
    x, y = on_screen(page, (35.0, 139.0))
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    settle(page)
    assert on_screen(page, (35.0, 139.0)) == pytest.approx((x, y), abs=1)
    for _ in range(12):  # once around, eastwards
        page.mouse.down()
        page.mouse.move(x - 400, y, steps=4)
        page.mouse.up()
        page.mouse.move(x, y)
    settle(page)
    page.mouse.click(x, y)
    assert "from" in page.inner_text("#where")


def test_across_180_degrees_truth_and_guess_stand_side_by_side(opened):
    page = opened()
    begin(page)
    by_mouse(page, GUESSES[0])
    page.click("#next")
    settle(page)
    by_mouse(page, (-17.0, -179.0))
    settle(page)
    truth, guess = on_screen(page, PLACES[1]), on_screen(page, (-17.0, -179.0))
    box = page.locator("#map").bounding_box()
    assert 0 < guess[0] - truth[0] < box["width"] / 2
    for px, py in (truth, guess):
        assert box["x"] < px < box["x"] + box["width"]
        assert box["y"] < py < box["y"] + box["height"]


def test_players_take_turns_and_a_reload_loses_nothing(opened, tmp_path, address):
    page = opened()
    page.on("dialog", lambda dialog: dialog.accept())
    begin(page, 'Ada "the 1st", A.')
    by_mouse(page, GUESSES[0])
    page.evaluate("location.reload()")
    page.wait_for_selector("#played", state="visible")
    page.fill("#name", "=SUM(A1)")
    page.click("#begin")
    assert "starts with a letter" in page.inner_text("#complaint")
    page.fill("#name", "PIGEON")
    page.click("#begin")
    assert "name of a model" in page.inner_text("#complaint")
    begin(page, 'Ada "the 1st", A.')
    assert "round 2 of 3" in page.inner_text("#status")
    for place in GUESSES[1:]:
        by_mouse(page, place)
        page.click("#next")
        settle(page)
    page.click("#again")
    page.fill("#name", 'Ada "the 1st", A.')
    page.click("#begin")
    assert "has played all rounds" in page.inner_text("#complaint")
    begin(page, "Grace")
    by_mouse(page, GUESSES[0])
    page.evaluate("location.reload()")
    page.click("#show")
    results = read_results(download(page, tmp_path))
    rounds = results.groupby("player").size().to_dict()
    assert rounds == {'Ada "the 1st", A.': 3, "Grace": 1, **dict.fromkeys(SYSTEMS, 3)}
    page.click("#forget")
    assert page.is_hidden("#played")


def test_heat_maps_can_be_chosen_and_change_the_map(opened):
    page = opened()
    begin(page)
    by_mouse(page, GUESSES[0])
    page.wait_for_selector("#legend", state="visible")

    def picture() -> bytes:
        page.wait_for_timeout(300)
        return page.locator("#map").screenshot()

    first = picture()
    assert page.get_attribute('.pick[data-k="0"]', "aria-pressed") == "true"
    page.click('.pick[data-k="1"]')
    second = picture()
    page.click('.pick[data-k="1"]')
    none = picture()
    assert len({first, second, none}) == 3
    assert page.is_hidden("#legend")


def test_a_page_reads_well_to_those_who_do_not_see_it(opened):
    page = opened()
    begin(page)
    for field in page.query_selector_all("#play button:visible, #play img:visible, canvas"):
        said = field.get_attribute("aria-label") or field.get_attribute("alt")
        assert (said or field.inner_text()).strip()
    page.keyboard.press("Enter")
    assert "Set a pin first" in page.inner_text("#live")
    page.keyboard.press("ArrowUp")
    assert "from" in page.inner_text("#live")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert "points. It was near Machu Picchu" in page.inner_text("#live")
    page.keyboard.press("Shift+Tab")
    focused = page.evaluate("document.activeElement.className")
    assert focused == "pick"
    page.click("#enlarge")
    assert page.is_visible("#large")
    page.keyboard.press("Escape")
    assert page.is_hidden("#large")


def test_names_from_data_are_text_and_never_markup(opened):
    page = opened()
    assert page.inner_text("#title") == "Beat <i>the</i> model"
    assert page.query_selector("#title i") is None
    assert SYSTEMS[1] in page.inner_text("#what")
