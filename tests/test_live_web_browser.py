"""The live page in a real browser."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import pytest
from live_scene import COLORS, Scene, eventually, new_state, publish
from live_shelf import Shelf
from presence import need

from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.collection.decisions import Decision
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.loop.state import BoardState, LiveState
from edgeclf.streaming.page.server import WebView

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES = {"desktop": (1280, 900), "phone": (360, 740)}

COLOR_IN_THE_MIDDLE = """image => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d");
    pen.drawImage(image, image.naturalWidth / 4, image.naturalHeight / 4, 1, 1, 0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


INKED_AT_THE_RIGHT = """() => {
    const canvas = document.getElementById("chart");
    const band = canvas.getContext("2d").getImageData(canvas.width - 3, canvas.height - 36, 2, 8).data;
    return band.filter((value, at) => at % 4 === 3 && value).length;
}"""
"""Counts what is drawn at this moment in the band of labels below the curve."""


NEWS_OF = """label => new Promise((done) => {
    const events = new EventSource("/api/events");
    let count = 0;
    events.onmessage = (event) => {
        if (JSON.parse(event.data).result.label === label && ++count === 3) {
            events.close();
            done();
        }
    };
})"""
"""Waits until the page was told three times that the scene has this label."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without one the tests skip on a user's machine and fail in CI."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    need(found is not None, "Chromium or playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in which every error counts."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.errors = errors  # type: ignore[attr-defined]
    yield page
    context.close()
    assert not [line for line in errors if "Failed to load resource" not in line]


@pytest.fixture
def state() -> LiveState:
    state = new_state()
    state.set_source(SourceState("/dev/video0", "running"))
    return state


@pytest.fixture
def view(state: LiveState) -> Iterator[WebView]:
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    yield view
    view.close()


@pytest.fixture
def scene(state: LiveState) -> Iterator[Scene]:
    with Scene(state) as scene:
        yield scene


def shows(page: Page, color: str) -> bool:
    """Whether the picture on the page has the color that the scene calls so."""
    picture = page.locator("#picture")
    if not picture.is_visible():
        return False
    rgb = picture.evaluate(COLOR_IN_THE_MIDDLE)
    return max(abs(seen - made) for seen, made in zip(rgb, reversed(COLORS[color]), strict=True)) < 16


def text(page: Page, selector: str) -> str:
    return page.locator(selector).inner_text().strip()


def picture_number(page: Page) -> Any:
    return page.locator("#picture").evaluate("image => image.src")


def test_picture_and_label_follow_the_scene(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    for color in ("red", "blue", "green", "red"):
        scene.label = color
        eventually(lambda color=color: text(page, "#label") == color)  # type: ignore[misc]
        eventually(lambda color=color: shows(page, color))  # type: ignore[misc]
        assert page.title().startswith(color)
    assert text(page, "#probability") == "90.0 %"
    assert text(page, "#top li >> nth=0").split() == ["red", "90.0", "%"]
    assert page.locator("#top li").count() == 3
    widths = page.locator("#top .track span").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    assert widths == [90, 5, 5]
    assert text(page, "#fps") == "25.0"
    assert text(page, "#frame-age") == "13 ms"
    changes = page.locator("#changes .name").all_inner_texts()
    assert changes[:4] == ["red", "green", "blue", "red"]
    before = picture_number(page)
    eventually(lambda: picture_number(page) != before)


def test_freeze_keeps_picture_and_label_until_live_again(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    page.get_by_role("button", name="Freeze").click()
    assert page.locator("#freeze").get_attribute("aria-pressed") == "true"
    eventually(lambda: view.viewers == 0)  # nobody looks, so nothing is sent
    frozen = picture_number(page)
    scene.label = "blue"
    page.evaluate(NEWS_OF, "blue")
    assert text(page, "#label") == "red"
    assert shows(page, "red")
    assert picture_number(page) == frozen
    with page.expect_download() as download:
        page.locator("#snapshot").click()
    assert re.fullmatch(r"edgeclf-\d{8}-\d{6}-\d{3}-red-90\.jpg", download.value.suggested_filename)
    kept = cv2.imread(str(download.value.path()))
    assert abs(kept[60, 80].astype(int) - COLORS["red"]).max() < 16
    page.get_by_role("button", name="Live again").click()
    eventually(lambda: text(page, "#label") == "blue")
    eventually(lambda: shows(page, "blue"))


def test_a_snapshot_is_downloaded_under_a_name_that_says_what_it_is(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    with page.expect_download() as download:
        page.locator("#snapshot").click()
    assert re.fullmatch(r"edgeclf-\d{8}-\d{6}-\d{3}-red-90\.jpg", download.value.suggested_filename)
    assert cv2.imread(str(download.value.path())).shape == (240, 320, 3)


def test_the_token_is_asked_for_and_then_remembered(page: Page, state: LiveState, scene: Scene) -> None:
    view = WebView(state, host="0.0.0.0", port=0)
    view.start()
    try:
        address = f"http://127.0.0.1:{view.port}/"
        page.goto(address)
        assert page.locator("#picture").count() == 0
        page.get_by_label("This page asks for its token").fill("not-the-right-token")
        page.get_by_role("button", name="Open").click()
        eventually(lambda: page.locator("#wrong").is_visible())
        assert view.token is not None
        page.locator("#token").fill(view.token)
        page.get_by_role("button", name="Open").click()
        eventually(lambda: shows(page, "red"))
        assert view.token not in page.url
        page.goto(address)
        eventually(lambda: shows(page, "red"))
        assert page.evaluate("document.cookie") == ""
    finally:
        view.close()


def test_the_printed_address_opens_the_page_at_once(page: Page, state: LiveState, scene: Scene) -> None:
    view = WebView(state, host="0.0.0.0", port=0)
    view.start()
    try:
        page.goto(f"http://127.0.0.1:{view.port}/{view.url.rpartition('/')[2]}")
        eventually(lambda: shows(page, "red"))
        assert page.url == f"http://127.0.0.1:{view.port}/"
    finally:
        view.close()


def test_a_lost_source_is_named_over_a_greyed_picture_and_comes_back(
    page: Page, view: WebView, state: LiveState, scene: Scene
) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    assert page.locator("#banner").is_hidden()
    scene.paused = True
    state.set_source(SourceState("/dev/video0", "lost", "no such device; trying again"))
    state.problems.begin("disk", "/home/pi/frames: the disk is full")
    banner = page.get_by_role("alert").filter(has_text="lost")
    eventually(banner.is_visible, 2)
    assert text(page, "#banner") == "/dev/video0 is lost: no such device; trying again"
    assert "grayscale" in page.locator("#picture").evaluate("image => getComputedStyle(image).filter")
    assert text(page, "#problems") == "disk: /home/pi/frames: the disk is full".capitalize()
    scene.paused = False
    state.set_source(SourceState("/dev/video0", "running", "", 1))
    state.problems.end("disk")
    eventually(lambda: page.locator("#banner").is_hidden() and not text(page, "#problems"))
    eventually(lambda: page.locator("#picture").evaluate("image => getComputedStyle(image).filter") == "none")


def test_a_picture_without_successor_is_greyed_though_the_source_says_it_runs(
    page: Page, view: WebView, state: LiveState
) -> None:
    publish(state, "red", 0)
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    eventually(lambda: page.locator("#view.stale").count() == 1)
    assert re.fullmatch(r"\d+ s", text(page, "#frame-age"))


def test_the_page_finds_the_server_again(page: Page, state: LiveState, scene: Scene) -> None:
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    view.close()
    eventually(lambda: page.get_by_text("Connection lost").is_visible())
    scene.label = "blue"
    again = WebView(state, host="127.0.0.1", port=view.port)
    again.start()
    try:
        eventually(lambda: text(page, "#label") == "blue" and shows(page, "blue"))
        eventually(lambda: page.get_by_text("Connection lost").is_hidden())
    finally:
        again.close()
    page.errors.clear()  # type: ignore[attr-defined] - the browser's own words on the lost connection


def test_a_hidden_page_stops_the_stream(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red") and view.viewers == 1)
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    eventually(lambda: view.viewers == 0)
    scene.label = "green"
    page.evaluate(hide, False)
    eventually(lambda: shows(page, "green") and text(page, "#label") == "green")


def test_region_board_and_unknown_are_shown(page: Page, state: LiveState, view: WebView) -> None:
    state.set_board(BoardState(81.4, None, ("under-voltage", "frequency capped")))
    publish(state, "unknown", 0, geometry=Geometry(roi=(0.25, 0.25, 0.5, 0.5)), probability=0.41)
    page.goto(view.url)
    eventually(lambda: text(page, "#label") == "unknown")
    assert "unknown" in (page.locator("#label").get_attribute("class") or "")
    box = page.locator("#region-box").bounding_box()
    whole = page.locator("#view").bounding_box()
    assert box is not None
    assert whole is not None
    assert abs(box["width"] / whole["width"] - 0.5) < 0.02
    assert abs((box["x"] - whole["x"]) / whole["width"] - 0.25) < 0.02
    assert text(page, "#temperature") == "81 °C"
    assert text(page, "#throttled") == "under-voltage, frequency capped"
    assert page.locator("#clock").is_hidden()


def test_the_chart_draws_the_last_minute(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    count = """canvas => new Set(new Uint32Array(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    chart = page.locator("#chart")
    eventually(lambda: chart.evaluate(count) > 5)
    assert page.get_by_role("img", name="Label and probability over the last 60 seconds").count() == 1


def new_shelf() -> Shelf:
    return Shelf(["one", "two", "three"], {"blue": 0.5, "red": 0.4})


@pytest.mark.parametrize("size", SIZES)
def test_one_click_labels_a_collected_frame(page: Page, state: LiveState, size: str) -> None:
    shelf = new_shelf()
    publish(state, "red", 0)
    view = WebView(state, host="127.0.0.1", port=0, collected=shelf)
    view.start()
    try:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))  # type: ignore[arg-type]
        page.goto(view.url)
        cards = page.locator("#collected > li")
        eventually(lambda: cards.count() == 3)
        cards.first.locator("img").scroll_into_view_if_needed()
        eventually(lambda: cards.first.locator("img").evaluate("image => image.naturalWidth") == 320)
        cards.first.get_by_role("button", name="red").click()
        eventually(lambda: shelf.sorted == {"one": "red"})
        eventually(lambda: cards.count() == 2)
        assert text(page, "#labelling-status") == "Sorted into red."
        cards.first.get_by_label("Another label").fill("cat")
        page.keyboard.press("Enter")
        eventually(lambda: shelf.sorted == {"one": "red", "two": "cat"})
        eventually(lambda: cards.count() == 1)
        cards.first.get_by_role("button", name="Delete").click()
        eventually(lambda: cards.count() == 0)
        assert shelf.waiting == {}
        eventually(lambda: "No frame waits" in text(page, "#labelling-note"))
    finally:
        view.close()


@pytest.mark.parametrize("size", SIZES)
def test_many_frames_are_sorted_deleted_and_brought_back_without_a_camera(page: Page, size: str) -> None:
    shelf = Shelf(["one", "two", "three", "four"], {"blue": 0.5, "red": 0.4})
    view = WebView(new_state(), host="127.0.0.1", port=0, collected=shelf, camera=False)
    view.start()
    try:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))  # type: ignore[arg-type]
        page.goto(view.url)
        cards = page.locator("#collected > li")
        eventually(lambda: cards.count() == 4)
        assert "4 frames wait" in text(page, "#labelling-note")
        assert page.locator("#selection").is_hidden()
        for number in (0, 2):
            cards.nth(number).get_by_label("Select").check()
        assert text(page, "#selection-count") == "2 selected"
        page.locator("#selection").get_by_role("button", name="red", exact=True).click()
        eventually(lambda: shelf.sorted == {"one": "red", "three": "red"})
        eventually(lambda: text(page, "#labelling-status") == "2 of 2 sorted into red.")
        page.get_by_role("button", name="Select all").click()
        page.get_by_label("Label for the selected frames").fill("t-shirt/top")
        page.keyboard.press("Enter")
        eventually(lambda: shelf.sorted.get("four") == "t-shirt/top")
        eventually(lambda: "No frame waits" in text(page, "#labelling-note"))
        page.get_by_role("button", name="Undo", exact=True).first.click()
        eventually(lambda: set(shelf.waiting) == {"two", "four"})
        eventually(lambda: text(page, "#labelling-status") == "Undone: 2 frames are back.")
        eventually(lambda: cards.count() == 2)
        page.get_by_role("button", name="Select all").click()
        page.locator("#selection").get_by_role("button", name="Delete").click()
        eventually(lambda: shelf.waiting == {})
        page.get_by_text("What was done last").click()
        eventually(lambda: page.locator("#decision-list li").count() == 2)
        assert "2 frames deleted" in text(page, "#decision-list")
        page.get_by_role("button", name="Undo all of these").click()
        eventually(lambda: set(shelf.waiting) == {"one", "two", "three", "four"})
        assert shelf.sorted == {}
        eventually(lambda: cards.count() == 4)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    finally:
        view.close()


def test_frames_are_sorted_by_the_keyboard_alone(page: Page) -> None:
    shelf = new_shelf()
    view = WebView(new_state(), host="127.0.0.1", port=0, collected=shelf, camera=False)
    view.start()
    try:
        page.goto(view.url)
        cards = page.locator("#collected > li")
        eventually(lambda: cards.count() == 3)
        cards.first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("2")  # the second button of the second card
        eventually(lambda: shelf.sorted == {"two": "red"})
        eventually(lambda: page.evaluate("document.activeElement.dataset.name") == "three")
        page.keyboard.press("x")
        assert text(page, "#selection-count") == "1 selected"
        page.keyboard.press("Delete")
        page.keyboard.press("u")  # at once: it undoes the deletion, not what came before
        eventually(lambda: set(shelf.waiting) == {"one", "three"} and shelf.sorted == {"two": "red"})
        cards.nth(1).focus()
        page.keyboard.press("Delete")
        eventually(lambda: set(shelf.waiting) == {"one"})
        eventually(lambda: page.evaluate("document.activeElement.dataset.name") == "one")
        page.keyboard.press("u")
        eventually(lambda: set(shelf.waiting) == {"one", "three"})
        eventually(lambda: cards.count() == 2)
        page.keyboard.press("Control+z")
        eventually(lambda: shelf.sorted == {})
        cards.first.get_by_label("Another label").focus()
        page.keyboard.type("u1x")  # what is typed is typed
        assert cards.first.get_by_label("Another label").input_value() == "u1x"
        assert len(shelf.waiting) == 3
    finally:
        view.close()


def test_neither_a_second_press_nor_a_new_frame_changes_what_is_sorted(page: Page) -> None:
    shelf, written = new_shelf(), threading.Event()
    label = shelf.label

    def write_slowly(names: str | Sequence[str], name: str) -> Decision:
        written.wait(30)
        return label(names, name)

    shelf.label = write_slowly  # type: ignore[method-assign]
    view = WebView(new_state(), host="127.0.0.1", port=0, collected=shelf, camera=False)
    view.start()
    try:
        page.goto(view.url)
        cards = page.locator("#collected > li")
        eventually(lambda: cards.count() == 3)
        cards.first.focus()
        page.keyboard.press("2")
        page.keyboard.press("2")  # before the first is answered
        written.set()
        eventually(lambda: text(page, "#labelling-status") == "Sorted into red.")
        eventually(lambda: page.evaluate("document.activeElement.dataset.name") == "two")
        cards.first.get_by_role("button", name="blue").dblclick()
        eventually(lambda: cards.count() == 1)
        assert shelf.sorted == {"one": "red", "two": "blue"}
        # newest first, as the server lists them; the card that is there stays where it is
        shelf.waiting = {"newest": dataclasses.replace(shelf.waiting["three"], name="newest"), **shelf.waiting}
        eventually(lambda: cards.count() == 2)
        names = cards.evaluate_all("cards => cards.map((card) => card.dataset.name)")
        assert names == ["three", "newest"]
        other = cards.first.get_by_label("Another label")
        assert other.get_attribute("autocapitalize") == "none"
        other.fill("Red")  # as a phone writes it
        page.keyboard.press("Enter")
        eventually(lambda: shelf.sorted.get("three") == "red")
    finally:
        view.close()


def test_what_another_viewer_sorted_goes_from_this_page_too(page: Page, browser: Browser) -> None:
    shelf = new_shelf()
    view = WebView(new_state(), host="127.0.0.1", port=0, collected=shelf, camera=False)
    view.start()
    try:
        page.goto(view.url)
        cards = page.locator("#collected > li")
        eventually(lambda: cards.count() == 3)
        shelf.label("one", "red")
        cards.first.get_by_role("button", name="blue").click()
        eventually(lambda: "Gone: sorted or deleted by somebody else" in text(page, "#labelling-status"))
        assert shelf.sorted == {"one": "red"}
        eventually(lambda: cards.count() == 2)
    finally:
        view.close()


def test_the_end_of_a_video_is_said_over_its_last_picture_and_notes_are_shown(
    page: Page, view: WebView, state: LiveState
) -> None:
    publish(state, "red", 0)
    state.set_notes(("the input range is -1..1, measured on 64 frames; --normalize says it",))
    state.set_source(SourceState("street.mp4", "ended", "240 results; the page stays up until edgeclf is stopped"))
    page.goto(view.url)
    banner = "street.mp4 has ended: 240 results; the page stays up until edgeclf is stopped"
    eventually(lambda: text(page, "#banner") == banner)
    assert text(page, "#notes").startswith("the input range is -1..1, measured on 64 frames")
    eventually(lambda: page.evaluate("performance.now()") > 3000)
    assert page.locator("#picture").evaluate("image => getComputedStyle(image).filter") == "none"
    assert page.evaluate(INKED_AT_THE_RIGHT) > 0  # the chart ends with the video
    state.set_notes(())
    eventually(lambda: page.locator("#notes li").count() == 0)


def test_what_turns_or_hides_text_is_shown_as_an_escape(page: Page) -> None:
    odd = "c\u202eta\x1b[2J\u200b<b>"
    state = new_state((odd, "नी\u200cली", "dog"))
    state.model = f"model {odd}"
    state.set_source(SourceState(f"/dev/{odd}", "lost", f"unplugged {odd}"))
    state.set_notes((f"note {odd}",))
    state.problems.begin("record", f"problem {odd}")
    publish(state, odd, 1)
    shown = r"c\u202eta\x1b[2J\u200b<b>"
    with contextlib.closing(WebView(state, host="127.0.0.1", port=0)) as view:
        view.start()
        page.goto(view.url)
        eventually(lambda: text(page, "#label") == shown)
        eventually(lambda: shown in text(page, "#banner"))
        for place in ("#model", "#source-name", "#banner", "#problems", "#notes", "#changes", "#top"):
            assert shown in text(page, place), place
        assert text(page, "#top li:nth-child(2) .name") == "नी\u200cली"  # joiners stay
        assert page.title() == f"{shown} – edgeclf live"
        everything = page.locator("body").inner_text()
        assert not [character for character in ("\u202e", "\x1b", "\u200b") if character in everything]


def test_no_best_guess_is_shown_where_the_model_computes_no_numbers(
    page: Page, state: LiveState, view: WebView
) -> None:
    publish(state, "unknown", 1, probability=0.0)
    page.goto(view.url)
    eventually(lambda: text(page, "#probability") == "no best guess")


def test_without_collecting_there_is_nothing_to_label(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    assert page.locator("#labelling").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_desk(browser: Browser, state: LiveState, scheme: str) -> None:
    long = "a-class-name-that-is-much-longer-than-anybody-would-like-it-to-be-on-a-phone"
    state.set_source(
        SourceState("rtsp://camera.example.org/a/very/long/path/to/some/stream/that/goes/on", "lost", long)
    )
    state.set_board(BoardState(81.4, 1500.0, ("under-voltage", "frequency capped")))
    state.problems.begin("record", "/" + "very-long-name/" * 20)
    publish(state, long, 0, probability=0.5)
    view = WebView(state, host="127.0.0.1", port=0, collected=new_shelf())
    view.start()
    try:
        for width, height in SIZES.values():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,  # type: ignore[arg-type]
            )
            page = context.new_page()
            page.goto(view.url)
            eventually(lambda page=page: text(page, "#label") == long)  # type: ignore[misc]
            eventually(lambda page=page: page.locator("#collected > li").count() == 3)  # type: ignore[misc]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            wide = "all => all.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.id)"
            assert page.locator("body *:visible").evaluate_all(wide) == []
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert paper == {"light": "rgb(244, 245, 243)", "dark": "rgb(16, 20, 19)"}[scheme]
            context.close()
    finally:
        view.close()


def test_the_keyboard_reaches_everything(page: Page, view: WebView, scene: Scene) -> None:
    page.goto(view.url)
    eventually(lambda: shows(page, "red"))
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["freeze", "snapshot", "changes"]
    page.locator("#freeze").focus()
    page.keyboard.press("Space")
    assert text(page, "#freeze") == "Live again"
