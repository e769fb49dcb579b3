"""Starting from a pretrained network: its graph is kept, its head is replaced, its input scaling is found out."""

from __future__ import annotations

import contextlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from edgeclf.atomic import atomic_file
from edgeclf.dataset.cache import cache_folder
from edgeclf.errors import InputError, ModelError
from edgeclf.graph.flatten import flatten
from edgeclf.progress import Progress
from edgeclf.training.networks import NETWORKS, UNIT_RANGE, build_network

layers = tf_keras.layers
HEAD_LAYERS = (layers.Dense, layers.Dropout, layers.Flatten, layers.Reshape, layers.Softmax)
POOLING_LAYERS = (layers.AveragePooling2D, layers.GlobalAveragePooling2D)
INPUT_RANGES = {"0..1": UNIT_RANGE, "-1..1": (1 / 127.5, -1.0), "0..255": (1.0, 0.0)}
IMAGENET_FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
IMAGENET_FILE = "mobilenet_2_5_128_tf_no_top.h5"
IMAGENET_TIMEOUT = 10
IMAGENET_RANGE = "-1..1"
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class TransferredNetwork:
    """A network that starts from pretrained weights.

    Args:
        model: from `float32[N, S, S, 3]`, 0..255, to probabilities; flat, with a `Rescaling` inside.
        notes: what was taken over and what was replaced, one line each.
    """

    model: tf_keras.Model
    notes: tuple[str, ...]


def transfer(
    source: tf_keras.Model,
    *,
    origin: str,
    images: np.ndarray,
    image_size: int,
    classes: int,
    dropout: float,
    seed: int,
    input_range: str | None = None,
) -> TransferredNetwork:
    """Put a new head for `classes` classes on the features of `source`. All of them are trained, frozen ones too.

    Args:
        source: a functional or sequential tf-keras image classifier with one input and one output; networks inside it
            are taken apart.
        origin: its file's name, for the notes.
        images: uint8[N, H, W, 3], training images from which the input scaling is measured.
        image_size: side of the new network's input, pixels.
        classes: number of classes.
        dropout: rate before the new head.
        seed: of the dropout.
        input_range: key of `INPUT_RANGES` that the network is known to expect; None: measured.

    Raises:
        ModelError: the file holds no network of that kind.
    """
    if len(source.inputs) != 1 or len(source.outputs) != 1 or source.inputs[0].shape.rank != 4:
        raise ModelError(f"{origin}: an image classifier with one input [N, H, W, 3] and one output was expected")
    if source.inputs[0].shape[-1] != 3:
        raise ModelError(f"{origin}: takes {source.inputs[0].shape[-1]} channels, RGB (3) was expected")
    source = flatten(source)
    base = tf_keras.Model(source.inputs, _features(source, origin))
    notes = [f"weights from {origin}: {base.count_params():,} parameters taken over, new head for {classes} classes"]
    if source.outputs[0].shape.rank == 2 and source.outputs[0].shape[-1] != classes:
        notes.append(f"{origin} tells {source.outputs[0].shape[-1]} classes apart; that head was dropped")
    if frozen := sum(1 for layer in base.layers if layer.weights and not layer.trainable):
        notes.append(f"{frozen} layers that {origin} keeps frozen are trained like the others")
    scaling = None
    if not any(isinstance(layer, (layers.Rescaling, layers.Normalization)) for layer in base.layers):
        if input_range is None:
            span, scaling, how = measure_input_range(base, images)
        else:
            span, scaling, how = input_range, INPUT_RANGES[input_range], "it was trained with"
        notes.append(f"{origin} has no Rescaling inside; {how} an input of {span}, so one was put in front")
    body = _rebuilt(base, image_size, scaling)
    x = body.output
    if x.shape.rank == 4:
        x = layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = layers.Dropout(dropout, seed=seed, rng_type="stateful")(x)
    # In mixed precision too, probabilities are told apart in 32 bits.
    head_layer = layers.Dense(classes, activation="softmax", name="edgeclf_head", dtype="float32")
    model = tf_keras.Model(body.inputs, head_layer(x))
    head = model.get_layer("edgeclf_head").get_weights()
    model.set_weights([*base.get_weights(), *head])
    old_size = source.inputs[0].shape[1]
    if old_size not in (None, image_size):
        notes.append(f"{origin} was trained at {old_size} pixels and is used at {image_size}")
    return TransferredNetwork(model, tuple(notes))


def measure_input_range(base: tf_keras.Model, images: np.ndarray) -> tuple[str, tuple[float, float], str]:
    """Which scaling of 0..255 the network was trained with, by what its first batch normalization remembers.

    For each candidate the activations that enter the normalization are compared with its moving mean and variance.

    Returns:
        name of the range, (scale, offset), and how it was found ("measured" or "assumed", as words for a sentence).
    """
    first = next((layer for layer in base.layers if isinstance(layer, layers.BatchNormalization)), None)
    if first is None:
        return "0..1", UNIT_RANGE, "without batch normalization nothing can be measured, assumed"
    probe = tf_keras.Model(base.inputs, first.input)
    size = [s or 128 for s in base.inputs[0].shape[1:3]]
    batch = np.stack([tf_keras.preprocessing.image.smart_resize(i.astype(np.float32), size) for i in images[:32]])
    mean, variance = np.asarray(first.moving_mean), np.asarray(first.moving_variance) + first.epsilon

    def misfit(scaling: tuple[float, float]) -> float:
        seen = np.asarray(probe(batch * scaling[0] + scaling[1]))
        seen = seen.reshape(-1, seen.shape[-1])
        return float(
            np.mean(np.abs(np.log((seen.var(0) + 1e-6) / variance)) + np.abs(seen.mean(0) - mean) / variance**0.5)
        )

    best = min(INPUT_RANGES, key=lambda name: misfit(INPUT_RANGES[name]))
    return best, INPUT_RANGES[best], "its batch normalization remembers"


def check_architecture(source: tf_keras.Model, name: str, width: float | None, origin: str) -> None:
    """Raise InputError where `source` is not the network `name` that the user asked for as well."""
    first = next((layer for layer in source.layers if isinstance(layer, layers.Conv2D)), None)
    if name not in NETWORKS or first is None:
        return
    found = width or (first.filters / 32 if NETWORKS[name].default_width else None)
    wanted = build_network(name, image_size=96, classes=2, width=found)
    if _kernels(source) != _kernels(wanted):
        raise InputError(
            f"{origin} is not a {name}{f' of width {found:g}' if found else ''}: {len(_kernels(source))} convolutions "
            f"of other shapes than the {len(_kernels(wanted))} expected; leave --model and --width out to take both "
            "from the file"
        )


def imagenet_backbone(image_size: int, progress: Progress) -> tf_keras.Model | None:
    """MobileNetV1 alpha 0.25 with ImageNet weights, from the cache or by an announced download.

    None where they cannot be had, offline or because something else came; that is told.
    """
    path = cache_folder() / "weights" / IMAGENET_FILE
    if not path.is_file() and not _downloaded(IMAGENET_FOLDER + IMAGENET_FILE, path, progress):
        return None
    size = max(32, image_size)
    model = tf_keras.applications.MobileNet((size, size, 3), alpha=0.25, include_top=False, weights=None)
    try:
        model.load_weights(path)
    except (OSError, ValueError, LookupError) as error:
        progress.warn(f"{path} holds other weights than expected ({_first_line(error)}) and is removed")
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return model


def _downloaded(url: str, path: Path, progress: Progress) -> bool:
    progress.say(f"downloading ImageNet weights (2 MB) from {url} to {path}")
    try:
        with urllib.request.urlopen(url, timeout=IMAGENET_TIMEOUT) as answer:
            content = answer.read()
        if not content.startswith(HDF5):
            raise OSError(f"something else than weights came, beginning with {content[:15]!r}")
    except (OSError, http.client.HTTPException) as error:
        progress.say(f"the download failed ({_first_line(error)}); going on without ImageNet weights")
        return False
    with atomic_file(path) as stream:
        stream.write(content)
    return True


def _first_line(error: BaseException) -> str:
    return (str(getattr(error, "reason", error)).splitlines() or [type(error).__name__])[0]


def _features(source: tf_keras.Model, origin: str) -> object:
    """The tensor before pooling and head."""
    tensor = source.outputs[0]
    while True:
        layer = tensor._keras_history.layer
        is_head = isinstance(layer, HEAD_LAYERS + POOLING_LAYERS) or _is_softmax(layer)
        if not is_head:
            break
        tensor = layer.input
    if isinstance(layer, layers.InputLayer) or isinstance(tensor, list):
        raise ModelError(f"{origin}: has no convolutional features to start from")
    return tensor


def _rebuilt(base: tf_keras.Model, image_size: int, scaling: tuple[float, float] | None) -> tf_keras.Model:
    """The same graph at another input size, trainable, in the precision that is set for new layers.

    A `Rescaling` comes behind the input where `scaling` is given.
    """
    config = base.get_config()
    (entry,) = config["input_layers"]
    for layer in config["layers"]:
        if layer["name"] == entry[0]:
            layer["config"]["batch_input_shape"] = (None, image_size, image_size, 3)
            continue
        layer["config"] |= {"trainable": True, "dtype": tf_keras.mixed_precision.global_policy().name}
        if scaling is not None:
            layer["inbound_nodes"] = _renamed(layer["inbound_nodes"], entry[0], "edgeclf_rescaling")
    if scaling is not None:
        rescaling = layers.Rescaling(*scaling, name="edgeclf_rescaling")
        node = {"class_name": "Rescaling", "config": rescaling.get_config(), "name": rescaling.name}
        config["layers"].insert(1, node | {"inbound_nodes": [[[entry[0], 0, 0, {}]]]})
    return tf_keras.Model.from_config(config)


def _renamed(nodes: Any, old: str, new: str) -> Any:
    if isinstance(nodes, (list, tuple)):
        return [_renamed(node, old, new) for node in nodes]
    return new if nodes == old else nodes


def _is_softmax(layer: object) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is tf_keras.activations.softmax


def _kernels(model: tf_keras.Model) -> list[tuple[int, ...]]:
    kinds = (layers.Conv2D, layers.DepthwiseConv2D)
    return [tuple(layer.get_weights()[0].shape) for layer in model.layers if isinstance(layer, kinds)]
