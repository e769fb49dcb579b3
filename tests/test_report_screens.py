"""The report at the width of a phone and of a desktop, light and dark, and its confusion matrix."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from presence import need

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

import test_report as pages

from edgeclf.dataset import ImageView, Split
from edgeclf.measure.board import BoardReading, BoardReadings
from edgeclf.measure.comparison import ModelPredictions, compare_models
from edgeclf.measure.report import BenchReport, Counterpart, ReportComparison
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.sustained import Sustained, SustainedModel
from edgeclf.report.compare_html import render_comparison
from edgeclf.report.confusion import make_matrices
from edgeclf.report.html import render_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLASSES = tuple(["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"])
NAMES = ("clothing-160px-prune50-cluster16-qat-int8", "int8")

LOOK = """() => {
    const clipped = e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible";
    const seen = e => e.getBoundingClientRect().width > 0;
    const cells = [...document.querySelectorAll("td")].filter(seen);
    return {
        width: document.documentElement.scrollWidth,
        hidden: [...document.querySelectorAll("body *")].filter(e => seen(e) && clipped(e)).map(
            e => e.outerHTML.slice(0, 90)),
        outside: cells.filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.textContent),
        figures: cells.map(e => e.textContent),
        letters: [...document.querySelectorAll("svg text")].filter(seen).map(
            e => parseFloat(getComputedStyle(e).fontSize) * e.ownerSVGElement.getScreenCTM().a),
        drawings: [...document.querySelectorAll("svg")].filter(seen).length,
        page: getComputedStyle(document.body).backgroundColor,
    };
}"""


def made_report(names: tuple[str, ...] = CLASSES) -> BenchReport:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(names)), 50)
    before = np.where(random.random(len(labels)) < 0.1, random.integers(0, len(names), len(labels)), labels)
    paths = tuple(map(str, range(len(labels))))
    split = Split(ImageView(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(len(labels), np.int64)), labels, paths, paths)
    predictions = []
    for name in NAMES:
        found = np.where(random.random(len(labels)) < 0.05, random.integers(0, len(names), len(labels)), before)
        predictions.append(
            ModelPredictions(name, f"{name}.tflite", split, names, found, tuple(names[k] for k in found))
        )
    verdicts = compare_models(predictions, before)
    models = tuple(pages.model(name, size_bytes=95_000 * (k + 1)) for k, name in enumerate(NAMES))
    hot = BoardReading(82.1, 600.0, ("under-voltage", "throttled", "soft temperature limit"), ("frequency capped",))
    worked = SustainedModel(NAMES[0], 1, Percentiles(12, 13, 14), Percentiles(22, 23, 24), 1.83, 4000)
    made = replace(
        pages.report(names, models),
        comparisons=tuple(verdict.comparison for verdict in verdicts),
        board=BoardReadings(hot, hot),
        sustained=Sustained(10, 600, False, 60, hot, hot, 82.1, ("throttled",), (worked,)),
    )
    there = tuple(Counterpart(model.name, 1, True, model, 1.23, ()) for model in models)
    return replace(made, against=ReportComparison("b.json", made.machine, made.data, there, ()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    need(found is not None, "Chromium or playwright")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def look(browser: Browser, page: str, width: int, scheme: Any = "light") -> dict[str, Any]:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    opened = context.new_page()
    opened.set_content(page)
    found = dict(opened.evaluate(LOOK))
    context.close()
    return found


@pytest.mark.slow
def test_every_figure_is_read_on_a_phone_without_scrolling_sideways(browser: Browser) -> None:
    page = render_report(made_report())
    phone, desktop = look(browser, page, 390), look(browser, page, 1280)
    for found, width in ((phone, 390), (desktop, 1280)):
        assert found["width"] == width
        assert found["hidden"] == []
        assert found["outside"] == []
        assert found["drawings"] == 3
        # letters of drawings, in pixels of the screen
        assert min(found["letters"]) > 9.5
    # the phone leaves empty cells out, and no figure
    assert sorted(filter(None, phone["figures"])) == sorted(filter(None, desktop["figures"]))
    dark = look(browser, page, 390, "dark")
    assert dark["page"] != phone["page"]
    assert (dark["width"], dark["hidden"]) == (390, [])


@pytest.mark.slow
def test_a_comparison_is_read_on_a_phone(browser: Browser) -> None:
    page = render_comparison(pages.comparison())
    phone, desktop = look(browser, page, 390), look(browser, page, 1280)
    for found, width in ((phone, 390), (desktop, 1280)):
        assert (found["width"], found["hidden"], found["outside"]) == (width, [], [])
    assert sorted(filter(None, phone["figures"])) == sorted(filter(None, desktop["figures"]))


@pytest.mark.slow
def test_a_matrix_of_many_classes_gives_way_to_its_mistakes_on_a_phone(browser: Browser) -> None:
    names = tuple(f"class number {k}" for k in range(20))
    found = look(browser, render_report(made_report(names)), 390)
    assert (found["width"], found["hidden"]) == (390, [])


def test_the_matrix_is_counted_and_in_percent() -> None:
    """Three of class a: two right, one taken for b; four of class b: one right, two for a, one for something else."""
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    found = np.array([0, 0, 1, 1, 0, 0, -1])
    paths = tuple("abcdefg")
    split = Split(ImageView(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(7, np.int64)), labels, paths, paths)
    predictions = ModelPredictions("int8", "int8.tflite", split, ("a", "b"), found, tuple("aabbaax"))
    (verdict,) = compare_models([predictions], None)
    assert verdict.comparison.confusion == ((2, 1, 0), (2, 1, 1))
    report = replace(pages.report(("a", "b")), comparisons=(verdict.comparison,))
    (matrix,) = make_matrices(report)
    assert matrix.columns == ("a", "b", "(another class)")
    assert [(m.label, m.predicted, m.count, m.images) for m in matrix.mistakes] == [
        ("b", "a", 2, 4), ("a", "b", 1, 3), ("b", "(another class)", 1, 4),
    ]  # fmt: skip
    text = pages.parsed(render_report(report)).text
    assert "67" in text
    assert "b → a: 50.0 % (2 of 4)" in text
    assert BenchReport.from_json(report.to_json()) == report


def test_many_classes_have_no_matrix_in_the_file() -> None:
    names = tuple(map(str, range(101)))
    labels = np.arange(101)
    paths = tuple(names)
    split = Split(ImageView(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(101, np.int64)), labels, paths, paths)
    (verdict,) = compare_models([ModelPredictions("m", "m.tflite", split, names, labels, names)], None)
    assert verdict.comparison.confusion == ()


@pytest.mark.slow
def test_what_training_draws_has_percent_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeclf.training import plots

    drawn: list[str] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.extend(_texts(figure)))
    plots.plot_confusion([[3, 1], [0, 2]], ["a", "b"], "t", tmp_path / "c.png")
    assert {"75 %\n3", "25 %\n1", "100 %\n2"} <= set(drawn)


def _texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]
