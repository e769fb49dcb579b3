"""Times what a network multiplies on this machine, so that channels go where they take time.

Multiply-accumulates are a poor measure of it: those of a depthwise convolution took twelve times as long as those of
the others in an int8 MobileNetV2 on a processor with AMX. So the operators of the int8 model are timed one by one (see
`edgeclf.doctor.operator_times`), and what a layer takes is held to be in proportion to its multiply-accumulates where
channels go: a heuristic, by which networks are chosen that are timed as a whole then (see `latency_goal`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.candidate import export_candidate
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import OperatorTime
from edgeclf.errors import ModelError
from edgeclf.graph.channels import ChannelGraph
from edgeclf.graph.float_network import FloatNetwork

DEPTHWISE = "DEPTHWISE_CONV_2D"
MULTIPLYING = ("CONV_2D", DEPTHWISE, "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")


def time_products(network: FloatNetwork, graph: ChannelGraph, context: StepContext) -> npt.NDArray[np.float64]:
    """Time the operators of the int8 model of a network with one thread, a few seconds.

    Args:
        network: that was traced.
        graph: its channels.
        context: for the export.

    Returns:
        float64[products], nanoseconds that each multiply-accumulate takes: of the operators of the same kind that have
        as many; where there are none, of all of the kind, or of all. 1 everywhere where nothing could be timed.
    """
    file = ModelFile(export_candidate(network, context), "candidate.tflite")
    try:
        operators = Examination(file, progress=context.progress).operators
    except ModelError as error:
        context.progress.info(f"layers were not timed, so channels go by multiply-accumulates: {error}")
        operators = ()
    return spread_times(graph, operators)


def spread_times(graph: ChannelGraph, operators: tuple[OperatorTime, ...]) -> npt.NDArray[np.float64]:
    """Return what a multiply-accumulate of each product takes, in nanoseconds: float64[products].

    Args:
        graph: channels of a network.
        operators: of its model, timed or not.
    """
    timed = [one for one in operators if one.name in MULTIPLYING and one.macs and one.microseconds]
    overall = _rate(timed)
    if overall is None:
        return np.ones(len(graph.products))
    found = []
    for product in graph.products:
        alike = [one for one in timed if (one.name == DEPTHWISE) == (not product.takes.size)]
        found.append(_rate([one for one in alike if one.macs == product.macs]) or _rate(alike) or overall)
    return np.array(found, np.float64)


def with_times(graph: ChannelGraph, nanoseconds: npt.NDArray[np.float64]) -> ChannelGraph:
    """Return a graph whose products take so long for each multiply-accumulate.

    Args:
        graph: channels of a network.
        nanoseconds: float64[products].
    """
    pairs = zip(graph.products, nanoseconds.tolist(), strict=True)
    return replace(graph, products=tuple(replace(one, nanoseconds=time) for one, time in pairs))


def _rate(operators: list[OperatorTime]) -> float | None:
    macs = sum(one.macs for one in operators)
    return 1000 * sum(one.microseconds or 0.0 for one in operators) / macs if macs else None
