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
    return decide(left, examination.source)


def decide(left: Sequence[OperatorTime], source: str) -> list[Finding]:
    """Decide by the operators outside of the delegate, and their fractions of the time."""
    fraction = sum_fractions(left)
    if fraction < LEAST_FRACTION:
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
