"""Trains with rounding in the loop where TFMOT has no rule for a layer: squeeze-and-excite, attention, normalizations.

Weights and activations are rounded in the forward pass as an int8 graph rounds them; gradients pass straight through
(Bengio et al., 2013, arXiv:1308.3432; Jacob et al., 2018, arXiv:1712.05877). Nothing of that is left in the network: it
is calibrated like one that was never trained so. Batch normalizations are frozen, which makes a kernel's rounding
independent of them: the factor that folding brings to an output channel changes its scale alone, and the kernel of a
dense layer, which has one scale, is rounded with these factors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_epochs, copy_model, fine_tune
from edgeclf.compression.steps.quantize_aware import OBSERVED_BATCH
from edgeclf.errors import InputError
from edgeclf.graph.batch_norm import normalized_axes, scale_and_offset
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.inner_scaling import PREPARED_SCALING
from edgeclf.graph.prepared_network import wrap_layers
from edgeclf.graph.private_apis import calls_of, readers
from edgeclf.image.batches import bounded_batch

if TYPE_CHECKING:
    from edgeclf.compression.steps.quantize_aware import QuantizeAware

layers = tf_keras.layers
NOTE = "trained with edgeclf's own rounding in the loop ({refused}); calibration sets the ranges"
_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
_FUSES = (*_CONVOLUTIONS, layers.BatchNormalization, layers.Add, layers.Rescaling)
"""Layers whose operator takes a ReLU behind it in. Inside a hard-swish, which is one operator, more is rounded than in
the file: steps of 1/256 and of 6/255."""
_ROUNDED = (
    *(*_CONVOLUTIONS, layers.BatchNormalization, layers.LayerNormalization, layers.ReLU, layers.Activation),
    *(layers.LeakyReLU, layers.PReLU, layers.Add, layers.Multiply, layers.Subtract, layers.Average),
    *(layers.Concatenate, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling1D, layers.Rescaling),
    *(layers.Attention, layers.Softmax),
)
"""Layers whose output is rounded. Others pass values on (reshape, pooling), or training is blind to their rounding."""
_LEAST_FACTOR = 1e-20
_MOMENTUM = 0.99
"""Of the running range of an activation."""


def train_rounded(network: FloatNetwork, step: QuantizeAware, context: StepContext, refused: str) -> FloatNetwork:
    """Return a copy of `network` trained with rounding in the loop; its ranges come from calibration.

    Args:
        network: prepared.
        step: how it is trained.
        context: the images.
        refused: why TFMOT cannot do it, in words.

    Raises:
        InputError: there are no images.
    """
    data = FineTuningData.from_step(step, context)
    if context.calibration_images is None:
        raise InputError("quantization-aware training needs calibration images; name them with --data")
    copy, trained = copy_model(network.model), copy_model(network.model)
    invariants = network.invariants
    model = insert_rounding(copy, zeros=invariants.sparse, clusters=invariants.clusters is not None)
    start_ranges(model, trained, context.calibration_images, np.float32(network.input_max / 255))
    fine_tune(
        model,
        data,
        label="quantization-aware training",
        epochs=automatic_epochs(step.training.epochs, data.steps, step.target_steps),
        learning_rate=step.training.learning_rate,
    )
    # The layers of `copy` are those inside the wrappers, and have learned with them.
    trained.set_weights(copy.get_weights())
    for layer in model.layers:
        if isinstance(layer, Rounded):
            layer.clear_zeros(trained.get_layer(layer.layer.name))
    made = network.with_model(trained, invariants=replace(network.invariants, nearest_rounding=True))
    return replace(made, notes=(*made.notes, NOTE.format(refused=refused)))


def insert_rounding(model: Any, *, zeros: bool = False, clusters: bool = False) -> Any:
    """Return the graph of `model`, on the same weights, with kernels and activations rounded; nothing is trained yet.

    Batch normalizations of the result are frozen, those of `model` with them.

    Args:
        model: flat.
        zeros: keep the zeros of its kernels.
        clusters: keep the clusters of its kernels, which stay as they are; the other weights learn.
    """
    last = model.layers[-1].name
    rounded = {layer.name for layer in model.layers if _rounds_output(layer) and layer.name != last}
    chosen = {layer.name for layer in model.layers if layer.name in rounded or isinstance(layer, _CONVOLUTIONS)}
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return wrap_layers(
        model,
        lambda layer: layer.name in chosen,
        lambda layer: Rounded(
            layer,
            rounds_output=layer.name in rounded,
            zeros=zeros,
            clusters=clusters,
            factors=_folded_factors(layer),
        ),
    )


def start_ranges(model: Any, network: Any, images: npt.NDArray[np.uint8], scale: np.float32) -> None:
    """Set the range of each rounded activation to that on the calibration images, without rounding.

    Args:
        model: as `insert_rounding` returns it.
        network: the same on layers of its own, without rounding.
        images: uint8[N, H, W, 3].
        scale: what pixels are multiplied by before they enter.
    """
    rounding = [layer for layer in model.layers if isinstance(layer, Rounded) and layer.rounds_output]
    if not rounding:
        return
    inner = [network.get_layer(layer.layer.name) for layer in rounding]
    watched = tf_keras.Model(network.inputs, [[x.get_output_at(i) for i in range(calls_of(x))] for x in inner])

    def measure(batch: Any) -> Any:
        parts = tf.nest.flatten(watched(batch, training=False))
        return [(tf.reduce_min(part), tf.reduce_max(part)) for part in parts]

    run = tf.function(measure, reduce_retracing=True)
    owners = [layer for layer, plain in zip(rounding, inner, strict=True) for _ in range(calls_of(plain))]
    at_once = bounded_batch(OBSERVED_BATCH, *images.shape[1:3])
    for start in range(0, len(images), at_once):
        spans = run(tf.constant(images[start : start + at_once].astype(np.float32) * scale))
        for layer, (low, high) in zip(owners, spans, strict=True):
            layer.low.assign(tf.minimum(layer.low, low))
            layer.high.assign(tf.maximum(layer.high, high))


@tf_keras.utils.register_keras_serializable("edgeclf")
class Rounded(tf_keras.layers.Wrapper):  # type: ignore[misc]
    """A layer whose kernel and whose output are rounded to 8 bits.

    Args:
        layer: with or without a kernel.
        rounds_output: whether the output gets a range of its own; False: it is fused with what reads it.
        zeros: whether the zeros of the kernel stay zero.
        clusters: whether the kernel stays as it is.
        factors: of a dense layer, what each column of its kernel is multiplied by before it is rounded in a file.
    """

    def __init__(
        self,
        layer: Any,
        *,
        rounds_output: bool,
        zeros: bool = False,
        clusters: bool = False,
        factors: list[float] | None = None,
        **keywords: Any,
    ) -> None:
        keywords.setdefault("name", f"rounded_{layer.name}")
        super().__init__(layer, **keywords)
        self.rounds_output, self._zeros, self._clusters = rounds_output, zeros, clusters
        self._axes, self._factors = _kernel_axes(layer), factors

    def build(self, shape: Any = None) -> None:
        """Make the running range."""
        if not self.layer.built:
            self.layer.build(shape)
            self.layer.built = True

        def variable(name: str, value: float) -> Any:
            start = tf_keras.initializers.Constant(value)
            return self.add_weight(name=name, shape=(), dtype=tf.float32, initializer=start, trainable=False)

        self.low, self.high = variable("low", 0.0), variable("high", 1e-6)
        if self._zeros and self._axes is not None:
            kernel = np.asarray(getattr(self.layer, self._axes[0]))
            self.mask = self.add_weight(name="mask", shape=kernel.shape, initializer="ones", trainable=False)
            self.mask.assign((kernel != 0).astype(np.float32))
        self.built = True

    def call(self, inputs: Any, *arguments: Any, training: Any = None, **keywords: Any) -> Any:
        """Compute the layer with a rounded kernel, and round what comes out."""
        output = self._with_rounded_kernel(lambda: self.layer(inputs, *arguments, **keywords))
        if not self.rounds_output:
            return output
        if training:
            low, high = tf.reduce_min(output), tf.reduce_max(output)
            self.low.assign(tf.minimum(_MOMENTUM * self.low + (1 - _MOMENTUM) * low, 0.0))
            self.high.assign(tf.maximum(_MOMENTUM * self.high + (1 - _MOMENTUM) * high, 1e-6))
        return tf.quantization.fake_quant_with_min_max_vars(output, self.low, self.high)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made from."""
        kept = {"zeros": self._zeros, "clusters": self._clusters}
        return {**super().get_config(), "rounds_output": self.rounds_output, **kept, "factors": self._factors}

    def clear_zeros(self, layer: Any) -> None:
        """Put the zeros that are kept into a layer that has learned the same kernel."""
        if self._zeros and self._axes is not None:
            kernel = getattr(layer, self._axes[0])
            kernel.assign(kernel * self.mask)

    def _with_rounded_kernel(self, compute: Any) -> Any:
        if self._axes is None:
            return compute()
        name, axes = self._axes
        kernel = getattr(self.layer, name)
        used = kernel * self.mask if self._zeros else kernel
        if self._clusters:
            used = tf.stop_gradient(used) + 0.0 * used
        # Keras would lose track of a variable that is set anew, so the attribute is exchanged beneath its setter.
        attributes: dict[str, Any] = self.layer.__dict__
        if self._factors is None:
            attributes[name] = round_kernel(used, axes)
        else:
            attributes[name] = round_kernel(used * self._factors, axes) / self._factors
        try:
            return compute()
        finally:
            attributes[name] = kernel


def round_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """Round a kernel to int8 with one scale for all numbers along `axes`; the gradient passes straight through."""
    scale = tf.maximum(tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=True), 1e-12) / 127
    return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)


def _kernel_axes(layer: Any) -> tuple[str, tuple[int, ...]] | None:
    """Return the name of a layer's kernel and the axes that share a scale in an int8 file; None: it has no kernel."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return "depthwise_kernel", (0, 1)
    if isinstance(layer, layers.Conv2DTranspose):
        return "kernel", (0, 1, 3)
    if isinstance(layer, layers.Conv2D):
        return "kernel", (0, 1, 2)
    if isinstance(layer, layers.Dense):
        return "kernel", (0, 1)
    return None


def _folded_factors(layer: Any) -> list[float] | None:
    """Return what a frozen batch normalization multiplies the columns of a dense layer's kernel by in the file."""
    reading = readers(layer)
    if not isinstance(layer, layers.Dense) or len(reading) != 1 or not _is_linear(layer):
        return None
    if not isinstance(reading[0], layers.BatchNormalization) or max(map(calls_of, (layer, reading[0]))) > 1:
        return None
    rank = len(layer.output.shape)
    if normalized_axes(reading[0], rank) != [rank - 1]:
        return None
    scale, _ = scale_and_offset(reading[0])
    # a column that becomes 0 is 0 whatever its kernel
    return [float(one) if abs(one) > _LEAST_FACTOR else 1.0 for one in np.broadcast_to(scale, layer.units)]


def _is_linear(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "linear") == "linear"


def _rounds_output(layer: Any) -> bool:
    """Return whether the output of a layer is a tensor of the int8 graph with a range of its own."""
    if not isinstance(layer, _ROUNDED) or layer.name == PREPARED_SCALING:
        return False
    reading = readers(layer)
    if len(reading) != 1 or not isinstance(layer, _FUSES):
        return True
    linear = _is_linear(layer)
    if isinstance(layer, _CONVOLUTIONS) and linear and isinstance(reading[0], layers.BatchNormalization):
        return False
    return not (linear and _is_clipping(reading[0]))


def _is_clipping(layer: Any) -> bool:
    """Return whether a layer is a ReLU, which the converter fuses with what stands before it."""
    if isinstance(layer, layers.ReLU):
        return not layer.negative_slope and not layer.threshold and layer.max_value in (None, 6)
    return isinstance(layer, layers.Activation) and getattr(layer.activation, "__name__", "") in ("relu", "relu6")
