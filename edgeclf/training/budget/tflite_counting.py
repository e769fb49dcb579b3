"""Counts the features of a TFLite file at other input sizes than its own, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel
from edgeclf.errors import DamagedModelError
from edgeclf.keras_files.tflite_options import Options, read_options
from edgeclf.training.budget.cost import Cost, CostLedger, Traced, UncountableError
from edgeclf.training.budget.counting import CountAtSize, add_classifier

_SAME = ("QUANTIZE", "DEQUANTIZE", "RELU", "RELU6")
_OWN = ("HARD_SWISH", "LOGISTIC", "TANH", "SOFTMAX")


def count_tflite(file: ModelFile, classes: int) -> CountAtSize:
    """Read a file's graph up to its last maps; a new classifier takes the place of what comes behind them.

    Args:
        file: an image classifier.
        classes: of the new classifier.

    Returns:
        a function that counts it at a size.

    Raises:
        UncountableError: it holds an operator that is not known here.
        ModelError: it is no image classifier, or is damaged.
    """
    graph, shape = file.graph, file.shape
    try:
        options = read_options(file.content, tuple(operator.name for operator in graph.operators))
    except DamagedModelError as error:
        raise DamagedModelError(f"{file.name}: {error}") from error
    calls = list(zip(graph.operators, options, strict=True))
    _, known, order = _walk(graph, calls, (shape.height, shape.width))
    maps = [index for index in order if known[index].rank == 3 and known[index].sizes[0] > 1]
    if not maps:
        raise UncountableError("a network without maps")
    until = next(place for place, (operator, _) in enumerate(calls) if maps[-1] in operator.outputs)

    def count(image_size: int) -> Cost:
        ledger, found, _ = _walk(graph, calls[: until + 1], (image_size, image_size))
        return ledger.cost_of(add_classifier(ledger, found[maps[-1]], classes))

    return count


def _walk(
    graph: TfliteModel, calls: Sequence[tuple[OperatorInfo, Options]], sides: tuple[int, int]
) -> tuple[CostLedger, dict[int, Traced], list[int]]:
    """Count operators in their order; returns the tensors by number, and the numbers in the order of computation."""
    ledger = CostLedger()
    known = {graph.input_indices[0]: ledger.input(*sides, graph.inputs[0].shape[-1])}
    order: list[int] = []
    for operator, options in calls:
        inputs = [known[index] for index in operator.inputs if index in known]
        if not inputs:
            continue  # it works on constants
        if len(operator.outputs) != 1:
            raise UncountableError(f"the operator {operator.name} with {len(operator.outputs)} outputs")
        try:
            known[operator.outputs[0]] = _count(ledger, graph, operator, options, inputs)
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, UncountableError):
                raise
            raise UncountableError(f"the operator {operator.name} with these inputs") from error
        order.append(operator.outputs[0])
    return ledger, known, order


def _count(
    ledger: CostLedger, graph: TfliteModel, operator: OperatorInfo, options: Options, inputs: Sequence[Traced]
) -> Traced:
    name, x = operator.name, inputs[0]
    if name in _SAME:
        return x
    if name in _OWN:
        return ledger.add([x], x.sizes)
    if name in ("ADD", "MUL"):
        return ledger.add(inputs, max((one.sizes for one in inputs), key=len))
    if name == "CONCATENATION":
        return ledger.add(inputs, (*x.sizes[:-1], sum(one.channels for one in inputs)))
    if name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return ledger.pool(x, _both(options, "filter"), _both(options, "stride"), _padding(options))
    if name == "MEAN":
        return ledger.add([x], (1, 1, x.channels) if options["keep_dims"] else (x.channels,))
    if name in ("RESHAPE", "SQUEEZE"):
        return ledger.add([x], graph.tensors[operator.outputs[0]].shape[1:])
    constant = graph.tensors[operator.inputs[1]]
    if name == "PAD":
        sides = constant.values()
        if sides is None:
            raise UncountableError("a padding that is computed")
        return ledger.add([x], (x.sizes[0] + int(sides[1].sum()), x.sizes[1] + int(sides[2].sum()), x.channels))
    if name == "CONV_2D":
        filters, height, width, channels = constant.shape
        stride = _both(options, "stride")
        return ledger.convolution(x, filters, (height, width), stride, _padding(options), x.channels // channels)
    if name == "DEPTHWISE_CONV_2D":
        _, height, width, filters = constant.shape
        stride = _both(options, "stride")
        return ledger.depthwise(x, filters // x.channels, (height, width), stride, _padding(options))
    if name == "FULLY_CONNECTED":
        return ledger.dense(x, constant.shape[0])
    raise UncountableError(f"the operator {name}")


def _both(options: Options, name: str) -> tuple[int, int]:
    return int(options[f"{name}_h"]), int(options[f"{name}_w"])


def _padding(options: Options) -> str:
    return "valid" if options["padding"] else "same"
