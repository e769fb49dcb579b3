"""Recipes: names that round-trip, combinations that are refused by one clear line."""

from __future__ import annotations

import pytest

from edgeclf.compression.recipe import Recipe, choose_recipes, parse_recipe
from edgeclf.errors import InputError, UnknownNameError


@pytest.mark.parametrize(
    "name",
    [
        "int8",
        "float32",
        "float16",
        "dynamic",
        "int16x8",
        "qat-int8",
        "prune50-int8",
        "prune87.5-float16",
        "prune2of4-int8",
        "cluster16-int8",
        "prune50-qat-int8",
        "cluster16-qat-int8",
        "prune50-cluster16-qat-int8",
    ],
)
def test_a_name_stands_for_a_recipe_and_back(name: str) -> None:
    assert parse_recipe(name).name == name


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(qat=True, pattern="2:4", cluster=16, qat_epochs=2)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_two_of_four_is_half() -> None:
    assert Recipe(pattern="2:4").prune == 0.5


def test_flags_give_one_recipe_a_format_with_all_changes() -> None:
    assert [r.name for r in choose_recipes(["int8", "float16"], prune="0.5")] == ["prune50-int8", "prune50-float16"]
    assert [r.name for r in choose_recipes([], qat=True)] == ["qat-int8"]
    assert [r.name for r in choose_recipes([], cluster=16)] == ["cluster16-int8"]
    assert [r.name for r in choose_recipes(["int8"], prune="2:4", qat=True)] == ["prune2of4-qat-int8"]
    assert [r.name for r in choose_recipes()] == ["int8", "float16"]


def test_settings_reach_the_recipe() -> None:
    (recipe,) = choose_recipes(["int8"], qat=True, qat_epochs=7, distill=0.0)
    assert (recipe.qat_epochs, recipe.distill) == (7, 0.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": "float16", "qat": True}, "quantization-aware training makes int8 models, got float16"),
        ({"prune": 1.5}, "prune must be between 0 and 1"),
        ({"prune": 0.0}, "prune must be between 0 and 1"),
        ({"cluster": 2}, "cluster must be 3 to 256 distinct weights, got 2"),
        ({"distill": 2.0}, "distill must be 0 to 1"),
        ({"settle": -0.1}, "settle must be 0 to 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"qat_epochs": -1}, "qat_epochs must be at least 0, got -1"),
        ({"qat_learning_rate": 0.0}, "qat_learning_rate must be above 0"),
    ],
)
def test_what_does_not_work_is_said(values: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Recipe(**values)  # type: ignore[arg-type]


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'int8'"):
        Recipe(format="int9")
    with pytest.raises(InputError, match="'prunehalf' is none of"):
        parse_recipe("prunehalf-int8")
    with pytest.raises(UnknownNameError, match="pruning pattern"):
        choose_recipes(["int8"], prune="1:3")
    with pytest.raises(InputError, match="prune must be a share of zeros"):
        choose_recipes(["int8"], prune="half")
