"""What recipes take from Python, from JSON and from other packages is checked before anything is loaded or trained."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, ClassVar

import pytest

from edgeclf.artifact.normalization import resolve_normalization
from edgeclf.compression import (
    Cluster,
    FineTuning,
    Prune,
    QuantizeAware,
    Recipe,
    Shrink,
    TFLite,
    register_exporter,
    register_step,
)
from edgeclf.compression.choice import Asked, choose_recipes
from edgeclf.compression.exporter import EXPORTERS
from edgeclf.compression.step import STEPS, Step
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record


@dataclasses.dataclass(frozen=True)
class Halve(Step, Record):
    """Halves all weights."""

    amount: float = 0.5
    kind: ClassVar[str] = "halve"

    def label(self) -> str:
        return "halve"


def defaults(io: str) -> list[str]:
    return [recipe.name for recipe in choose_recipes(Asked(io=io))]


@pytest.mark.parametrize("given", [(1.0, 0.0), (0.0, float("inf"))])
def test_an_input_range_that_does_not_rise_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="two rising numbers"):
        resolve_normalization(None, given)


def test_a_type_of_input_alone_makes_the_default_formats_that_have_it() -> None:
    assert defaults("float32") == ["int8", "float16"]
    with pytest.raises(UnknownNameError, match="unknown io 'uint9'"):
        defaults("uint9")


def test_a_setting_makes_the_default_formats_that_take_it() -> None:
    for settings in ({"ranges": "mse"}, {"bias_correction": False}, {"float_layers": ("conv*",)}):
        assert [one.export.format for one in choose_recipes(Asked(settings=settings))] == ["int8"]
    with pytest.raises(InputError, match="ranges=mse goes with int8 models, got float16"):
        choose_recipes(Asked(formats=("float16",), settings={"ranges": "mse"}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Prune("2:4"), "Prune.fraction must be a number, got the text '2:4'"),
        (lambda: Cluster("16"), "Cluster.clusters must be a whole number, got the text '16'"),
        (lambda: Shrink("0.5"), "Shrink.fraction must be a number, got the text '0.5'"),
        (lambda: FineTuning(epochs="5"), "FineTuning.epochs must be a whole number or null, got the text '5'"),
        (lambda: Prune(training=3), "Prune.training must be an object, got the number 3"),
        (lambda: TFLite(["int8"]), "TFLite.format must be a text, got a list"),
    ],
)
def test_a_value_of_another_type_is_one_clear_line(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        make()


def test_settings_from_python_are_checked_and_equal_ones_are_one_recipe() -> None:
    assert (
        Recipe((QuantizeAware(FineTuning(distill=1)),)).digest
        == Recipe((QuantizeAware(FineTuning(distill=1.0)),)).digest
    )
    with pytest.raises(InputError, match="epochs must be a whole number"):
        Recipe((QuantizeAware(FineTuning(epochs=1.5)),))  # type: ignore[arg-type]


def test_a_recipe_whose_label_is_not_parsed_has_a_file_name() -> None:
    recipe = Recipe((Prune(1e-7),))
    assert recipe.file_name == f"{recipe.name}-{recipe.digest[:6]}"


@pytest.mark.parametrize(
    "values", [[], {"steps": None}, {"steps": "qat"}, {"steps": [{"kind": ["qat"]}]}, {"export": {"kind": None}}]
)
def test_json_of_another_shape_is_refused(values: Any) -> None:
    with pytest.raises(InputError):
        Recipe.from_dict(values)


def test_what_could_not_be_a_part_of_a_recipe_is_not_registered() -> None:
    @dataclasses.dataclass(frozen=True)
    class Hyphen(Halve):
        kind: ClassVar[str] = "hyphen"

        def label(self) -> str:
            return "half-way"

    @dataclasses.dataclass(frozen=True)
    class Needing(Step, Record):
        amount: float
        kind: ClassVar[str] = "needing"

        def label(self) -> str:
            return "needing"

    class Bare(Step):
        kind: ClassVar[str] = "bare"

    @dataclasses.dataclass(frozen=True)
    class SecondInt8(TFLite):
        kind: ClassVar[str] = "second"

    with pytest.raises(ValueError, match="half-way"):
        register_step(Hyphen)
    for step in (Needing, Bare):
        with pytest.raises(TypeError):
            register_step(step)
    with pytest.raises(ValueError, match="with the label 'float32' is registered already"):
        register_exporter(SecondInt8)
    assert not {"hyphen", "needing", "bare"} & set(STEPS)
    assert "second" not in EXPORTERS
