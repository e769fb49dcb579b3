"""The kinds of findings, each one file: what is measured, how it is decided, the thresholds.

To add one: a file with a function that takes an `Examination` and returns findings, and a line in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from edgeclf.doctor.examination import Examination
from edgeclf.doctor.findings.bloat import find_bloat
from edgeclf.doctor.findings.clipped_ranges import find_clipped_ranges
from edgeclf.doctor.findings.duplicate_constants import find_duplicate_constants
from edgeclf.doctor.findings.float_islands import find_float_islands
from edgeclf.doctor.findings.float_weights import find_float_weights
from edgeclf.doctor.findings.four_bit_weights import find_slow_four_bits
from edgeclf.doctor.findings.input_scaling import find_input_scaling
from edgeclf.doctor.findings.large_input import find_large_input
from edgeclf.doctor.findings.lossy_layer import CHECK as LOSSY_LAYER
from edgeclf.doctor.findings.lossy_layer import find_lossy_layer
from edgeclf.doctor.findings.outside_delegate import find_outside_delegate
from edgeclf.doctor.findings.slow_kernels import find_slow_kernels
from edgeclf.doctor.findings.thread_count import find_thread_count
from edgeclf.doctor.findings.unread_outputs import find_unread_outputs
from edgeclf.doctor.findings.unused_zeros import find_unused_zeros
from edgeclf.doctor.report import Finding


def _has_photos(examination: Examination) -> bool:
    return examination.images is not None and examination.images.source == "data"


Check = Callable[[Examination], Iterable[Finding]]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "float weights": find_float_weights,
        "metadata and labels": find_bloat,
        "constants stored twice": find_duplicate_constants,
        "operators outside the delegate": find_outside_delegate,
        "float islands": find_float_islands,
        "outputs that nobody reads": find_unread_outputs,
        "a layer that scales the input": find_input_scaling,
        "kernels slower than float": find_slow_kernels,
        "kernels for 4-bit weights": find_slow_four_bits,
        "zeros that no kernel uses": find_unused_zeros,
        "thread count": find_thread_count,
        "input larger than needed": find_large_input,
        "clipped ranges": find_clipped_ranges,
        LOSSY_LAYER: find_lossy_layer,
    }
)
"""By what they look for. What only reads the file comes first, then time, then images."""

NEEDS: Mapping[str, tuple[Callable[[Examination], bool], str]] = MappingProxyType(
    {
        "thread count": (lambda examination: examination.threads > 1, "--threads"),
        "input larger than needed": (_has_photos, "--data"),
        LOSSY_LAYER: (
            lambda examination: examination.baseline is not None and _has_photos(examination), "--data and --baseline"
        ),
    }
)  # fmt: skip
"""For what looks further than the file: whether an examination has what that needs, and the options that give it."""
