"""Reads where a model file comes from, and whether it still is what was written.

The file carries a JSON buffer (`EDGECLF_PROVENANCE`) at its front and a trailer at its very end. Both hold the mark
`edgeclf-sha256:` and the same 64 hexadecimal digits: SHA-256 over the whole file with both runs of digits set to zeros.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeclf.artifact.fitted_probabilities import FittedProbabilities
from edgeclf.artifact.flatbuffer_reader import damage_error
from edgeclf.artifact.label_bounds import LARGEST_LIST, check_labels
from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.samples import read_samples
from edgeclf.artifact.tflite import TfliteModel, parse
from edgeclf.errors import InputError, ModelError
from edgeclf.json_text import parse_json, write_json
from edgeclf.records import Record

BUFFER_NAME = "EDGECLF_PROVENANCE"
MARK = b"edgeclf-sha256:"
EMPTY_SEAL = MARK + b"0" * 64
LARGEST = LARGEST_LIST + (1 << 20)
"""Bytes of the JSON buffer: as many class names as a file may have, and 1 MB for all else, which takes some kB. Parsed
JSON can take thirty times its bytes of memory: 0.5 GB, below what a model may take by default."""

Integrity = Literal["verified", "unverified", "damaged"]


@dataclass(frozen=True)
class Provenance(Record):
    """How a model was made.

    Attributes:
        recipe: of the compression.
        data: source, fingerprint, split_seed, class_names, those of them that stand for none of these (`none_classes`,
            where there is one), indices of the calibration images.
        metrics: when exported, by split; fractions.
        versions: of the packages that made it.
        preprocessing: color order, fit (see `edgeclf.artifact.input_fit`), resize rule and its version.
        input_range: what pixel values 0 and 255 become before they enter the graph; None: they enter as they are.
        parameters: of the network.
        macs: multiply-accumulates for one image.
        samples: embedded samples for `verify`; see `edgeclf.artifact.samples`.
        created_by: program and version.
        probabilities: fitted on validation images of the exported model; None: nothing was.
    """

    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    input_range: tuple[float, float] | None = None
    parameters: int = 0
    macs: int = 0
    samples: dict[str, Any] | None = None
    created_by: str = "edgeclf"
    probabilities: FittedProbabilities | None = None


def provenance_buffer(provenance: Provenance) -> bytes:
    """Encode the JSON buffer, its seal still empty."""
    seal = EMPTY_SEAL.decode()
    return write_json({"seal": seal, "format": 1, **provenance.to_dict()}).encode()


def seal(content: bytes) -> bytes:
    """Fill both empty seals of a finished file.

    Raises:
        ModelError: the file does not have exactly two of them, the second at its end.
    """
    places = _marks(content)
    empty = [content[p : p + len(EMPTY_SEAL)] == EMPTY_SEAL for p in places]
    if empty != [True, True] or places[1] + len(EMPTY_SEAL) != len(content):
        raise ModelError(f"a file to be sealed must have two empty seals, got {sum(empty)} among {len(places)} marks")
    digest = hashlib.sha256(content).hexdigest().encode()
    sealed = bytearray(content)
    for place in places:
        sealed[place + len(MARK) : place + len(EMPTY_SEAL)] = digest
    return bytes(sealed)


def integrity(content: bytes, model: TfliteModel | None = None) -> Integrity:
    """Find out whether a model file is what was written.

    Args:
        content: the whole file.
        model: the same, parsed, where the caller has it already.

    Returns:
        `verified`: sealed by edgeclf, and every byte is as it was. `unverified`: no seal, and nothing speaks against
        the structure. `damaged`: a seal that does not fit, one seal without the other, or a structure that does not
        hold together.
    """
    places = _marks(content)
    try:
        model = model or parse(content)
    except ModelError:
        return "damaged"
    buffer = model.metadata.get(BUFFER_NAME)
    if not places and buffer is None and BUFFER_NAME.encode() not in content:
        return "unverified"
    if buffer is None or MARK not in buffer or len(places) != 2 or places[1] + len(EMPTY_SEAL) != len(content):
        return "damaged"
    plain = bytearray(content)
    digits = []
    for place in places:
        start, end = place + len(MARK), place + len(EMPTY_SEAL)
        digits.append(content[start:end])
        plain[start:end] = b"0" * 64
    digest = hashlib.sha256(plain).hexdigest().encode()
    return "verified" if digits == [digest, digest] else "damaged"


def read_provenance(content: bytes, model: TfliteModel | None = None) -> Provenance | None:
    """Read how a file was made; None where edgeclf did not write it.

    Raises:
        ModelError: `content` is no TFLite file, or its provenance is damaged or too large.
    """
    buffer = (model or parse(content)).metadata.get(BUFFER_NAME)
    if buffer is None:
        return None
    if len(buffer) > LARGEST:
        raise damage_error(f"its provenance has {len(buffer):,} bytes, expected at most {LARGEST:,}")
    try:
        values = parse_json(buffer, "the JSON")
        if not isinstance(values, dict):
            raise InputError(f"expected a JSON object, got {type(values).__name__}")
        # a later version may have written more than this one knows
        known = {f.name for f in dataclasses.fields(Provenance)}
        made = Provenance.from_dict({key: value for key, value in values.items() if key in known})
        _check(made)
    except InputError as error:
        raise damage_error(f"its provenance cannot be read ({error})") from error
    return made


def _check(made: Provenance) -> None:
    """Check what others take from a provenance: its class names, its input range, its samples.

    Raises:
        InputError: one of them is not what it should be.
    """
    if made.data.get("class_names") is not None:
        check_labels(made.data["class_names"])
    if made.input_range is not None:
        Normalization.from_range(*made.input_range)
    if made.samples is not None:
        read_samples(made.samples)


def _marks(content: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(MARK), content)]
