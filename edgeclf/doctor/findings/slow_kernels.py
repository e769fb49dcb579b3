"""Integer kernels that are slower on this processor than the same operators in float32.

Each operator that takes a noticeable part of the time is measured in turns with its float twin. int16 activations have
few fast kernels; what int8 costs, above all in depthwise convolutions, depends on the processor. Where float is what
mends it, the whole model must be faster in float, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding, OperatorTime
from edgeclf.doctor.timing import Ratio
from edgeclf.measure.formatting import counted, percent

LEAST_FRACTION = 0.10
"""Of the model's time that the float twins would save, by the unfavourable end of each ratio's interval."""
LEAST_RATIO = 1.15
"""Operators that are less slower than that, at that end, count nothing."""
LEAST_MICROSECONDS = 20.0
"""That the twins must save: of a model of a few microseconds nobody needs to know."""
_CALLED = {
    "int16-kernels": "operators on int16",
    "slow-depthwise-int8": "depthwise convolutions in int8",
    "slow-dynamic-range": "operators in float with integer weights (dynamic range)",
    "slow-int8": "operators in int8",
}
DEPENDS_ON_PROCESSOR = frozenset({"slow-depthwise-int8", "slow-dynamic-range", "slow-int8"})
"""Causes that a sound model has on processors without fast kernels for them; float is what mends them."""
_MENDING = {
    "int16-kernels": "--int8",
    "slow-depthwise-int8": "--int8 --float16 --speed",
    "slow-dynamic-range": "--int8 --float16 --speed",
    "slow-int8": "--int8 --float16 --speed",
}


@dataclass(frozen=True)
class SlowOperator:
    """An operator beside its float twin: its fraction of the model's time, how many times as long, and its time."""

    fraction: float
    ratio: float
    lowest_ratio: float
    microseconds: float

    @property
    def saved(self) -> float:
        """The fraction of the time that the twin saves at least."""
        return self.fraction * (1 - 1 / self.lowest_ratio) if self.lowest_ratio >= LEAST_RATIO else 0.0


def find_slow_kernels(examination: Examination) -> list[Finding]:
    """Compare the operators on integers with their float twins, by kind."""
    kinds: dict[str, list[SlowOperator]] = {}
    for operator in examination.operators:
        twin = examination.twin_times.get(operator.number)
        if twin is None or operator.fraction is None:
            continue
        slow = SlowOperator(operator.fraction, twin.ratio.value, twin.ratio.low, twin.microseconds)
        kinds.setdefault(name_kind(examination.graph, operator), []).append(slow)
    found = [finding for kind, slow in kinds.items() for finding in decide(kind, slow, examination.source)]
    whole = examination.float_twin if found else None
    if whole is not None:
        return confirm(found, _compare_whole(examination, whole))
    unmeasured = [finding for finding in found if finding.cause in DEPENDS_ON_PROCESSOR]
    if unmeasured:
        examination.notes.append(
            "operators are slower than in float32; whether the whole model is was not measured, since no float twin of "
            "it can be made"
        )
    return [finding for finding in found if finding not in unmeasured]


def _compare_whole(examination: Examination, twin: ModelFile) -> Ratio:
    """Time the model beside its float twin; that it is slower has to show in two openings of both."""
    first = examination.compare_with(twin)
    if first.low <= 1:
        return first
    return min(first, examination.compare_with(twin, reopened=True), key=lambda ratio: ratio.low)


def decide(kind: str, operators: Sequence[SlowOperator], source: str) -> list[Finding]:
    """Decide by the operators of one kind beside their float twins."""
    slow = [operator for operator in operators if operator.saved]
    saved = sum(operator.saved for operator in slow)
    if saved < LEAST_FRACTION or sum(op.microseconds * (1 - 1 / op.ratio) for op in slow) < LEAST_MICROSECONDS:
        return []
    taken = sum(operator.fraction for operator in slow)
    times = sum(op.fraction for op in slow) / sum(op.fraction / op.ratio for op in slow)
    sentence = (
        f"{counted(len(slow), 'operator')} ({_CALLED[kind]}) {'takes' if len(slow) == 1 else 'take'} "
        f"{percent(taken, 0)} of the time, {times:.2g} times as long as the same in float32 on this processor."
    )
    return [Finding.rated(kind, "time", saved, sentence, f"edgeclf compress {source} {_MENDING[kind]}")]


def confirm(found: Sequence[Finding], whole: Ratio) -> list[Finding]:
    """Keep what the whole model beside its float twin does not contradict, and say what was measured there."""
    said = f" The model as a whole takes {whole.value:.2g} times as long as its float twin."
    return [
        replace(finding, sentence=finding.sentence + said)
        for finding in found
        if finding.cause not in DEPENDS_ON_PROCESSOR or whole.low > 1
    ]


def name_kind(graph: TfliteModel, operator: OperatorTime) -> str:
    """Name the kind of kernel that an operator on integers needs."""
    tensors = [graph.tensors[t] for t in graph.operators[operator.number].inputs if t >= 0]
    computed = [tensor for tensor in tensors if tensor.data is None]
    if any(tensor.dtype == "int16" for tensor in computed):
        return "int16-kernels"
    if computed and computed[0].dtype == "float32":
        return "slow-dynamic-range"
    return "slow-depthwise-int8" if operator.name == "DEPTHWISE_CONV_2D" else "slow-int8"


def has_own_cause(graph: TfliteModel, operator: OperatorTime) -> bool:
    """Return whether an operator outside of the delegate is named for its type instead."""
    kind = name_kind(graph, operator)
    tensors = [graph.tensors[t] for t in graph.operators[operator.number].inputs if t >= 0]
    four_bits = any(tensor.dtype == "int4" for tensor in tensors)
    return kind == "int16-kernels" or (kind == "slow-dynamic-range" and four_bits)
