"""A layer that scales the input of an integer graph, where the input's quantization could say the same."""

from __future__ import annotations

from edgeclf.artifact.entry_scaling import find_entry_scaling, find_shiftable
from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.measure.formatting import percent

CAUSE = "input-scaling-as-a-layer"
LEAST = 0.03
"""Of the time of all operators."""


def find_input_scaling(examination: Examination) -> list[Finding]:
    """Time the layer that scales an 8-bit input by the same numbers for all channels."""
    number = find_needless(examination.cutter)
    if number is None:
        return []
    fraction, microseconds = examination.confirm([number])
    return decide(fraction, microseconds, examination.source)


def decide(fraction: float, microseconds: float, source: str) -> list[Finding]:
    """Decide by the fraction of the time that the layer takes."""
    if fraction < LEAST:
        return []
    sentence = (
        f"The first layer only scales the picture, in {microseconds:.0f} µs, {percent(fraction, 0)} of the time; a "
        "step and a zero point of the 8-bit input can stand for it."
    )
    return [Finding.rated(CAUSE, "time", fraction, sentence, f"edgeclf compress {source} --int8")]


def find_needless(cutter: GraphCutter) -> int | None:
    """Return the number of the operator that scales an 8-bit input as its quantization could.

    Args:
        cutter: of the graph.

    Returns:
        None: there is none, channels differ, or what is behind it could not take the fraction of a step that is left.
    """
    graph = cutter.graph
    if len(graph.inputs) != 1 or graph.inputs[0].dtype not in ("uint8", "int8"):
        return None
    entry = graph.input_indices[0]
    readers = graph.consumers(entry)
    if len(readers) == 1 and readers[0].name == "QUANTIZE" and readers[0].outputs:
        entry = readers[0].outputs[0]
    tensor = graph.tensors[entry]
    found = find_entry_scaling(graph, entry) if tensor.dtype == "int8" and tensor.scale else None
    steps = None if found is None else found.whole_steps(tensor.scale)
    if found is None or steps is None or cutter.fused_activation(found.place):
        return None
    if not -128 <= tensor.zero_point + steps[1] <= 127:
        return None
    if not found.is_whole(tensor.scale) and find_shiftable(graph, found.result) is None:
        return None
    return found.place
