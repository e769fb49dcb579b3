"""The page: one file that loads nothing, agrees with the figures, and survives hostile class names."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import ImageView, Split
from edgeclf.inference.explaining import ModelExplainer
from edgeclf.measure.changes import count_flips, is_significant
from edgeclf.measure.compare_report import ComparedModel, CompareReport, Setting
from edgeclf.measure.comparison import ModelPredictions, compare_models
from edgeclf.measure.ensemble_report import EnsembleAccuracy, EnsembleResult, MemberResult
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.report import (
    BaselineResult,
    BenchData,
    BenchReport,
    ClassCost,
    Comparison,
    Flip,
    ModelResult,
)
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.report import wording
from edgeclf.report.compare_html import render_comparison
from edgeclf.report.flip_maps import FlipMaps
from edgeclf.report.html import render_report, write_report

VOID = {"meta", "img", "br", "link", "input", "hr"}


def model(name: str = "int8", **changes: object) -> ModelResult:
    made = ModelResult(
        path=f"runs/x/compressed/{name}.tflite", name=name, runtime="litert", runtime_version="2.3.0", threads=1,
        input_size=(32, 32), top1=0.84, top1_interval=(0.83, 0.85), difference=-0.005,
        difference_interval=(-0.008, -0.002), p_value=0.001, size_bytes=95_000, gzip_bytes=80_000, parameters=78_000,
        macs=12_500_000, latency_ms=Percentiles(0.1, 0.12, 0.15), runs=1000, warm_up_runs=50, steady=True, spread=0.01,
        load_ms=1.5, preprocessing_ms=Percentiles(0.2, 0.3, 0.4), peak_memory_bytes=20_000_000,
        model_memory_bytes=1_000_000, memory_kind="anonymous", input_range=(0, 255), integrity="verified", notes=(),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def report(names: tuple[str, ...] = ("cat", "dog"), models: tuple[ModelResult, ...] | None = None) -> BenchReport:
    models = models or (model(),)
    costs = tuple(ClassCost(n, 500, 0.84, 0.85, -0.01 * i, (-0.02 * i, 0.0), 0.5) for i, n in enumerate(names))
    flips = (
        Flip("a.jpg", 0, names[0], names[0], names[1], "lost"),
        Flip("b.jpg", 1, names[1], names[0], names[1], "gained"),
    )
    return BenchReport(
        machine=replace(describe_machine(), load_average=0.0, governor=None),
        data=BenchData("photos", "photos", "test", 1000, names, "f00d", 1),
        baseline=BaselineResult("x/model.keras", "CPU (test)", 2, None, 0.845, (0.83, 0.86), None, 78_000, 400_000),
        models=models,
        comparisons=tuple(Comparison(m.name, m.path, costs, flips) for m in {m.name: m for m in models}.values()),
        seed=0,
        seconds=1.0,
    )


@pytest.fixture
def images() -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    return Split(ImageView(pixels, np.arange(2)), np.array([0, 1]), ("a.jpg", "b.jpg"), ("a", "b"))


class Checker(HTMLParser):
    """Open tags must close in order; notes what would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value or "" for key, value in attributes if key in ("src", "href", "srcset", "data")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for key, value in attributes if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def test_maps_of_both_networks_stand_below_changed_images(images: Split) -> None:
    opened = []

    def open_model(path: Path) -> ModelExplainer:
        opened.append(str(path))
        return ModelExplainer(ModelFile.read(locate_model("cifar10")))

    plain = parsed(render_report(report(), images=images)).loaded
    maps = FlipMaps(lambda: open_model(Path("float")), open_model)
    shown = parsed(render_report(report(), images=images, maps=maps)).loaded
    # two images, of each the map of the float network and that of the model: here the same network
    assert len(shown) == len(plain) + 4
    added = [source for source in shown if source not in plain]
    assert added[0] == added[1] != added[2] == added[3]
    assert opened == ["float", model().path]
    refused = FlipMaps(None, lambda path: ModelExplainer(ModelFile.read(Path(__file__).parent / "tflite/int8.tflite")))
    text = parsed(render_report(report(), images=images, maps=refused)).text
    assert text.count("no maps of evidence: int8.tflite: a class activation map needs") == 1


def test_maps_are_of_pictures_that_were_measured_alone() -> None:
    pixels = np.zeros((2, 48, 48, 3), np.uint8)
    larger = Split(ImageView(pixels, np.arange(2)), np.array([0, 1]), ("a.jpg", "b.jpg"), ("a", "b"))
    maps = FlipMaps(None, lambda path: ModelExplainer(ModelFile.read(locate_model("cifar10"))))
    page = parsed(render_report(report(), images=larger, maps=maps))
    assert page.text.count("it was measured on pictures of 32×32 pixels, and these have 48×48") == 1
    assert "Below each image" not in page.text
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    cropped = Split(ImageView(pixels, np.arange(2)), np.array([0, 1]), ("a.jpg", "b.jpg"), ("a", "b"))
    maps = FlipMaps(None, lambda path: ModelExplainer(ModelFile.read(locate_model("cifar10"))), {model().path: "crop"})
    page = parsed(render_report(report(), images=cropped, maps=maps))
    assert page.text.count("it was measured on pictures by the fit crop, and these have another") == 1


def test_a_matrix_rounds_no_mistake_away() -> None:
    made = report()
    one = replace(made.comparisons[0], confusion=((199, 1, 0), (2, 198, 0)))
    page = render_report(replace(made, comparisons=(one,)))
    cells = re.findall(r'<td class="(?:right|wrong|none)[^>]*>([^<]*)</td>', page)
    assert cells == ["99", "·", "1", "99"]


def test_the_page_is_whole_and_loads_nothing(images: Split) -> None:
    page = render_report(report(), images=images)
    checker = parsed(page)
    assert all(value.startswith(("data:", "#")) for value in checker.loaded)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "<script" not in page
    # Every colour of the plots follows the reader's light or dark setting.
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]{3}\b", "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL)))
    assert page.count("<svg") == 2 * 3


def test_figures_stand_in_the_table(images: Split) -> None:
    text = parsed(render_report(report(), images=images)).text
    for figure in (
        "84.00 %",
        "83.00 to 85.00",
        "−0.50",
        "−0.80 to −0.20",
        "0.001",
        "95.0 kB",
        "100 µs",
        "12.5 M",
        "1.5 ms",
    ):
        assert figure in text, figure


def test_pictures_are_the_images_themselves(images: Split) -> None:
    page = render_report(report(), images=images)
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(found) == 2
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(found[0]), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded[..., ::-1], images.images[0])


def test_class_names_are_text_and_never_markup(images: Split) -> None:
    hostile = ('<script>alert("x")</script>', "кошка 猫 & $\\frac{a$ _^ {{ x }}")
    page = render_report(report(hostile), images=images)
    checker = parsed(page)
    assert "<script>" not in page
    assert hostile[0] in checker.text
    assert hostile[1] in checker.text


def test_page_and_terminal_write_the_same_numbers() -> None:
    from rich.console import Console

    from edgeclf.cli.rendering_bench import render_bench

    fast = model(latency_ms=Percentiles(0.0004, 0.0123, 1.234), size_bytes=98_833, gzip_bytes=80_123, p_value=1e-9)
    made = report(models=(fast,))
    console = Console(width=200)
    with console.capture() as capture:
        render_bench(console, made)
    page, terminal = parsed(render_report(made)).text, capture.get()
    for figure in ("0.4 µs", "12.3 µs", "1.23 ms", "98.8 kB", "80.1 kB", "< 0.0001", "12.5 M", "78,000", "1.5 ms"):
        assert figure in page, figure
        assert figure in terminal, figure
    for figure in ("84.00 %", "83.00 to 85.00", "−0.50", "−0.80 to −0.20", "20.0 MB"):
        assert figure in page, figure
        assert figure in terminal, figure


def test_a_class_interval_agrees_with_its_verdict(images: Split) -> None:
    """Forty pairs of class and model, one of which would pass alone."""
    names = tuple(f"class {k}" for k in range(20))
    labels = np.repeat(np.arange(20), 100)
    baseline = labels.copy()
    first = labels.copy()
    first[:7] = 1  # 7 of 100 images of class 0 lost: p = 0.016 alone, 0.31 among 20, 0.63 among 40
    second = labels.copy()
    second[:30] = 1  # 30 lost: beyond chance in any company
    view = ImageView(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(len(labels), np.int64))
    paths = tuple(map(str, range(len(labels))))
    split = Split(view, labels, paths, paths)

    def predictions(name: str, indices: np.ndarray) -> ModelPredictions:
        return ModelPredictions(name, f"{name}.tflite", split, names, indices, tuple(names[k] for k in indices))

    both = compare_models([predictions("a", first), predictions("b", second)], baseline)
    for verdict in both:
        for cost in verdict.comparison.per_class:
            assert cost.p_value is not None
            assert cost.difference_interval is not None
            low, high = cost.difference_interval
            assert low <= (cost.difference or 0.0) <= high
            assert (low > 0 or high < 0) == (cost.p_value < 0.05) == is_significant(cost)
    lost = both[0].comparison.per_class[0]
    assert lost.difference == -0.07
    assert lost.p_value == pytest.approx(39 * 2 / 2**7)  # the second smallest of forty
    assert "no single class loses more than chance" in wording.class_sentence(both[0].comparison)
    assert "beyond chance" in wording.class_sentence(both[1].comparison)
    # The model's own figures do not depend on its company.
    alone = compare_models([predictions("a", first)], baseline)[0]
    assert (alone.p_value, alone.difference_interval) == (both[0].p_value, both[0].difference_interval)
    assert alone.comparison.per_class[0].p_value == pytest.approx(20 * 2 / 2**7)


def test_without_data_latency_alone_is_drawn() -> None:
    bare = model(
        top1=None, top1_interval=None, difference=None, difference_interval=None, p_value=None, preprocessing_ms=None
    )
    empty = replace(report(), data=None, baseline=None, models=(bare,), comparisons=())
    page = render_report(empty)
    checker = parsed(page)
    assert page.count("<svg") == 2 * 1
    assert "Top-1" not in checker.text
    assert "int8 takes 95.0 kB and 100 µs an image on 1 thread." in checker.text


def test_without_a_baseline_nothing_is_compared() -> None:
    alone = model(difference=None, difference_interval=None, p_value=None)
    costs = (ClassCost("cat", 10, 0.9, None, None, None, None),)
    page = render_report(
        replace(report(), baseline=None, models=(alone,), comparisons=(Comparison("int8", "p", costs, ()),))
    )
    assert "Differences by class" not in page
    assert page.count("<svg") == 2 * 2


def test_many_models_threads_and_classes_still_make_a_page() -> None:
    models = tuple(
        model(
            f"m{i}", threads=t, latency_ms=Percentiles(0.1 * (i + 1), 0.2 * (i + 1), 3.0), size_bytes=10_000 * (i + 1)
        )
        for i in range(10)
        for t in (1, 2, 4)
    )
    checker = parsed(render_report(report(tuple(f"class {i}" for i in range(100)), models)))
    assert "80 more are in bench.json" in checker.text


def test_sentences_say_what_the_figures_say() -> None:
    lines = wording.summary(report())
    assert lines[0] == (
        "int8 gets 84.00 % of 1,000 test images right, 0.50 points fewer than the float network, more than chance "
        "would explain (p = 0.001); it takes 95.0 kB (3.3 times less than 312 kB of float weights) and 100 µs an image "
        "on 1 thread."
    )
    equal = wording.summary(report(models=(model(difference=0.0, p_value=1.0),)))[0]
    assert "exactly as many as the float network;" in equal
    doubtful = wording.summary(report(models=(model(difference=0.001, p_value=0.4),)))[0]
    assert "0.10 points more than the float network, a difference that chance can explain (p = 0.4)" in doubtful


def test_a_lead_within_the_noise_is_no_lead() -> None:
    close = (model("a"), model("b", latency_ms=Percentiles(0.102, 0.12, 0.15), size_bytes=94_000))
    assert "No model is clearly the fastest or smallest." in wording.summary(report(models=close))
    clear = (model("a"), model("b", latency_ms=Percentiles(0.2, 0.3, 0.4), size_bytes=200_000, top1=0.83))
    lines = wording.summary(report(models=clear))
    assert "a is clearly the fastest and smallest." in lines
    assert "b is dominated by a, which is smaller, faster and no less accurate." in lines
    lines = wording.summary(report(models=(*close, replace(clear[1], name="c"))))
    assert "a and b are the fastest and smallest, too close to each other to rank." in lines


def test_warnings_name_what_might_mislead() -> None:
    assert wording.list_warnings(report()) == []
    shaky = model(spread=0.2, steady=False, integrity="unverified", notes=("pixels enter as 0 to 1 (measured)",))
    busy = replace(report(models=(shaky,)), machine=replace(report().machine, load_average=9.0, governor="powersave"))
    warnings = " ".join(wording.list_warnings(busy))
    for word in ("Other programs", "still getting faster", "±20 %", "Not made by edgeclf", "pixels enter", "powersave"):
        assert word in warnings


def test_the_file_is_written_atomically(tmp_path: Path, images: Split) -> None:
    path = write_report(report(), tmp_path / "deep" / "report.html", images=images)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_conditions_classes_and_inputs_stand_on_the_page(images: Split) -> None:
    from edgeclf.measure.conditions import ConditionResult

    names = ("cat", "<b>dog</b>")
    sure = ClassCost("cat", 500, 0.80, 0.85, -0.05, (-0.08, -0.02), 0.0004)
    unsure = ClassCost(names[1], 500, 0.84, 0.85, -0.01, (-0.03, 0.01), 0.5)
    made = report(names, (model(fit="crop", input_size=(96, 160)), model("int4", input_size=(96, 160))))
    made = replace(
        made,
        comparisons=tuple(replace(one, per_class=(unsure, sure)) for one in made.comparisons),
        conditions=(
            ConditionResult("drop>0.4", "int8", None, 0.005, 0.004, None, True),
            ConditionResult("class_drop>9", "int8", None, 0.05, 0.09, "cat", False),
            ConditionResult("latency>5ms", "int4", 1, 0.1, 5.0, None, False),
        ),
    )
    checker = parsed(render_report(made, images=images))
    for text in ("drop>0.4", "0.5 points", "failed", "class_drop>9", "5 points", "100 µs", "1 thread"):
        assert text in checker.text, text
    assert "int8: 160×96 pixels, fit crop (the largest central region of the input's aspect ratio)" in checker.text
    assert "int4: 160×96 pixels, fit stretch (stretched)" in checker.text
    words = " ".join(checker.text.split())
    assert words.index("beyond chance", words.index("every class")) < words.index("within chance"), "losses come first"
    for figure in ("80.00 %", "−5.00", "−8.00 to −2.00", "0.0004"):
        assert figure in words[words.index("every class") :], figure


def comparison(names: tuple[str, ...] = ("cat", "dog")) -> CompareReport:
    one = ComparedModel(
        f"runs/{names[0]}", "runs/a/model.keras", "run", (96, 160), "crop", 0.8, (0.7, 0.9), 78_000, 12_500_000,
        400_000, 96_000, {}, "record", ("it is new",),
    )  # fmt: skip
    costs = tuple(ClassCost(name, 100, 0.8, 0.85, -0.05, (-0.09, -0.01), 0.01) for name in names)
    flips, plain = report(names).comparisons[0].flips, "b-int8.tflite"
    return CompareReport(
        one, replace(one, name="second", top1=0.85, compressed={plain: 97_993}, plain_int8=plain, notes=()),
        BenchData("photos", "photos", "test", 200, names, "f00d", 1), 3, 0.05, (0.01, 0.09), 0.02, costs, flips,
        count_flips(flips), (Setting("epochs", 30, None), Setting("weights", names[1], "auto")), ("a note",), 1.0,
    )  # fmt: skip


def test_the_page_of_a_comparison_is_whole_and_agrees_with_the_terminal(images: Split) -> None:
    from rich.console import Console

    from edgeclf.cli.rendering_compare import render_compare

    hostile = ('<script>alert("x")</script>', "<i>猫</i> {{ x }}")
    made = comparison(hostile)
    page = render_comparison(made, images=images)
    checker = parsed(page)
    assert "<script>" not in page
    assert "<i>" not in page
    assert all(value.startswith("data:") for value in checker.loaded)
    assert len(checker.loaded) == 2
    console = Console(width=250)
    with console.capture() as capture:
        render_compare(console, made)
    for text in ("80.00 %", "85.00 %", "+5.00", "+1.00 to +9.00", "0.02", "78,000", "12.5 M", "400 kB", "about 96.0 kB",
                 "98.0 kB", "1 lost, 1 gained, 0 changed", "epochs", "auto", "beyond chance", "a note",
                 "it is new", *hostile):  # fmt: skip
        assert text in checker.text, text
        assert text in capture.get(), text
    assert "5.00 points more, more than chance explains (p = 0.02)" in checker.text


def test_an_ensemble_stands_on_the_page_beside_the_models() -> None:
    members = tuple(
        MemberResult(f"run{number}", f"runs/run{number}", "network", (32, 32), 0.8, (0.7, 0.9), 1.5)
        for number in (1, 2)
    )
    accuracy = EnsembleAccuracy(0.875, (0.8, 0.93), "run2", "validation", 0.02, (0.01, 0.03), 0.004)
    made = replace(report(), ensembles=(EnsembleResult("run1+run2", "average", members, accuracy, 3.0, ("a remark",)),))
    page = render_report(made)
    parsed(page)
    assert "Ensemble run1+run2" in page
    assert "Against run2, the best member by validation: +2.00 points" in page
    assert "<li>a remark</li>" in page
    assert BenchReport.from_json(made.to_json()) == made
