"""4-bit weights, which other programs leave to the runtime as they are.

It has no fast kernels for convolutions with them. edgeclf gives it such weights in eight bits, so that what is found
costs nothing in its own commands.
"""

from __future__ import annotations

from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.doctor.timing import Turns, time_in_turns
from edgeclf.errors import ModelError
from edgeclf.inference.litert import LITERT
from edgeclf.measure.latency import timed_call

CAUSE = "int4-kernels"
LEAST_RATIO = 1.15
"""Times as long as with the weights in eight bits, at the lower end of the interval."""
LEAST_MICROSECONDS = 20.0


def find_slow_four_bits(examination: Examination) -> list[Finding]:
    """Time the model with its 4-bit weights as they are, beside the same in eight bits."""
    if examination.session.as_stored:
        return []
    try:
        stored = LITERT.open(examination.file, threads=examination.threads, as_stored=True)
    except ModelError as error:
        examination.notes.append(f"other programs may not run it: {error}")
        return []
    for session in (stored, examination.session):
        session.run(examination.input_tensors[0])
    return decide(time_in_turns([timed_call(stored), timed_call(examination.session)]), examination.source)


def decide(turns: Turns, source: str) -> list[Finding]:
    """Decide by the times of the model: its weights in four bits, and in eight."""
    ratio, stored, wide = turns.compare(0, 1), turns.microseconds(0), turns.microseconds(1)
    if ratio.low < LEAST_RATIO or stored - wide < LEAST_MICROSECONDS:
        return []
    sentence = (
        f"Other programs leave the 4-bit weights to the runtime as they are, and take {stored:.0f} µs on this "
        f"processor, {ratio.value:.2g} times as long as edgeclf, which unpacks them when it opens the file "
        f"({wide:.0f} µs)."
    )
    # low, however much it is elsewhere: in edgeclf it costs nothing
    return [Finding(CAUSE, "time", round(1 - 1 / ratio.value, 4), True, sentence, f"edgeclf compress {source} --int8")]
