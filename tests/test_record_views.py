"""Records in a line and in a notebook: short, complete where there is room, and harmless."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser

import edgeclf
from edgeclf.inference.classifier import LabelScore, Prediction
from edgeclf.inference.photos import PhotoLabels, PredictReport
from edgeclf.record_views import LONGEST_LINE, LONGEST_PAGE
from edgeclf.records import Record
from edgeclf.streaming.loop.settings import LiveSettings, Smoothing

SCRIPT = '<script>alert("x")</script>&\x1b[31m\u202e'


def report(count: int, text: str = "cat") -> PredictReport:
    labels = tuple(LabelScore(text, k, 0.5) for k in range(5))
    photos = tuple(PhotoLabels(f"{text}/{number}.jpg", labels) for number in range(count))
    return PredictReport("m.tflite", "litert", "2", photos, (), (text,) * count)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_small_record_is_written_as_python_would() -> None:
    assert repr(Smoothing()) == "Smoothing(seconds=0.3, threshold=None, hysteresis=0.1)"
    assert repr(LabelScore("cat", 1, 0.25)) == "LabelScore(label='cat', index=1, probability=0.25)"
    one = Prediction((LabelScore("cat", 1, 0.25),))
    shown = "Prediction(labels=(LabelScore(label='cat', index=1, probability=0.25),), label='', novelty=None)"
    assert repr(one) == shown
    assert eval(repr(one)) == one


def test_a_large_one_is_short_and_counts_what_is_missing() -> None:
    shown = repr(report(5000, "long " * 1000))
    assert len(shown) <= LONGEST_LINE
    assert shown.startswith("PredictReport(model='m.tflite', runtime='litert', runtime_version='2', predictions=(")
    assert "… 4997 more" in repr(report(5000))
    assert len(repr(LiveSettings())) <= LONGEST_LINE


def test_a_class_with_a_line_of_its_own_keeps_it() -> None:
    @dataclass(frozen=True)
    class Own(Record):
        value: int = 1

        def __repr__(self) -> str:
            return "own"

    @dataclass(frozen=True)
    class Below(Own):
        other: int = 2

    assert (repr(Own()), repr(Below())) == ("own", "own")


def test_the_table_holds_every_field_and_is_bounded() -> None:
    page = Tags(report(3)._repr_html_())
    assert not page.open
    for word in ("PredictReport", "m.tflite", "cat/0.jpg", "cat/2.jpg", "predictions", "unreadable", "notes"):
        assert word in page.text
    large = report(100_000, "long " * 1000)._repr_html_()
    assert len(large) <= LONGEST_PAGE
    assert not Tags(large).open
    assert "… 99,988 more" in Tags(large).text
    for record in (LiveSettings(), edgeclf.inspect("cifar10"), edgeclf.audit("digits")):
        made = record._repr_html_()
        assert len(made) <= LONGEST_PAGE
        assert not Tags(made).open


def test_what_a_file_brings_is_shown_and_never_run() -> None:
    made = report(2, SCRIPT)._repr_html_()
    assert set(Tags(made).seen) == {"table", "caption", "tr", "th", "td", "br"}
    assert "&lt;script&gt;" in made
    assert not {"\x1b", "\u202e"} & set(made)
