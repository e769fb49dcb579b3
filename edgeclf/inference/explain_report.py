"""The report of `explain`. Probabilities and correlations are fractions."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.inference.photos import UnreadablePhoto
from edgeclf.records import Record

MODEL_FILE, FLOAT_NETWORK = "model file", "float network"
CLASS_ACTIVATION_MAP, GRAD_CAM = "class activation map", "Grad-CAM"


@dataclass(frozen=True)
class ExplainedSource(Record):
    """What was asked for maps.

    Attributes:
        kind: `model file` or `float network`.
        path: of it.
        method: `class activation map` or `Grad-CAM`.
        map_size: height and width of its maps, in places.
    """

    kind: str
    path: str
    method: str
    map_size: tuple[int, int]


@dataclass(frozen=True)
class EvidenceMap(Record):
    """Where one of the sources finds evidence for a class.

    Attributes:
        kind: of the source.
        label: the best class by this source, whichever class the map is of.
        probability: that it gives to the class of the map.
        rows: the map, a row of places each, before negative values are dropped, in units of the logit (of a class
            activation map), or of Grad-CAM.
        saved: the picture with the map drawn over it; None: none was saved.
    """

    kind: str
    label: str
    probability: float
    rows: tuple[tuple[float, ...], ...]
    saved: str | None = None


@dataclass(frozen=True)
class ExplainedPhoto(Record):
    """The maps of one photo.

    Attributes:
        path: of the file.
        label: the class of the maps.
        maps: one a source, in the order of `ExplainReport.sources`.
        correlation: Pearson's, of the positive parts of the two maps; None: there is one map, or one has no contrast.
    """

    path: str
    label: str
    maps: tuple[EvidenceMap, ...]
    correlation: float | None = None


@dataclass(frozen=True)
class ExplainReport(Record):
    """Maps of some photos.

    Attributes:
        sources: what was asked: a model file, a float network, or both.
        photos: those that could be read.
        unreadable: the others.
        correlation: median over the photos; None: there is one source.
        out: the folder with the pictures.
        page: that shows them; None: the package for it is not installed.
        notes: what was left out and why, and warnings about how the model is read.
    """

    sources: tuple[ExplainedSource, ...]
    photos: tuple[ExplainedPhoto, ...]
    unreadable: tuple[UnreadablePhoto, ...]
    correlation: float | None
    out: str
    page: str | None
    notes: tuple[str, ...]
