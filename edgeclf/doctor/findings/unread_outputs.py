"""Operators whose results do not reach the class scores: further outputs, and branches that end nowhere."""

from __future__ import annotations

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.operator_times import sum_fractions
from edgeclf.doctor.report import Finding
from edgeclf.measure.formatting import counted, percent

CAUSE = "outputs-that-nobody-reads"
LEAST_FRACTION, LEAST_MICROSECONDS = 0.05, 3.0
"""Of the time, and in microseconds."""


def find_unread_outputs(examination: Examination) -> list[Finding]:
    """Add the time of the operators that the first output does not need."""
    numbers = find_unneeded(examination.graph)
    left = [operator for operator in examination.operators if operator.number in numbers]
    if sum_fractions(left) < LEAST_FRACTION:
        return []
    fraction, microseconds = examination.confirm(sorted(numbers))
    if microseconds < LEAST_MICROSECONDS:
        return []
    return decide(len(left), fraction, len(examination.graph.outputs), examination.source)


def decide(operators: int, fraction: float, outputs: int, source: str) -> list[Finding]:
    """Decide by the operators that are not needed, their fraction of the time, and the graph's outputs."""
    if fraction < LEAST_FRACTION:
        return []
    where = f"{outputs - 1} of the {outputs} outputs" if outputs > 1 else "branches that end nowhere"
    sentence = (
        f"{counted(operators, 'operator')} that the class scores do not need "
        f"{'takes' if operators == 1 else 'take'} {percent(fraction, 0)} of the time: {where}, which no classifier "
        "reads."
    )
    return [Finding.rated(CAUSE, "time", fraction, sentence, f"edgeclf compress {source} --int8")]


def find_unneeded(graph: TfliteModel) -> frozenset[int]:
    """Find the operators whose results the first output is not computed from."""
    producers = {tensor: number for number, op in enumerate(graph.operators) for tensor in op.outputs}
    needed: set[int] = set()
    waiting = list(graph.output_indices[:1])
    while waiting:
        number = producers.get(waiting.pop())
        if number is not None and number not in needed:
            needed.add(number)
            waiting.extend(graph.operators[number].inputs)
    return frozenset(range(len(graph.operators))) - needed
