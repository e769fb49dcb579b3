"""Operators that the runtime's fast kernels (its delegate, XNNPACK) do not compute."""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.doctor.examination import Examination
from edgeclf.doctor.operator_times import sum_fractions
from edgeclf.doctor.report import Finding, OperatorTime
from edgeclf.measure.formatting import counted, percent

CAUSE = "operators-outside-the-delegate"
LEAST_FRACTION = 0.10
"""Of the time: the softmax and the conversions at both ends of a sound model take 1 to 5 %."""
LEAST_MICROSECONDS = 10.0
_NAMED = 3


def find_outside_delegate(examination: Examination) -> list[Finding]:
    """Add the time of the operators that the delegate leaves to the plain kernels."""
    from edgeclf.doctor.findings.float_islands import conversions
    from edgeclf.doctor.findings.slow_kernels import has_own_cause

    graph = examination.graph
    elsewhere = conversions(graph)
    left = [
        operator
        for operator in examination.operators
        if not operator.delegated and operator.number not in elsewhere and not has_own_cause(graph, operator)
    ]
    if sum_fractions(left) < LEAST_FRACTION:
        return []
    return decide(left, *examination.confirm([operator.number for operator in left]), examination.source)


def decide(left: Sequence[OperatorTime], fraction: float, microseconds: float, source: str) -> list[Finding]:
    """Decide by the operators outside of the delegate, the fraction of the time that they take, and that time."""
    if fraction < LEAST_FRACTION or microseconds < LEAST_MICROSECONDS:
        return []
    kinds: dict[str, float] = {}
    for operator in left:
        kinds[operator.name] = kinds.get(operator.name, 0.0) + (operator.fraction or 0.0)
    largest = sorted(kinds, key=lambda kind: -kinds[kind])[:_NAMED]
    named = ", ".join(f"{kind} {percent(kinds[kind], 0)}" for kind in largest)
    sentence = (
        f"{counted(len(left), 'operator')} outside of the runtime's fast kernels (XNNPACK) "
        f"{'takes' if len(left) == 1 else 'take'} {percent(fraction, 0)} of the time: {named}."
    )
    return [Finding.rated(CAUSE, "time", fraction, sentence, f"edgeclf compress {source} --int8 --float16 --speed")]
