"""Times the operators of a model one by one.

The runtime's Python package has no profiler: `ai_edge_litert.interpreter` counts nothing, and the one of the C library
(`LiteRtCreateProfiler`) is not wrapped. So each operator becomes a graph of its own, gets the tensors that it gets in
the model, and is timed at the same number of threads, less what a graph with next to no work takes. Operators that
differ in their numbers alone are timed once. Timed in isolation: nothing is fused with its neighbours, and its tensors
are in the cache. The sum stands beside the time of the whole, so that one sees how far to trust it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.float_twin import make_float
from edgeclf.artifact.graph_cuts import Cut, GraphCutter
from edgeclf.artifact.macs import operator_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.doctor.report import OperatorTime
from edgeclf.doctor.timing import Call, Ratio, time_in_turns
from edgeclf.errors import ModelError
from edgeclf.inference.tflite_session import TFLiteSession
from edgeclf.progress import Progress

Tensors = Mapping[int, npt.NDArray[Any]]
"""Values of a graph's tensors by their number."""
Opener = Callable[[ModelFile], TFLiteSession]
"""Opens a file as the examined model was."""
SECONDS = 8.0
"""For all operators; those with the most work come first, and what is left has no time."""
_ROUNDS = 3
_MOST_AGAIN = 40  # operators that are timed a second time


@dataclass(frozen=True)
class TwinTime:
    """An operator beside its float twin: microseconds each, and how many times as long the operator takes."""

    microseconds: float
    twin_microseconds: float
    ratio: Ratio


def time_operators(
    cutter: GraphCutter, tensors: Tensors, delegated: frozenset[int], opens: Opener, progress: Progress
) -> tuple[OperatorTime, ...]:
    """Time every operator of a graph in isolation.

    Args:
        cutter: of the model.
        tensors: what it computes for an image.
        delegated: the operators that a delegate computes.
        opens: opens a file as the whole model was.
        progress: where the bar goes.
    """
    graph = cutter.graph
    counted = [number for number in range(len(graph.operators)) if not cutter.is_constant(number)]
    groups: dict[str, list[int]] = {}
    for number in counted:
        groups.setdefault(cutter.signature(number), []).append(number)
    order = sorted(groups.values(), key=lambda numbers: -_work(cutter, numbers[0]))
    found: dict[int, float] = {}
    deadline = time.perf_counter() + SECONDS
    with progress.task("timing operators", len(order)) as task:
        empty = _time_empty(opens)
        for numbers in order:
            if time.perf_counter() > deadline:
                break
            spent = _time_alone(cutter, numbers[0], tensors, opens)
            if spent is not None:
                found |= dict.fromkeys(numbers, max(spent - empty, 0.0))
            task.advance()
    total = sum(found.values())
    return tuple(_describe(cutter, number, number in delegated, found.get(number), total) for number in counted)


def time_again(cutter: GraphCutter, numbers: Sequence[int], tensors: Tensors, opens: Opener) -> dict[int, float]:
    """Time a few operators once more; microseconds by number, without those that cannot be timed alone."""
    empty = _time_empty(opens)
    times = {number: _time_alone(cutter, number, tensors, opens) for number in numbers[:_MOST_AGAIN]}
    return {number: max(spent - empty, 0.0) for number, spent in times.items() if spent is not None}


def compare_with_twin(
    cutter: GraphCutter, number: int, tensors: Tensors, opens: Opener, seconds: float
) -> TwinTime | None:
    """Time an operator and its float twin in turns; None: there is no twin, or it cannot be timed."""
    try:
        calls = [
            open_cut(cutter.cut([number]), tensors, opens),
            open_cut(cutter.cut([number], make_float), tensors, opens, cutter),
        ]
    except ModelError:
        return None
    turns = time_in_turns(calls, seconds)
    return TwinTime(turns.undisturbed(0), turns.undisturbed(1), turns.compare(0, 1))


def open_cut(cut: Cut, tensors: Tensors, opens: Opener, real: GraphCutter | None = None) -> Call:
    """Open a cut with its inputs in place; returns its invoke.

    Args:
        cut: the file.
        tensors: by number in the whole graph.
        opens: opens a file as the whole model was.
        real: of a float twin, the cutter that it was made with: integers enter as the numbers that they stand for.

    Raises:
        ModelError: the runtime refuses it, or its inputs are not known.
    """
    file = ModelFile(cut.content, "operator")
    given = [_enter(tensors, tensor, real) for tensor in cut.inputs]
    for place, values in zip(cut.places, given, strict=True):
        # what a file says of the tensors between its operators need not be true
        if values is None or values.shape != file.graph.tensors[place].shape:
            raise ModelError("what an operator gets is not known, or is not of the shape that the file has")
    session = opens(file)
    try:
        for place, values in zip(cut.places, given, strict=True):
            session.write(place, np.asarray(values))
        session.invoke()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the runtime fails at an operator alone: {error}") from error
    return session.invoke


def _enter(tensors: Tensors, tensor: int, real: GraphCutter | None) -> npt.NDArray[Any] | None:
    values = tensors.get(tensor)
    if values is None or real is None or not (info := real.graph.tensors[tensor]).scale:
        return values
    return np.asarray((values.astype(np.float32) - info.zero_point) * info.scale, np.float32)


def _time_alone(cutter: GraphCutter, number: int, tensors: Tensors, opens: Opener) -> float | None:
    try:
        call = open_cut(cutter.cut([number]), tensors, opens)
    except ModelError:
        return None
    return time_in_turns([call], rounds=_ROUNDS).undisturbed(0)


def _time_empty(opens: Opener) -> float:
    """Time a graph that copies one number: what calling the interpreter takes."""
    content = _copy_of_one_number()
    call = open_cut(Cut(content, (0,), (1,), (0,)), {0: np.zeros((1, 1), np.float32)}, opens)
    return time_in_turns([call], rounds=_ROUNDS).undisturbed(0)


def _copy_of_one_number() -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    from edgeclf.artifact.tflite_editor import pack_model

    model, graph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    code.version = 1
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.tensors = []
    for name in ("from", "to"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, [1, 1], 0
        graph.tensors.append(tensor)
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [1]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    return pack_model(model, 1000)


def _work(cutter: GraphCutter, number: int) -> float:
    operator = cutter.graph.operators[number]
    moved = sum(cutter.graph.tensors[tensor].elements for tensor in operator.outputs)
    return operator_macs(cutter.graph, operator) + moved


def _describe(
    cutter: GraphCutter, number: int, delegated: bool, microseconds: float | None, total: float
) -> OperatorTime:
    operator = cutter.graph.operators[number]
    tensors = cutter.graph.tensors
    read = next((tensors[t].dtype for t in operator.inputs if t >= 0 and tensors[t].data is None), "")
    fraction = microseconds / total if microseconds is not None and total else None
    return OperatorTime(
        number=number,
        name=operator.name,
        output=tensors[operator.outputs[0]].name if operator.outputs else "",
        dtype=read,
        delegated=delegated,
        macs=operator_macs(cutter.graph, operator),
        microseconds=None if microseconds is None else round(microseconds, 2),
        fraction=None if fraction is None else round(fraction, 4),
    )


def sum_fractions(operators: Sequence[OperatorTime]) -> float:
    """Add the fractions of operators; those that were not timed count nothing."""
    return sum(operator.fraction or 0.0 for operator in operators)
