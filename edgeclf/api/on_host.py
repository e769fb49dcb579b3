"""The functions that prepare a model on the host: `audit`, `train`, `compress`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.errors import InputError
from edgeclf.extras import extras, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from edgeclf.api.keywords import CompressOptions, TrainKeywords
    from edgeclf.artifact.class_names import GivenLabels
    from edgeclf.artifact.normalization import Normalization
    from edgeclf.compression.compress_report import CompressReport
    from edgeclf.compression.recipe import Recipe
    from edgeclf.dataset import Dataset
    from edgeclf.dataset.auditing import AuditReport
    from edgeclf.training.callbacks import KerasCallback, TrainingCallback
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.run_record import TrainReport

HOST = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "sklearn", "matplotlib", "flatbuffers")
"""Packages that training and compression need."""


def audit(
    data: str | Path,
    *,
    deep: bool = False,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
) -> AuditReport:
    """Audit a data set before training: counts, unreadable and unusual files, duplicates, leaks between splits.

    Args:
        data: a folder, a manifest or a name.
        deep: look at the photos through frozen features, too: labels that are probably wrong, photos that cost most
            loss, tiny and stretched ones, classes that are alike, and whether more photos would help, of which class.
        weights: of the features, as `train` takes them; a `.tflite` file needs no TensorFlow and is read on all cores;
            None: ImageNet weights where they are available, else the shipped backbone.
        out: page to write, `.html`; what it lists goes beside it as `.csv`.
        overwrite: replace an existing page and list.
        trust_model: load `weights` even if that runs code from it.
        progress: where bars are shown.

    Raises:
        DataError: `data` is not there, or nothing in it is usable.
        InputError: `weights` or `out` cannot be used, or come without `deep`.
        MissingExtraError: `deep` needs packages that are not installed.
    """
    from edgeclf.dataset import audit as audit_data

    if deep:
        from edgeclf.api.data_doctor import DeepPlan, audit_deeply

        return audit_deeply(DeepPlan(data, weights, out, overwrite=overwrite, trust_model=trust_model), progress)
    for name, given in {"weights": weights, "out": out, "overwrite": overwrite, "trust-model": trust_model}.items():
        if given not in (None, False):
            raise InputError(f"--{name} is for --deep: give --deep as well, or leave it out")
    with extras("audit"):
        return audit_data(data, progress=progress)


@with_plugins
def train(
    data: str | Path | None = None,
    config: TrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
    callbacks: Sequence[TrainingCallback | KerasCallback] = (),
    **settings: Unpack[TrainKeywords],
) -> TrainReport:
    """Train a float Keras network into a run folder.

    Args:
        data: a folder, a manifest or a name; None: those of the run that goes on or is grown from, else `digits`.
        config: how; what it leaves open is chosen by the data and the machine.
        out: the run folder; None: `runs/NAME`.
        resume: start where there is nothing, continue where there is a checkpoint, report where the run is finished.
        overwrite: replace an earlier run in `out`.
        trust_model: load a `weights` file even if that runs code from it.
        progress: where bars are shown.
        callbacks: called after each epoch, such as `tf_keras.callbacks.EarlyStopping()`, or objects with
            `on_epoch_end(epoch, metrics)`; each may end the training (see `edgeclf.training.keras_callbacks`).
        settings: fields of `TrainConfig`, over those of `config`: `edgeclf.train("photos", epochs=30)`.

    Raises:
        UnknownNameError: there is no such setting or network; the nearest known name is given.
        InputError: data, configuration or output cannot be used.
        MissingExtraError: TensorFlow is not installed.
        RunFailedError: the training diverged, or the disk is full.
    """
    began = time.monotonic()
    require("train", *HOST)
    from edgeclf.dataset import check_classes, list_source
    from edgeclf.training.callbacks import check_callbacks
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.networks import find_network
    from edgeclf.training.parent_run import choose_source
    from edgeclf.training.plan import TrainPlan, check_continuation
    from edgeclf.training.run_plan import hold_run

    with extras("train"):
        check_continuation(resume=resume, overwrite=overwrite)
        check_callbacks(callbacks)
        config = (config or TrainConfig()).replace(**settings)
        # Misspelt names are reported before the seconds that an import of TensorFlow takes.
        if config.model is not None:
            find_network(config.model)
        source = choose_source(config, out if resume else None, trust_model=trust_model) if data is None else data
        listing = list_source(source, progress)
        check_classes(listing)
        plan = TrainPlan(
            listing,
            config,
            named=frozenset(settings),
            out=out,
            resume=resume,
            overwrite=overwrite,
            trust_model=trust_model,
            progress=progress,
            callbacks=callbacks,
            began=began,
        )
        with contextlib.ExitStack() as stack:
            # Several workers plan together: what one refuses, all have to leave.
            run = None if "TF_CONFIG" in os.environ else stack.enter_context(hold_run(plan))
            if run is not None and run.report is not None:
                from edgeclf.training.run_record import TrainReport

                progress.info(f"{run.folder.path} is finished; this is its report")
                return TrainReport.from_dict(run.report)
            with progress.task("loading TensorFlow", None):
                from edgeclf.training.run import train as train_network

            return train_network(plan, run)


@with_plugins
def compress(
    source: str | Path,
    *,
    recipes: str | Recipe | Sequence[str | Recipe] | None = None,
    int8: bool = False,
    int4: bool = False,
    float16: bool = False,
    dynamic: bool = False,
    int16x8: bool = False,
    float32: bool = False,
    to: str | Sequence[str] = (),
    qat: bool = False,
    shrink: float | None = None,
    target_macs: int | None = None,
    target_latency: float | None = None,
    target_size: int | None = None,
    target_board: str | None = None,
    prune: float | str | None = None,
    cluster: int | None = None,
    data: str | Path | Dataset | None = None,
    calibration: int = 500,
    io: str = "uint8",
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    labels: GivenLabels | None = None,
    unlabelled: bool = False,
    fit: str | None = None,
    out: str | Path | None = None,
    trust_model: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    speed: bool = True,
    sensitivity: bool = False,
    fit_probabilities: bool = True,
    precision: float | None = None,
    progress: Progress = SILENT,
    **settings: Unpack[CompressOptions],
) -> CompressReport:
    """Turn a float network into model files: one a recipe, or one a format, each with all the steps.

        edgeclf.compress("runs/photos", recipes=["int8", "qat-int8", "prune50-qat-int8"])
        edgeclf.compress("runs/photos", max_drop=1.0, max_size=100_000)  # searches for the recipe

    Args:
        source: a run folder, a `.keras` or `.h5` file, a SavedModel, a float `.tflite` file (it cannot be trained).
        recipes: recipes or their names; training in common is done once. None: the formats and steps below name them.
        int8: full integer.
        int4: weights in int4, activations in int8.
        float16: weights in float16.
        dynamic: weights in int8, activations in float.
        int16x8: weights in int8, activations in int16.
        float32: unchanged numbers.
        to: another format by its name, or several: "onnx", or that of a plugin.
        qat: quantization-aware training; implies `int8`.
        shrink: fraction of the multiply-accumulates that go, with whole filters: 0.5 leaves half of them.
        target_macs: multiply-accumulates for one image that may stay, instead of `shrink`.
        target_latency: milliseconds that the int8 model may take on this machine with one thread, instead of `shrink`.
        target_size: bytes that the file of the int8 model may have, instead of `shrink`, or beside `target_macs`.
        target_board: a board of `edgeclf train --for`, whose limits (work, file, memory) are the goals.
        prune: fraction of zeros among the weights, or `2:4`.
        cluster: number of distinct weights a tensor.
        data: for calibration and training; None: the run's own.
        calibration: number of training images that set quantization ranges.
        io: type of input and output of int8 models: `uint8`, `int8` or `float32`.
        normalize: how pixels enter a network made elsewhere ("caffe", "torch", "tf", "0..1", "raw", mean and std).
        input_range: the same as a pair, such as (-1, 1).
        labels: class names in the order of the outputs of a network from elsewhere, or a file with one a line; None:
            those of `labels.txt` beside it, else the sorted names of the data's classes.
        unlabelled: the classes of `data` are none of the network's, as where a public ImageNet network is calibrated on
            photos of your own: top-1 is not measured, but how often a model agrees with the float network.
        fit: how other shapes come to the input of a network made elsewhere: "stretch" (None), "crop" or "pad".
        out: folder for the models; None: the run's `compressed/`, else a folder `compressed` beside `source`.
        trust_model: load a file even if that runs code from it.
        overwrite: replace existing models.
        seed: of the calibration draw and of training.
        speed: time each model beside a float32 model of the network, in turns, about a second each.
        sensitivity: measure what each layer loses if it alone is in int8, and write it as JSON and as a drawing.
        fit_probabilities: fit a temperature, a threshold for "unknown" and a check of features on the outputs of each
            model for the validation images; they go into the file.
        precision: fraction of named photos that shall be right, at the lower end of its 95 % interval, however many
            photos become "unknown"; None: about one in twenty photos of known things does, at most.
        progress: where bars are shown.
        settings: of the steps and exporters, such as `qat_epochs`, or `batch_size` for all steps that have it. And the
            fields of `edgeclf.compression.budget.limits.Budget`: with a limit (`max_drop` in percentage points,
            `max_size` in bytes, `max_latency` in milliseconds) the recipe is searched for, and one model is made.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        MissingExtraError: TensorFlow is not installed.
    """
    require("compress", *HOST)
    from edgeclf.artifact.class_names import read_names
    from edgeclf.artifact.normalization import resolve_normalization
    from edgeclf.compression.budget.limits import take_budget
    from edgeclf.compression.budget.request import SearchPlan, choose_bases, run_search
    from edgeclf.compression.choice import Asked, check_formats, choose_recipes, find_unused
    from edgeclf.compression.pipeline.plan import CompressPlan
    from edgeclf.compression.pipeline.request import run_recipes
    from edgeclf.compression.steps.shrink import choose_shrink

    budget, own = take_budget(settings)
    formats = _names_of_true(float32=float32, float16=float16, dynamic=dynamic, int8=int8, int4=int4, int16x8=int16x8)
    formats += check_formats((to,) if isinstance(to, str) else tuple(to))
    with extras("compress"):
        smaller = choose_shrink(shrink, target_macs, target_latency, target_size, target_board)
        steps = {"shrink": smaller, "qat": qat, "prune": prune, "cluster": cluster}
        asked = Asked(recipes, formats, steps, own, io)
        plan = CompressPlan(
            str(source),
            choose_recipes(asked) if budget is None else choose_bases(asked, budget),
            data=str(data) if isinstance(data, Path) else data,
            calibration=calibration,
            normalization=resolve_normalization(normalize, input_range),
            labels=None if labels is None else read_names(labels),
            unlabelled=unlabelled,
            fit=fit,
            out=None if out is None else str(out),
            trust_model=trust_model,
            overwrite=overwrite,
            seed=seed,
            speed=speed,
            sensitivity=sensitivity,
            fit_probabilities=fit_probabilities,
            precision=precision,
        )
        if budget is not None:
            search = SearchPlan(plan, budget, own, fixed=recipes is not None, named=bool(formats))
            tried = "the recipes that are tried" if recipes is None else _name(plan.recipes)
            _warn_of_unused(search.find_unused(), tried, progress)
            return run_search(search, progress)
        _warn_of_unused(find_unused(plan.recipes, own), _name(plan.recipes), progress)
        return run_recipes(plan, progress)


def _names_of_true(**flags: bool) -> tuple[str, ...]:
    return tuple(name for name, is_on in flags.items() if is_on)


def _name(recipes: Iterable[Recipe]) -> str:
    return ", ".join(recipe.name for recipe in recipes)


def _warn_of_unused(settings: Iterable[str], recipes: str, progress: Progress) -> None:
    for key in settings:
        progress.warn(f"the setting {key} has no effect: no step or format of {recipes} uses it")
