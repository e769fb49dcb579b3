"""Operators in float amid a quantized graph, between a DEQUANTIZE and a QUANTIZE."""

from __future__ import annotations

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.operator_times import sum_fractions
from edgeclf.doctor.report import Finding
from edgeclf.measure.formatting import counted, percent

CAUSE = "float-islands"
LEAST_FRACTION, LEAST_MICROSECONDS = 0.05, 3.0
"""Of the time, and in microseconds."""


def find_float_islands(examination: Examination) -> list[Finding]:
    """Add the time of what is computed between integers and integers in float, with both conversions."""
    islands = find_islands(examination.graph)
    numbers = frozenset[int]().union(*islands)
    inside = [operator for operator in examination.operators if operator.number in numbers]
    if sum_fractions(inside) < LEAST_FRACTION:
        return []
    fraction, microseconds = examination.confirm(sorted(numbers))
    if microseconds < LEAST_MICROSECONDS:
        return []
    return decide(len(islands), fraction, sorted({op.name for op in inside}), examination.source)


def decide(islands: int, fraction: float, names: list[str], source: str) -> list[Finding]:
    """Decide by the number of islands, their fraction of the time, and the kinds of operators in them."""
    if fraction < LEAST_FRACTION:
        return []
    sentence = (
        f"{counted(islands, 'island')} of float amid the integers {'takes' if islands == 1 else 'take'} "
        f"{percent(fraction, 0)} of the time: {', '.join(names)}."
    )
    return [Finding.rated(CAUSE, "time", fraction, sentence, f"edgeclf compress {source} --int8 --qat")]


def find_islands(graph: TfliteModel) -> list[frozenset[int]]:
    """Find the operators of each island by their numbers, from the DEQUANTIZE to the QUANTIZE.

    What is dequantized at the end, and what is quantized at the beginning, is none; neither are weights in float16,
    which the runtime converts once.
    """
    readers: dict[int, list[int]] = {}
    for number, operator in enumerate(graph.operators):
        for tensor in operator.inputs:
            readers.setdefault(tensor, []).append(number)
    taken: set[int] = set()
    dead: set[int] = set()  # what leads to no QUANTIZE
    found = []
    for number, operator in enumerate(graph.operators):
        if (
            operator.name != "DEQUANTIZE"
            or number in taken
            or number in dead
            or graph.tensors[operator.inputs[0]].data is not None
        ):
            continue
        inside, closed, waiting = {number}, False, list(operator.outputs)
        while waiting:
            for reader in readers.get(waiting.pop(), []):
                if reader in inside or reader in dead:
                    continue
                inside.add(reader)
                if graph.operators[reader].name == "QUANTIZE" or reader in taken:
                    closed = True
                else:
                    waiting.extend(graph.operators[reader].outputs)
        if closed:
            found.append(frozenset(inside - taken))
        (taken if closed else dead).update(inside)
    return found


def conversions(graph: TfliteModel) -> frozenset[int]:
    """Return the numbers of all operators in islands."""
    return frozenset[int]().union(*find_islands(graph))
