"""Starting from a pretrained network: its layers are kept, its head is replaced, its input scaling is put inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.errors import InputError, ModelError
from edgeclf.graph.batch_norm import restore_statistics
from edgeclf.graph.flatten import flatten
from edgeclf.graph.inner_scaling import SCALING, freeze_scaling, scales_input
from edgeclf.graph.last_maps import POOLING_LAYERS, find_last_maps
from edgeclf.graph.prepared_network import CHANGING_IMAGES
from edgeclf.graph.private_apis import operands, producer
from edgeclf.graph.rewire import rewire
from edgeclf.image.shape import check_image_size, describe_size, plain_size, show_size
from edgeclf.inference.input_range import InputRange
from edgeclf.inference.range_measurement import CANDIDATES
from edgeclf.measure.formatting import counted
from edgeclf.training.input_range import ASSUMED, estimate_input_range
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.networks.building import add_classifier

layers = tf_keras.layers
HEAD, POOLING = "edgeclf_head", "edgeclf_pooling"
HEAD_LAYERS = (layers.Dense, layers.Dropout, layers.Flatten, layers.Reshape, layers.Softmax)


@dataclass(frozen=True)
class Pretrained:
    """A pretrained network.

    Args:
        network: a functional or sequential tf-keras image classifier with one input and one output.
        origin: its file's name, for remarks.
        input_range: how pixels enter it, or a key of `CANDIDATES` of `edgeclf.inference.range_measurement`; None:
            estimated.
        folded: its batch normalizations were folded and put back, and need statistics of the images.
        built_anew: it was built at another side than it was trained at, which its input does not show.
    """

    network: tf_keras.Model
    origin: str
    input_range: str | Normalization | None = None
    folded: bool = False
    built_anew: bool = False


@dataclass(frozen=True)
class TransferredNetwork:
    """A network that starts from pretrained weights.

    Args:
        network: from `float32[N, S, S, 3]`, 0..255, to probabilities; flat, with a `Rescaling` inside.
        notes: what was taken over and what was replaced, one line each.
    """

    network: tf_keras.Model
    notes: tuple[str, ...]


def transfer(pretrained: Pretrained, settings: NetworkSettings, images: npt.NDArray[np.uint8]) -> TransferredNetwork:
    """Put a new head on the features of `pretrained`. All of them are trained, frozen ones too.

    Args:
        pretrained: networks inside it are taken apart.
        settings: of the new network; width, penalties and scaling are those of `pretrained`.
        images: uint8[N, H, W, 3], training images from which the input scaling is estimated.

    Raises:
        ModelError: the file holds no network of that kind.
        InputError: it cannot be built for the input size.
    """
    origin, classes = pretrained.origin, settings.classes
    network = _check_classifier(pretrained)
    base = take_features(network, origin)
    notes = [f"start from {origin}: {base.count_params():,} parameters taken over, new head for {classes} classes"]
    if network.outputs[0].shape.rank == 2 and network.outputs[0].shape[-1] != classes:
        notes.append(f"head of {origin} dropped: it has {network.outputs[0].shape[-1]} output classes")
    if idle := _list_idle(tf_keras.Model(network.inputs, _find_features(network, origin))):
        notes.append(f"{origin} changes its input in training ({', '.join(idle)}): left out, --augment does so")
    if frozen := sum(1 for layer in base.layers if layer.weights and not layer.trainable):
        notes.append(f"{counted(frozen, 'layer')} that {origin} keeps frozen: treated like the others")
    scaling, remark = _choose_scaling(pretrained, base, images)
    notes += [remark] if remark else []
    body = rebuild(base, settings, scaling)
    x = body.output
    if x.shape.rank == 4:
        x = layers.GlobalAveragePooling2D(name=POOLING)(x)
    model = tf_keras.Model(body.inputs, add_classifier(x, settings, name=HEAD))
    front = [] if scaling is None else model.get_layer(SCALING).get_weights()
    model.set_weights([*front, *base.get_weights(), *model.get_layer(HEAD).get_weights()])
    freeze_scaling(model)
    if pretrained.folded:
        count = restore_statistics(model, images.astype(np.float32))
        restored = counted(count, "batch normalization")
        notes.append(
            f"{origin} has its batch normalizations folded: {restored} put back, with statistics of "
            f"{counted(len(images), 'training image')}"
        )
    resized = () if pretrained.built_anew else describe_resize(network, settings, origin)
    return TransferredNetwork(model, (*notes, *resized))


def describe_resize(network: tf_keras.Model, settings: NetworkSettings, origin: str) -> tuple[str, ...]:
    """Describe in a line that a network is used at another input size than it was trained at; empty: it is not."""
    old_size = tuple(network.inputs[0].shape[1:3])
    if None in (*old_size, settings.image_size) or old_size == settings.input_size:
        return ()
    old, new = (plain_size(*size) for size in (old_size, check_image_size(settings.image_size)))
    shown = str if isinstance(old, int) and isinstance(new, int) else show_size
    return (f"{origin} was trained at {shown(old)} pixels and is used at {shown(new)}",)


def features_of(pretrained: Pretrained) -> tf_keras.Model:
    """Return what `transfer` takes over: the layers before pooling and head, which are replaced.

    Raises:
        ModelError: the file holds no network of that kind.
    """
    return take_features(_check_classifier(pretrained), pretrained.origin)


def _check_classifier(pretrained: Pretrained) -> tf_keras.Model:
    """Return the pretrained network, flat."""
    network, origin = pretrained.network, pretrained.origin
    if len(network.inputs) != 1 or len(network.outputs) != 1 or network.inputs[0].shape.rank != 4:
        raise ModelError(
            f"{origin}: expected an image classifier with one input [N, H, W, 3] and one output, got "
            f"{len(network.inputs)} inputs and {len(network.outputs)} outputs, the first input of shape "
            f"{tuple(network.inputs[0].shape)}"
        )
    if network.inputs[0].shape[-1] != 3:
        raise ModelError(f"{origin}: expected an input of 3 channels (RGB), got {network.inputs[0].shape[-1]}")
    return flatten(network)


def _choose_scaling(
    pretrained: Pretrained, base: tf_keras.Model, images: npt.NDArray[np.uint8]
) -> tuple[Normalization | None, str]:
    """Choose what is put between raw pixels and a network; None: nothing, it scales them inside."""
    known = pretrained.input_range
    if scales_input(base) and (not isinstance(known, Normalization) or known.agrees_with(RAW)):
        return None, ""
    found, how = _choose_range(pretrained, base, images)
    text = found.normalization.text
    others = f" (not decided: {', '.join(found.remaining[1:])} would fit as well)" if found.remaining[1:] else ""
    return (
        found.normalization,
        f"{pretrained.origin} has no Rescaling inside; {how} {text}{others}, so one was put in front",
    )


def _choose_range(
    pretrained: Pretrained, base: tf_keras.Model, images: npt.NDArray[np.uint8]
) -> tuple[InputRange, str]:
    """Return the input range of a network, and how it was found in the words of a sentence."""
    known = pretrained.input_range
    if known is not None:
        entering = CANDIDATES[known] if isinstance(known, str) else known
        return InputRange(entering, "given"), "it was trained with an input of"
    found = estimate_input_range(base, images)
    if found.source == ASSUMED:
        return found, "and no statistics of a batch normalization to estimate its input range by; assumed is"
    return found, "the statistics of its batch normalization fit an input of"


def take_features(network: tf_keras.Model, origin: str) -> tf_keras.Model:
    """Return the layers of a network before pooling and head, without those that work in training alone.

    Raises:
        ModelError: there are none.
    """
    base = tf_keras.Model(network.inputs, _find_features(network, origin))
    # what changes images in training would do so on top of the augmentation, also in the epochs without it
    idle = _list_idle(base)
    return rewire(base, removed=idle) if idle else base


def _list_idle(network: tf_keras.Model) -> list[str]:
    return [layer.name for layer in network.layers if type(layer) in CHANGING_IMAGES]


def _find_features(network: tf_keras.Model, origin: str) -> Any:
    """Return the tensor before pooling and head.

    The head begins at the global pooling that all paths to the output go through: behind it, some networks classify
    with 1x1 convolutions and multiplications (MobileNet), others with dense layers.
    """
    tensor = find_last_maps(network)
    while True:
        layer = producer(tensor)
        if not (isinstance(layer, HEAD_LAYERS + POOLING_LAYERS) or _is_probability(layer)):
            break
        (tensor,) = operands(tensor)
    if isinstance(layer, layers.InputLayer):
        raise ModelError(f"{origin}: has no convolutional features to start from")
    return tensor


def rebuild(base: tf_keras.Model, settings: NetworkSettings, scaling: Normalization | None) -> tf_keras.Model:
    """Build the same graph at another input size, trainable, in the precision that is set for new layers.

    What makes `scaling` out of raw pixels comes behind the input where that is given.
    """
    config = base.get_config()
    (entry,) = config["input_layers"]
    for layer in config["layers"]:
        if layer["name"] == entry[0]:
            layer["config"]["batch_input_shape"] = (None, *settings.input_size, 3)
            continue
        layer["config"] |= {"trainable": True, "dtype": tf_keras.mixed_precision.global_policy().name}
        if layer["class_name"] in ("Dropout", "SpatialDropout2D"):
            layer["config"]["rng_type"] = "stateful"  # whose masks can be drawn again where a run is resumed
        if layer["class_name"] == "BatchNormalization" and settings.batch_norm_momentum is not None:
            layer["config"]["momentum"] = settings.batch_norm_momentum
        if scaling is not None:
            layer["inbound_nodes"] = _rename(layer["inbound_nodes"], entry[0], SCALING)
    if scaling is not None:
        made = _scaling_layer(scaling)
        node = {"class_name": type(made).__name__, "config": made.get_config(), "name": SCALING}
        config["layers"].insert(1, node | {"inbound_nodes": [[[entry[0], 0, 0, {}]]]})
    try:
        return tf_keras.Model.from_config(config)
    except ValueError as error:
        own = base.inputs[0].shape[1:3]
        if None in own or any(side % 8 for side in own):
            remedy = "which is no multiple of 8, as inputs have to be here; start from another network"
        else:
            remedy = f"use --image-size {own[0] if own[0] == own[1] else f'{own[1]}x{own[0]}'}"
        raise InputError(
            f"the network cannot be built for an input of {describe_size(settings.image_size)}, expected "
            f"{own[1]}×{own[0]} as it was trained; {remedy}"
        ) from error


def _scaling_layer(scaling: Normalization) -> Any:
    """Make a `Rescaling`, or a frozen 1x1 convolution where blue comes first."""
    scale, offset = [1 / std for std in scaling.std], [-m / s for m, s in zip(scaling.mean, scaling.std, strict=True)]
    if scaling.channel_order == "RGB":
        return layers.Rescaling(*((part[0] if len(part) == 1 else part) for part in (scale, offset)), name=SCALING)
    kernel, constant = np.diag(np.broadcast_to(scale, 3))[::-1], tf_keras.initializers.Constant
    return layers.Conv2D(
        3,
        1,
        kernel_initializer=constant(kernel.reshape(1, 1, 3, 3).tolist()),
        bias_initializer=constant(np.broadcast_to(offset, 3).tolist()),
        trainable=False,
        name=SCALING,
    )


def _rename(nodes: Any, old: str, new: str) -> Any:
    if isinstance(nodes, (list, tuple)):
        return [_rename(node, old, new) for node in nodes]
    return new if nodes == old else nodes


def _is_probability(layer: object) -> bool:
    probabilities = (tf_keras.activations.softmax, tf_keras.activations.sigmoid)
    return isinstance(layer, layers.Activation) and layer.activation in probabilities
