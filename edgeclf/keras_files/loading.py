"""Loads float networks: run folders, tf-keras `.keras` and `.h5`, Keras 3 `.keras`, SavedModels, float `.tflite`."""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.artifact.ensemble_folder import refuse_ensemble
from edgeclf.artifact.locate import check_named
from edgeclf.artifact.model_file import ModelFile, is_tflite_file
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import EdgeclfError, ModelError
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.keras_files.bounded_variables import bounded_variables
from edgeclf.keras_files.configuration import read_configuration
from edgeclf.keras_files.containers import check_container
from edgeclf.keras_files.reading import READING_ERRORS, image_classifier, reason
from edgeclf.keras_files.tflite_source import TFLITE, arrange_source, load_tflite_source
from edgeclf.keras_files.trust import check_configuration


@dataclass(frozen=True)
class LoadedNetwork:
    """A float network as it was found.

    Attributes:
        path: the file or folder that holds the network.
        name: for the files made of it.
        run: the run folder that it lies in, if any.
        kind: `tf-keras`, `Keras 3`, `SavedModel` or `TFLite`.
        network: on raw pixels until `with_normalization` says otherwise. `model` is None where another framework made
            it. Without a run folder the classes are numbers, unless the file names them.
        file: a TFLite file itself, which may know its input, its fit and its classes; None: it is none.
        label_source: where in `file` the class names are from; empty: it names none.
    """

    path: Path
    name: str
    run: RunFolder | None
    kind: str
    network: FloatNetwork
    file: ModelFile | None = None
    label_source: str = ""

    def with_normalization(self, normalization: Normalization) -> LoadedNetwork:
        """Return a copy whose network takes pixels as `normalization` makes them."""
        return self._with_input(dataclasses.replace(self.network.input, normalization=normalization))

    def with_fit(self, fit: str) -> LoadedNetwork:
        """Return a copy whose network takes pictures by a fit."""
        return self._with_input(dataclasses.replace(self.network.input, fit=fit))

    def _with_input(self, spec: InputSpec) -> LoadedNetwork:
        return dataclasses.replace(self, network=dataclasses.replace(self.network, input=spec))


def locate_network(given: str | Path) -> tuple[Path, RunFolder | None]:
    """Find the file or folder that holds the network, and the run folder that `given` is, if it is one.

    Raises:
        ModelError: the run has no network yet, or it is an ensemble.
    """
    path = Path(given)
    refuse_ensemble(given)
    if not RunFolder.is_one(path):
        return path, None
    run = RunFolder(path)
    if not run.keras_path.is_file():
        raise ModelError(f"{run.path}: has no model.keras yet; finish the training with --resume")
    return run.keras_path, run


def _locate_classifier(given: str | Path) -> tuple[Path, RunFolder | None]:
    """Find a network as `locate_network` does, and refuse one without classes, its file alone too."""
    path = check_named(given)
    folder = path if RunFolder.is_one(path) else path.parent
    if RunFolder.is_one(folder) and path in (folder, RunFolder(folder).keras_path):
        RunFolder(folder).check_classes()
    return locate_network(given)


def check_network_file(given: str | Path, *, trust_model: bool = False) -> tuple[str, Path, RunFolder | None]:
    """Check what `load_network` loads, as far as that shows without TensorFlow.

    Returns:
        `tf-keras`, `Keras 3`, `SavedModel` or `TFLite`; the file or folder that holds the network; the run folder, if
        any.

    Raises:
        ModelError: there is nothing to load, or it is damaged.
        UntrustedModelError: it would run foreign code, and `trust_model` is off.
    """
    path, run = _locate_classifier(given)
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ModelError(f"{path}: neither a run folder (run.json) nor a SavedModel (saved_model.pb)")
        return "SavedModel", path, run
    if is_tflite_file(path):
        arrange_source(path)
        return TFLITE, path, run
    kind, config = read_configuration(path)
    if not trust_model:
        check_keras_file(path, config)
    return kind, path, run


def load_network(given: str | Path, *, trust_model: bool = False) -> LoadedNetwork:
    """Load a run folder's network, a `.keras` or `.h5` file, a SavedModel, or a float `.tflite` file.

    Raises:
        ModelError: there is nothing to load, it is damaged, or it is no image classifier with a fixed input size.
        InputError: a TFLite file is quantized already.
        UntrustedModelError: it would run foreign code, and `trust_model` is off.
    """
    path, run = _locate_classifier(given)
    if path.is_dir():
        from edgeclf.keras_files.saved_model import load_saved_model

        return LoadedNetwork(path, path.resolve().name, None, "SavedModel", load_saved_model(path, trust_model))
    if is_tflite_file(path):
        file, network, label_source = load_tflite_source(path)
        return LoadedNetwork(path, path.stem, None, TFLITE, network, file, label_source)
    kind, config = read_configuration(path)
    stored = None if trust_model else check_keras_file(path, config)
    make = _tf_keras_network if kind == "tf-keras" else _keras3_network
    network = make(path, trust_model, stored)
    names, classes = () if run is None else run.labels, len(network.classes)
    if run is not None and names and len(names) != classes:
        raise ModelError(f"{run.path}: names {len(names)} classes, but its network has {classes} output classes")
    network = dataclasses.replace(network, classes=names or network.classes)
    return LoadedNetwork(path, path.stem if run is None else run.name, run, kind, network)


def check_keras_file(path: Path, config: dict[str, Any]) -> int:
    """Check a Keras file before it is handed to a loader: what it would run, and what its weights would read.

    Returns how many weights it holds.

    Args:
        path: of the file.
        config: as `read_configuration` returned it.

    Raises:
        UntrustedModelError: it would run foreign code, or read other files.
        ModelError: it is damaged.
    """
    check_configuration(config, path.name)
    return check_container(path)


def load_float_model(path: str | Path, trust_model: bool = False) -> Any:
    """Load a tf-keras model after checking that it runs no foreign code.

    Args:
        path: a `.keras` or `.h5` file, or a run folder.
        trust_model: load it even if it does.

    Returns:
        a `tf_keras.Model` in float32, not compiled.

    Raises:
        ModelError: the file is not there, is damaged, or was made by Keras 3.
        UntrustedModelError: it would run foreign code, and `trust_model` is off.
    """
    file, stored = _check_float_file(path, trust_model)
    return _standardized(file, _load_tf_keras(file, trust_model, stored), trust_model)


def locate_float_file(path: str | Path, *, trust_model: bool = False) -> Path:
    """Find the file that `load_float_model` loads, and check all that shows without TensorFlow.

    Raises:
        ModelError: the file is not there, is damaged, or was made by Keras 3.
        UntrustedModelError: it would run foreign code, and `trust_model` is off.
    """
    return _check_float_file(path, trust_model)[0]


def _check_float_file(given: str | Path, trust_model: bool) -> tuple[Path, int | None]:
    """Find the file of a tf-keras network, and count the weights in it; None: it is trusted."""
    path, _ = locate_network(given)
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; a tf-keras .keras or .h5 file was expected")
    kind, config = read_configuration(path)
    if kind != "tf-keras":
        raise ModelError(
            f"{path.name} was saved by Keras 3; training needs tf-keras. Save it with tf-keras (import tf_keras), "
            "or compress it with recipes that train nothing, such as int8"
        )
    return path, None if trust_model else check_keras_file(path, config)


def _load_tf_keras(path: Path, trust_model: bool, stored: int | None) -> Any:
    import tensorflow as tf
    import tf_keras

    try:
        with bounded_variables(path.name, stored):
            if trust_model:
                return _built(path, tf_keras.models.load_model(path, compile=False, safe_mode=False))
            return _built(path, tf_keras.models.load_model(path, compile=False))
    except ModelError:
        raise
    except (*READING_ERRORS, ImportError, tf.errors.OpError) as error:
        raise ModelError(f"{path}: tf-keras cannot load it ({reason(error)})") from error


def _load_keras3(path: Path, trust_model: bool, stored: int | None) -> Any:
    import tensorflow as tf

    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # the converter reads its graphs, whatever others are trained with
    import keras  # noqa: TID251  # the only place where a Keras 3 file is opened

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"{path}: Keras 3 runs on {keras.backend.backend()} in this process, expected TensorFlow; set "
            "KERAS_BACKEND=tensorflow"
        )
    try:
        with bounded_variables(path.name, stored, keras3=True):
            return _built(path, keras.models.load_model(path, compile=False, safe_mode=not trust_model))
    except ModelError:
        raise
    except (*READING_ERRORS, ImportError, tf.errors.OpError) as error:
        raise ModelError(f"{path}: Keras 3 cannot load it ({reason(error)})") from error


def _built(path: Path, model: Any) -> Any:
    """Return a network whose input is known."""
    if not getattr(model, "inputs", None):
        raise ModelError(
            f"{path}: was saved before it was built, so that nothing states what it takes; give it an Input, or call "
            "it on an image, and save it again"
        )
    return model


def _standardized(path: Path, model: Any, trust_model: bool) -> Any:
    """Return a network in float32 whose arithmetic is layers."""
    from edgeclf.graph.private_apis import safe_mode
    from edgeclf.graph.standard_layers import standardize

    try:
        with safe_mode(not trust_model):  # layers with code of their own are copied with the network
            return standardize(model)
    except EdgeclfError:
        raise
    except READING_ERRORS as error:
        raise ModelError(f"{path}: cannot be rebuilt ({reason(error)})") from error


def _tf_keras_network(path: Path, trust_model: bool, stored: int | None) -> FloatNetwork:
    """Load a network, in float32 and with an output for each class."""
    from edgeclf.graph.inner_scaling import unfreeze
    from edgeclf.graph.private_apis import safe_mode
    from edgeclf.graph.two_classes import split_output

    model = _load_tf_keras(path, trust_model, stored)
    unfreeze(model)
    height, width, classes = image_classifier(path, model.input_shape, model.output_shape)
    notes: tuple[str, ...] = ()
    model = _standardized(path, model, trust_model)
    if classes == 1:
        with safe_mode(not trust_model):
            model, note = split_output(model, path.name)
        notes = (f"{path.name}: {note}",)
    return FloatNetwork(
        model=model,
        call=lambda x: model(x, training=False),
        trackable=model,
        input=InputSpec(height, width, RAW),
        classes=tuple(str(i) for i in range(max(2, classes))),
        notes=notes,
    )


def _keras3_network(path: Path, trust_model: bool, stored: int | None) -> FloatNetwork:
    from edgeclf.keras_files.keras3 import call_in_float32

    model = _load_keras3(path, trust_model, stored)
    height, width, classes = image_classifier(path, model.input_shape, model.output_shape)
    call, trackable, notes = call_in_float32(model, path.name, trust_model)
    return FloatNetwork(
        model=None,
        call=call,
        trackable=trackable,
        input=InputSpec(height, width, RAW),
        classes=tuple(str(i) for i in range(max(2, classes))),
        notes=notes,
    )
