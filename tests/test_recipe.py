"""Recipes: names that round-trip, an identity, combinations that are refused by one clear line."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from edgeclf.artifact.normalization import NORMALIZATIONS
from edgeclf.cli.main import app
from edgeclf.compression import Cluster, FineTuning, Prune, QuantizeAware, Recipe, TFLite, parse_recipe, register_step
from edgeclf.compression.budget.limits import Budget
from edgeclf.compression.budget.request import SearchPlan
from edgeclf.compression.choice import Asked, choose_recipes, find_unused, setting_types
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.recipe import describe_settings
from edgeclf.compression.step import STEPS, Step
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record


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
    recipe = parse_recipe(name)
    assert recipe.name == recipe.file_name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_survives_json_with_all_its_settings() -> None:
    recipe = Recipe(
        (Prune(pattern="2:4"), Cluster(8, FineTuning(epochs=3)), QuantizeAware(FineTuning(distill=0.0))),
        TFLite(io="int8", bias_correction=False),
    )
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert [step["kind"] for step in recipe.to_dict()["steps"]] == ["prune", "cluster", "qat"]
    plan = CompressPlan("net.keras", (recipe, parse_recipe("int8")), normalization=NORMALIZATIONS["caffe"])
    assert CompressPlan.from_json(plan.to_json()) == plan


def test_json_with_unknown_kinds_or_keys_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'prune'"):
        Recipe.from_dict({"steps": [{"kind": "prun"}]})
    with pytest.raises(InputError, match="no field 'epochs'"):
        Recipe.from_dict({"steps": [{"kind": "qat", "epochs": 1}]})
    with pytest.raises(InputError, match="an object with the key 'kind'"):
        Recipe.from_dict({"steps": ["qat"]})


def test_the_digest_covers_every_setting_and_tells_files_apart() -> None:
    plain = parse_recipe("qat-int8")
    other = Recipe((QuantizeAware(FineTuning(epochs=5)),))
    third = Recipe((QuantizeAware(FineTuning(epochs=6)),))
    assert plain.digest == Recipe((QuantizeAware(),), TFLite()).digest
    assert len({plain.digest, other.digest, third.digest, Recipe().digest}) == 4
    assert other.name == third.name == "qat-int8"
    assert other.file_name == f"qat-int8-{other.digest[:6]}"
    assert len({plain.file_name, other.file_name, third.file_name}) == 3
    assert Recipe((Prune(1 / 3),)).file_name.startswith("prune33.3333-int8-")


def test_a_small_fraction_has_a_label_and_no_name_that_could_be_mistaken() -> None:
    recipe = Recipe((Prune(0.005),))
    assert recipe.file_name == f"prune0.5-int8-{recipe.digest[:6]}"
    assert "fraction=0.005" in describe_settings(recipe)


def test_two_of_four_is_half_and_nothing_else() -> None:
    assert Prune(pattern="2:4").fraction == 0.5
    with pytest.raises(InputError, match=r"2:4 makes a fraction of 0\.5 zeros, got 0\.8"):
        Prune(0.8, "2:4")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prune50-prune30-qat-qat-int8", r"prune is given twice \(prune50, prune30\); a recipe has it once"),
        ("qat-qat-int8", "qat is given twice"),
        ("qat-prune50-int8", "prune50 cannot come after qat; put prune50 first"),
        ("cluster16-prune50-int8", "prune50 cannot come after cluster16; put prune50 first"),
        ("qat-float16", "quantization-aware training makes int8 models, got float16"),
        (
            "prune0.5-int8",
            r"prune0\.5: .* is a percentage of at least 1, got 0\.5; write prune50 for a fraction of 0\.5",
        ),
        ("shrink0.5-int8", r"shrink0\.5: .* is a percentage of at least 1, got 0\.5; write shrink50 for"),
        ("prune0-int8", "prune must be between 0 and 1"),
        ("prune50", "names no format at its end; write prune50-int8"),
        ("int8-qat", "names the format int8 before its end; steps come first, the format last"),
    ],
)
def test_steps_stand_in_an_order_that_works(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_recipe(name)


def named(*formats: str, **keywords: Any) -> list[str]:
    return [recipe.name for recipe in choose_recipes(Asked(formats=formats, **keywords))]


def test_flags_give_one_recipe_a_format_with_all_steps() -> None:
    assert named("int8", "float16", steps={"prune": "0.5"}) == ["prune50-int8", "prune50-float16"]
    assert named(steps={"qat": True, "prune": None, "cluster": None}) == ["qat-int8"]
    assert named(steps={"cluster": 16}) == ["cluster16-int8"]
    assert named("int8", steps={"qat": True, "prune": "2:4"}) == ["prune2of4-qat-int8"]
    assert named() == ["int8", "float16"]
    assert named(io="int8") == ["int8"]
    assert named(recipes=["int8", "Prune50-QAT-int8"]) == ["int8", "prune50-qat-int8"]


def test_recipes_and_flags_are_not_mixed() -> None:
    with pytest.raises(InputError, match="a recipe cannot be combined with float16"):
        named("float16", recipes="int8")
    with pytest.raises(InputError, match="a recipe cannot be combined with qat"):
        named(recipes="int8", steps={"qat": True})
    with pytest.raises(InputError, match="no recipe is given"):
        named(recipes=[])
    with pytest.raises(InputError, match="the recipe int8 is given twice"):
        named(recipes=["int8", Recipe()])
    with pytest.raises(InputError, match="a recipe must be a Recipe or a name such as int8, got 3"):
        named(recipes=[3])


def test_settings_reach_the_steps_and_the_exporter() -> None:
    settings = {"qat_epochs": 7, "distill": 0.0, "bias_correction": False, "prune_learning_rate": 0.01}
    (recipe,) = choose_recipes(Asked("prune50-qat-int8", settings=settings, io="float32"))
    prune, qat = recipe.steps
    assert (prune.training.epochs, prune.training.distill, prune.training.learning_rate) == (None, 0.0, 0.01)
    assert (qat.training.epochs, qat.training.distill, qat.training.learning_rate) == (7, 0.0, 2e-4)
    assert recipe.export == TFLite("int8", "float32", bias_correction=False)
    assert choose_recipes(Asked("int8", settings={"qat_epochs": 7})) == (Recipe(),)
    (both,) = choose_recipes(Asked("prune50-qat-int8", settings={"qat_epochs": 1, "epochs": 2}))
    assert [step.training.epochs for step in both.steps] == [2, 1]


def test_a_setting_that_no_recipe_has_is_warned_of() -> None:
    recipes = choose_recipes(Asked(["int8", "prune50-int8"]))
    settings = {"qat_epochs": 7, "prune_epochs": 1, "epochs": 2, "bias_correction": True, "io": "int8"}
    assert find_unused(recipes, settings) == ("qat_epochs",)
    command = ["compress", "nowhere", "--recipe", "int8", "--set", "qat_epochs=7"]
    result = CliRunner().invoke(app, command, prog_name="edgeclf")
    assert result.exit_code == 2
    assert "the setting qat_epochs has no effect: no step or format of int8 uses it" in result.stderr


def test_a_setting_that_a_step_decides_is_warned_of_where_no_other_recipe_follows_it() -> None:
    settings = {"rounding": "adaptive", "bias_correction": True}
    assert find_unused(choose_recipes(Asked("cluster16-int8", settings=settings)), settings) == ("rounding",)
    assert find_unused(choose_recipes(Asked("qat-int8", settings=settings)), settings) == ("rounding",)
    assert find_unused(choose_recipes(Asked(["cluster16-int8", "int8"], settings=settings)), settings) == ()


def test_what_an_option_sets_is_not_set_again() -> None:
    with pytest.raises(InputError, match="prune50 is named, and the setting prune_fraction makes prune80 of it"):
        choose_recipes(Asked(steps={"prune": 0.5}, settings={"prune_fraction": 0.8}))
    with pytest.raises(InputError, match="cluster16 is named, and the setting cluster_clusters makes cluster4 of it"):
        choose_recipes(Asked("cluster16-int8", settings={"cluster_clusters": 4}))
    (recipe,) = choose_recipes(Asked(steps={"prune": 0.5}, settings={"prune_epochs": 4}))
    assert recipe.steps[0].training.epochs == 4


def test_a_search_names_the_settings_that_no_recipe_may_have() -> None:
    settings = {"shrink_epochs": 3, "qat_epochs": 7, "cluster_epochs": 2}
    plan = CompressPlan("net.keras", (Recipe(),))
    assert SearchPlan(plan, Budget(max_drop=1.0), settings, fixed=False).find_unused() == ("cluster_epochs",)
    assert SearchPlan(plan, Budget(max_drop=1.0), settings, fixed=True).find_unused() == tuple(settings)


@pytest.mark.parametrize("key", ["qat_epochs", "cluster_learning_rate", "prune_distill", "batch_size", "augment"])
def test_settings_are_read_off_the_steps(key: str) -> None:
    assert key in setting_types()
    assert not {"format", "fraction", "training"} & set(setting_types())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Prune(1.5), "prune must be between 0 and 1"),
        (lambda: Prune(0.0), "prune must be between 0 and 1"),
        (lambda: Cluster(2), "cluster must be 3 to 256 distinct weights, got 2"),
        (lambda: FineTuning(distill=2.0), "distill must be 0 to 1"),
        (lambda: FineTuning(unaugmented_epochs=-0.1), "unaugmented_epochs must be 0 to 1"),
        (lambda: FineTuning(batch_size=0), "batch_size must be at least 1"),
        (lambda: FineTuning(epochs=-1), "epochs must be at least 0, got -1"),
        (lambda: FineTuning(learning_rate=0.0), "learning_rate must be above 0"),
        (lambda: FineTuning(augment="hevy"), "unknown augmentation level 'hevy'"),
        (lambda: choose_recipes(Asked(steps={"prune": "half"})), "prune must be a fraction of zeros"),
        (lambda: choose_recipes(Asked(steps={"cluster": "few"})), "cluster must be a whole number"),
        (lambda: CompressPlan("net.keras", (Recipe(),), calibration=0), "calibration must be at least 1"),
        (lambda: CompressPlan("net.keras", (Recipe(),), seed=-1), "seed must be between 0 and"),
        (
            lambda: SearchPlan(CompressPlan("net.keras", (Recipe(),), sensitivity=True), Budget(1.0), {}, False),
            "--sensitivity measures recipes that are named",
        ),
        (lambda: CompressPlan("net.keras", ()), "no recipe is given"),
    ],
)
def test_what_does_not_work_is_refused(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'int8'"):
        TFLite("int9")
    with pytest.raises(UnknownNameError, match="did you mean 'int8'"):
        parse_recipe("qat-int9")
    with pytest.raises(UnknownNameError, match="unknown step of a recipe 'prunehalf'; did you mean 'prune50'"):
        parse_recipe("prunehalf-int8")
    with pytest.raises(UnknownNameError, match="pruning pattern"):
        choose_recipes(Asked(steps={"prune": "1:3"}))
    with pytest.raises(UnknownNameError, match="unknown setting 'qat_epoch'; did you mean 'qat_epochs'"):
        choose_recipes(Asked(settings={"qat_epoch": 1}))


@dataclasses.dataclass(frozen=True)
class Halve(Step, Record):
    """Halves all weights."""

    amount: float = 0.5
    kind: ClassVar[str] = "halve"
    trains: ClassVar[bool] = False
    before: ClassVar[frozenset[str]] = frozenset({"prune", "qat"})

    def label(self) -> str:
        return "halve"


def test_a_step_from_outside_is_known_by_its_label_its_option_and_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "halve", Halve)
    register_step(Halve)
    assert parse_recipe("halve-qat-int8").steps == (Halve(), QuantizeAware())
    assert named(steps={"halve": True}) == ["halve-int8"]
    (recipe,) = choose_recipes(Asked("halve-int8", settings={"halve_amount": 0.25}))
    assert recipe.steps == (Halve(0.25),)
    assert recipe.file_name == f"halve-int8-{recipe.digest[:6]}"
    with pytest.raises(InputError, match="halve cannot come after qat; put halve first"):
        parse_recipe("qat-halve-int8")
    with pytest.raises(InputError, match="cannot come after halve; make two recipes of it"):
        parse_recipe("halve-cluster16-int8")
    with pytest.raises(ValueError, match="registered already"):
        register_step(dataclasses.make_dataclass("Other", [], bases=(Halve,), frozen=True))
