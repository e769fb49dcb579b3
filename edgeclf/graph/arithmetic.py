"""Rewrites arithmetic inside a network (`x / 127.5 - 1`, `preprocess_input`) as standard layers.

tf-keras stores arithmetic on tensors as layers that call a TensorFlow function by its name. The functions below are
known by name, with constants as their other operands; each becomes a layer that every tool takes: a `Rescaling`, an
activation, a merge of two tensors. Works on configurations, and imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeclf.errors import ModelError

OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda")
"""Classes of layers that call a TensorFlow function."""
_FLOATS = ("float16", "bfloat16", "float32", "float64", "half")


@dataclass(frozen=True)
class Call:
    """One call of a function in a network.

    Attributes:
        layer: its name, for messages.
        function: name of the TensorFlow function.
        first: its first operand: a tensor `[layer, call, output]`, or a constant.
        keywords: its other operands.
    """

    layer: str
    function: str
    first: Any
    keywords: Mapping[str, Any]

    def refusal(self, reason: str) -> ModelError:
        """Make the error for a call that no standard layer can do."""
        return ModelError(
            f"layer {self.layer} calls tf.{self.function}, and {reason}; expected arithmetic with constants, one for "
            "each channel at most; replace it by a layer of Keras and save the network again"
        )


@dataclass(frozen=True)
class Replacement:
    """A standard layer in place of a call.

    Attributes:
        kind: its class.
        settings: its own ones.
        inputs: the tensors that it takes.
    """

    kind: str
    settings: Mapping[str, Any]
    inputs: tuple[Any, ...]


_IDLE = Replacement("Activation", {"activation": "linear"}, ())
_REVERSAL = Replacement("Conv2D", {"filters": 3, "kernel_size": (1, 1), "use_bias": False, "trainable": False}, ())


@dataclass(frozen=True)
class Rewritten:
    """A network's configuration without arithmetic.

    Attributes:
        config: with a standard layer in place of each call, under the same name.
        idle: names of those that do nothing.
        reversals: names of those that reverse the channels: convolutions whose kernels are still to be set.
    """

    config: dict[str, Any]
    idle: tuple[str, ...]
    reversals: tuple[str, ...]


def rewrite_arithmetic(config: Mapping[str, Any]) -> Rewritten:
    """Replace the known functions in the configuration of a flat functional network, as `get_config` returns it.

    Raises:
        ModelError: an operand of a known function is no constant, or differs within a channel.
    """
    layers, made = [], {}
    for layer in config["layers"]:
        function = layer["config"].get("function")
        if layer["class_name"] not in OPERATION_LAYERS or function not in FUNCTIONS:
            layers.append(layer)
            continue
        name = str(layer["config"]["name"])
        calls = [_read_call(name, str(function), node) for node in layer["inbound_nodes"]]
        found = [FUNCTIONS[call.function](call) for call in calls]
        made[name] = found[0]
        if any((one.kind, one.settings) != (made[name].kind, made[name].settings) for one in found):
            raise calls[0].refusal("with other operands each time")
        nodes = [[[*tensor[:3], {}] for tensor in one.inputs] for one in found]
        described = {"name": name, "trainable": True, "dtype": "float32", **made[name].settings}
        kind = made[name].kind
        layers.append({"class_name": kind, "config": described, "name": layer["name"], "inbound_nodes": nodes})
    idle, reversals = (
        tuple(name for name, one in made.items() if (one.kind, one.settings) == (wanted.kind, wanted.settings))
        for wanted in (_IDLE, _REVERSAL)
    )
    return Rewritten({**config, "layers": layers}, idle, reversals)


def _read_call(layer: str, function: str, node: Any) -> Call:
    while len(node) == 1 and isinstance(node[0], (list, tuple)):
        node = node[0]
    if len(node) != 4 or not isinstance(node[3], Mapping):
        raise Call(layer, function, None, {}).refusal("with several tensors at once")
    constant = node[0] == "_CONSTANT_VALUE"
    keywords = {key: value for key, value in node[3].items() if key != "name"}
    return Call(layer, function, node[2] if constant else list(node[:3]), keywords)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) >= 3 and isinstance(value[0], str)


def _constant(call: Call, value: Any) -> float | list[float]:
    """Return a constant as a number, or as one number a channel."""
    if isinstance(value, Mapping):
        value = (value.get("config") or {}).get("value")
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise call.refusal("an operand is no number") from None
    if not np.isfinite(numbers).all():
        raise call.refusal("an operand is not finite")
    if numbers.size == 1:
        return float(numbers.reshape(()))
    if numbers.size != numbers.shape[-1] or numbers.size == 0:
        raise call.refusal("an operand differs from place to place")
    return [float(number) for number in numbers.reshape(-1)]


def _only_tensor(call: Call) -> Any:
    if not _is_tensor(call.first):
        raise call.refusal("its first operand is a constant")
    return call.first


def _scaled(call: Call, tensor: Any, scale: Any, offset: Any) -> Replacement:
    def plain(value: Any) -> Any:
        made = np.asarray(value, np.float64)
        if not np.isfinite(made).all():
            raise call.refusal("it divides by zero")
        return [float(one) for one in made] if made.ndim else float(made)

    return Replacement("Rescaling", {"scale": plain(scale), "offset": plain(offset)}, (tensor,))


def _binary(
    merge: str | None, forward: Callable[[Any], tuple[Any, Any]], backward: Callable[[Any], tuple[Any, Any]] | None
) -> Callable[[Call], Replacement]:
    """Make the rewriting of a function of two operands.

    Args:
        merge: layer for two tensors; None: there is none.
        forward: scale and offset by the constant of `tensor . constant`.
        backward: the same for `constant . tensor`; None: it is not linear.
    """

    def rewrite(call: Call) -> Replacement:
        first, second = call.first, call.keywords.get("y")
        if _is_tensor(first) and _is_tensor(second):
            if merge is None:
                raise call.refusal("both operands are tensors")
            return Replacement(merge, {}, (first, second))
        if _is_tensor(first):
            return _scaled(call, first, *forward(np.asarray(_constant(call, second))))
        if not _is_tensor(second) or backward is None:
            raise call.refusal("a constant is divided by a tensor")
        return _scaled(call, second, *backward(np.asarray(_constant(call, first))))

    return rewrite


def _divide(value: Any) -> tuple[Any, Any]:
    with np.errstate(divide="ignore"):
        return 1 / value, 0.0


def _bias_add(call: Call) -> Replacement:
    if call.keywords.get("data_format") not in (None, "NHWC", "channels_last"):
        raise call.refusal("its channels come first")
    return _scaled(call, _only_tensor(call), 1.0, _constant(call, call.keywords.get("bias")))


def _cast(call: Call) -> Replacement:
    dtype = call.keywords.get("dtype")
    if str(getattr(dtype, "name", dtype)) not in _FLOATS:
        raise call.refusal("rounds to whole numbers")
    return _do_nothing(call)


def _do_nothing(call: Call) -> Replacement:
    return replace(_IDLE, inputs=(_only_tensor(call),))


def _reversal(call: Call) -> Replacement:
    return replace(_REVERSAL, inputs=(_only_tensor(call),))


def _slice(call: Call) -> Replacement:
    spec = call.keywords.get("slice_spec")
    parts = list(spec) if isinstance(spec, (list, tuple)) else [spec]
    whole = [part for part in parts[:-1] if _is_ellipsis(part) or _steps(part) == (None, None, None)]
    places = 4 if any(map(_is_ellipsis, parts[:-1])) else len(parts)
    if len(whole) != len(parts) - 1 or places != 4 or _steps(parts[-1]) != (None, None, -1):
        raise call.refusal("takes a part of the image")
    return _reversal(call)


def _is_ellipsis(part: Any) -> bool:
    return part is Ellipsis or (isinstance(part, Mapping) and part.get("class_name") == "__ellipsis__")


def _steps(part: Any) -> tuple[Any, Any, Any] | None:
    if isinstance(part, slice):
        return part.start, part.stop, part.step
    if isinstance(part, Mapping) and {"start", "stop", "step"} <= set(part):
        return part["start"], part["stop"], part["step"]
    return None


def _reverse(call: Call) -> Replacement:
    if list(np.ravel(call.keywords.get("axis") or [0])) not in ([-1], [3]):
        raise call.refusal("mirrors the image")
    return _reversal(call)


def _clip(call: Call) -> Replacement:
    low, high = (_constant(call, call.keywords.get(f"clip_value_{end}")) for end in ("min", "max"))
    if low != 0.0 or not isinstance(high, float) or high <= 0:
        raise call.refusal("clips elsewhere than at 0 and above")
    return Replacement("ReLU", {"max_value": high}, (_only_tensor(call),))


def _mean(call: Call) -> Replacement:
    if sorted(int(axis) % 4 for axis in np.ravel(call.keywords.get("axis") or [0])) != [1, 2]:
        raise call.refusal("not over height and width")
    return Replacement(
        "GlobalAveragePooling2D", {"keepdims": bool(call.keywords.get("keepdims"))}, (_only_tensor(call),)
    )


def _silu(call: Call) -> Replacement:
    if call.keywords.get("beta") not in (None, 1):
        raise call.refusal("with another beta than 1")
    return Replacement("Activation", {"activation": "swish"}, (_only_tensor(call),))


def _softmax(call: Call) -> Replacement:
    axis = call.keywords.get("axis")
    if axis in (None, -1):
        return Replacement("Activation", {"activation": "softmax"}, (_only_tensor(call),))
    return Replacement("Softmax", {"axis": int(axis)}, (_only_tensor(call),))


def _layer(kind: str, **settings: Any) -> Callable[[Call], Replacement]:
    return lambda call: Replacement(kind, settings, (_only_tensor(call),))


_ADD = _binary("Add", lambda c: (1.0, c), lambda c: (1.0, c))
_SUBTRACT = _binary("Subtract", lambda c: (1.0, -c), lambda c: (-1.0, c))
_MULTIPLY = _binary("Multiply", lambda c: (c, 0.0), lambda c: (c, 0.0))
_DIVIDE = _binary(None, _divide, None)

FUNCTIONS: Mapping[str, Callable[[Call], Replacement]] = {
    "math.add": _ADD,
    "__operators__.add": _ADD,
    "math.subtract": _SUBTRACT,
    "math.multiply": _MULTIPLY,
    "math.truediv": _DIVIDE,
    "math.divide": _DIVIDE,
    "math.negative": lambda call: _scaled(call, _only_tensor(call), -1.0, 0.0),
    "nn.bias_add": _bias_add,
    "cast": _cast,
    "identity": _do_nothing,
    "stop_gradient": _do_nothing,
    "__operators__.getitem": _slice,
    "reverse": _reverse,
    "clip_by_value": _clip,
    "math.reduce_mean": _mean,
    "nn.relu": _layer("ReLU"),
    "nn.relu6": _layer("ReLU", max_value=6.0),
    "math.sigmoid": _layer("Activation", activation="sigmoid"),
    "math.tanh": _layer("Activation", activation="tanh"),
    "nn.silu": _silu,
    "nn.softmax": _softmax,
}
"""By its name in TensorFlow, how a function is rewritten. A file may call these and no others."""
