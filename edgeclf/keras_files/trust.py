"""Refuses model files that would run foreign code, before anything in them is run.

tf-keras executes a `Lambda` found in an `.h5` while loading it, and a configuration may name any Python module to be
imported. So each class a configuration names is looked up in a list of what image classifiers are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeclf.errors import UntrustedModelError
from edgeclf.graph.arithmetic import FUNCTIONS, OPERATION_LAYERS

# ruff: noqa: SIM905  # word lists read better
MODELS = frozenset({"Functional", "Model", "Sequential"})
LAYERS = frozenset(
    """
    Activation ActivityRegularization Add AlphaDropout Attention Average AveragePooling1D AveragePooling2D AvgPool2D
    BatchNormalization CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Convolution2D Cropping2D Dense
    DepthwiseConv2D Dot Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAvgPool2D GlobalMaxPool2D GlobalMaxPooling2D GroupNormalization InputLayer
    LayerNormalization LeakyReLU MaxPool2D MaxPooling2D Maximum Minimum Multiply Normalization PReLU Permute
    RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth
    RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv2D SeparableConvolution2D Softmax
    SpatialDropout2D Subtract SyncBatchNormalization ThresholdedReLU UnitNormalization UpSampling2D ZeroPadding2D
    """.split()
)
PARTS = frozenset(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal
    RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros L1 L2 L1L2 OrthogonalRegularizer MaxNorm
    MinMaxNorm NonNeg RadialConstraint UnitNorm Policy DTypePolicy FloatDTypePolicy PolicyV1 TensorShape
    __keras_tensor__ __tensor__ __numpy__ __tuple__ __ellipsis__ __slice__ CategoricalCrossentropy
    """.split()
)
ACTIVATIONS = frozenset(
    """
    elu exponential gelu hard_sigmoid hard_silu hard_swish leaky_relu linear log_softmax mish relu relu6 selu sigmoid
    silu softmax softplus softsign swish tanh
    """.split()
)
OPERATIONS = {
    "keras.src.ops.numpy": frozenset(
        "Absolute Add Clip Concatenate Divide ExpandDims Flip GetItem Maximum Mean Minimum Multiply Negative Reshape "
        "Square Squeeze Stack Subtract Tanh Transpose TrueDivide".split()
    ),
    "keras.src.ops.nn": frozenset(
        "Elu Gelu HardSigmoid HardSilu LeakyRelu Relu Relu6 Selu Sigmoid Silu Softmax Softplus".split()
    ),
    "keras.src.ops.core": frozenset({"Cast", "StopGradient"}),
}
"""Arithmetic on tensors in files of Keras 3: classes by module."""


def check_configuration(config: Any, file: str) -> None:
    """Check a Keras `model_config` before it is handed to a loader.

    Args:
        config: the parsed JSON.
        file: its name, for the message.

    Raises:
        UntrustedModelError: it names a class, module or function that is not on the list.
    """
    # The loaders do not compile, so the outermost optimizer and losses are never made; nested ones are.
    network = {key: value for key, value in config.items() if key != "compile_config"}
    for entry in _dictionaries(network):
        name = entry.get("class_name")
        if name is not None:
            _check_class(entry, str(name), file)
        for key, value in entry.items():
            if key.endswith("activation") and isinstance(value, str) and value not in ACTIVATIONS:
                raise refusal(file, f"the activation function {value!r}")


def _check_class(entry: dict[str, Any], name: str, file: str) -> None:
    if name in ("function", "builtin_function_or_method"):
        function = entry.get("config")
        if isinstance(function, str) and function in ACTIVATIONS and _own_module(entry.get("module")):
            return
        raise refusal(file, f"the function {function!r}")
    if name in OPERATION_LAYERS and _own_module(entry.get("module")):
        settings = entry.get("config")
        function = settings.get("function") if isinstance(settings, dict) else None
        if not (isinstance(function, str) and function in FUNCTIONS):
            raise refusal(file, f"a call of the TensorFlow function {function!r}")
    elif name not in MODELS | LAYERS | PARTS | OPERATIONS.get(str(entry.get("module")), frozenset()):
        label = (entry.get("config") or {}).get("name") if isinstance(entry.get("config"), dict) else None
        kind = "a Lambda layer" if "lambda" in name.lower() else f"the class {name!r}"
        raise refusal(file, kind + (f" (layer {label!r})" if label else ""))
    if not _own_module(entry.get("module")):
        raise refusal(file, f"the Python module {entry['module']!r}")
    registered = entry.get("registered_name")
    if registered not in (None, name):
        raise refusal(file, f"the registered object {registered!r}")


def _own_module(module: Any) -> bool:
    if module in (None, "builtins", "tensorflow.python.ops.init_ops_v2"):  # the last holds initializers alone
        return True
    return isinstance(module, str) and module.split(".")[0] in ("keras", "tf_keras")


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            yield current
            waiting.extend(current.values())
        elif isinstance(current, (list, tuple)):
            waiting.extend(current)


_LONGEST = 160


def refusal(file: str, what: str, harm: str = "run code from the file") -> UntrustedModelError:
    """Make the error for a file that holds `what`, which could do `harm`."""
    shown = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}..."
    return UntrustedModelError(
        f"{file} holds {shown}, which could {harm}; if you trust where it comes from, add --trust-model"
    )
