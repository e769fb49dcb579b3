"""Model files that label photos together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.ensemble_folder import EnsembleSource, check_combine
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.none_class import hide_none_classes
from edgeclf.errors import ImageError, InputError, ModelError
from edgeclf.image.shape import InputShape
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.ensemble import check_members, combine
from edgeclf.inference.images import load_pixels
from edgeclf.inference.input_range import InputRange
from edgeclf.inference.prediction import LabelScore, Prediction, UnknownRule, check_top, choose_rule

ALWAYS_NAMED = (
    "the members' own thresholds and checks of features are for each alone: together they always name a class; "
    "--threshold calls images unknown"
)
FLOAT_STACKING = "the stacking was fitted on the float networks, and combines their models here"


def check_ensemble_options(ensemble: EnsembleSource | None, combine: str | None, given: Sequence[object]) -> None:
    """Refuse what is for ensembles alone, and for single models alone.

    Args:
        ensemble: that is named; None: one model is.
        combine: how it is to predict.
        given: what is for single models: normalization, input range, labels and fit; None where it was not given.

    Raises:
        InputError: something does not go together.
    """
    if ensemble is None and combine is not None:
        raise InputError("--combine is for ensembles, and one model is named: expected RUN+RUN, or the folder of one")
    if ensemble is not None and any(value is not None for value in given):
        raise InputError(
            "--normalize, --input-range, --labels and --fit are for one model; the members of an ensemble carry "
            "what is needed to read them"
        )


class EnsembleClassifier:
    """Several model files that label photos as one; what `predict_photos` takes.

    Each member gets the photo itself at its own size.

    Args:
        source: members, each a model file, a zoo name or a run folder with compressed models.
        runtime: name of the engine.
        threads: number of threads of each interpreter.
        combine: `average` or `stack`; None: as recorded.
        threshold: probability below which an image is `unknown`; None: a class is always named.

    Attributes:
        path: name of the ensemble.
        labels: class names in the order of the outputs.
        notes: warnings about how the members are read, a line each.

    Raises:
        ModelError: a member is missing or damaged, or the members do not agree.
        InputError: stacking is asked for, and none was fitted.
    """

    def __init__(
        self,
        source: EnsembleSource,
        *,
        runtime: str = "litert",
        threads: int = 1,
        combine: str | None = None,
        threshold: float | None = None,
    ) -> None:
        self.path = source.name
        files = [ModelFile.read(locate_model(member)) for member in source.members]
        self._members = [Classifier(file, runtime=runtime, threads=threads, threshold=0) for file in files]
        made = [file.provenance for file in files]
        self._carry_rules = any(one is not None and one.probabilities is not None for one in made)
        names = [(str(path), member.labels) for path, member in zip(source.members, self._members, strict=True)]
        self.labels = check_members(names, source.name)
        self._check_views(source)
        self._stacking = None if source.record is None else source.record.stacking
        if combine is not None and check_combine(combine) == "average":
            self._stacking = None
        elif combine == "stack" and self._stacking is None:
            raise InputError(
                f"{source.name}: no stacking was fitted; train the ensemble with --combine stack, or take "
                "--combine average"
            )
        self.runtime, self.runtime_version = self._members[0].runtime, self._members[0].runtime_version
        self.label_source = self._members[0].label_source
        self.rule: UnknownRule = choose_rule(threshold, None)
        self._shown = hide_none_classes(self.labels)

    def _check_views(self, source: EnsembleSource) -> None:
        """Refuse members that draw objects otherwise: what is drawn once for all of them cannot be resized."""
        first, *others = [member.input_shape for member in self._members]
        for path, shape in zip(source.members[1:], others, strict=True):
            if shape != first and (shape.views or first.views):
                takes = [f"{one.width}x{one.height} pixels by {one.fit}" for one in (first, shape)]
                raise ModelError(
                    f"{source.name}: {source.members[0]} takes {takes[0]}, and {path} takes {takes[1]}; members that "
                    "look at objects must take the same views"
                )

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about how the members are read, a line each."""
        own = [f"{member.path.name}: {note}" for member in self._members for note in member.notes]
        always = self.rule.threshold is None and self._carry_rules
        return (*own, *((FLOAT_STACKING,) if self._stacking is not None else ()), *((ALWAYS_NAMED,) if always else ()))

    @property
    def input_shape(self) -> InputShape:
        """Of the largest member."""
        return max((member.input_shape for member in self._members), key=lambda shape: shape.height * shape.width)

    @property
    def input_range(self) -> InputRange | None:
        """That of the members; None: one of them does not know its own yet."""
        ranges = [member.input_range for member in self._members]
        return None if None in ranges else ranges[0]

    def choose_input_range(self, images: Sequence[npt.NDArray[np.uint8]]) -> InputRange:
        """Measure which input values each member expects that does not know it, on pixels of the largest size."""
        found = [
            member.choose_input_range([load_pixels(image, member.input_shape) for image in images])
            for member in self._members
        ]
        return found[0]

    def predict(self, image: npt.NDArray[np.uint8], top: int = 5) -> Prediction:
        """Label one photo, uint8[H, W, 3] RGB of any size.

        Raises:
            ImageError: what a model computes for it is NaN or infinite.
            InputError: `top` is below 1.
        """
        # a stacking was fitted on what networks compute, before any temperature
        tempered = self._stacking is None
        found = [member.scores(load_pixels(image, member.input_shape), tempered=tempered) for member in self._members]
        scores = combine(np.stack(found)[:, None], self._stacking)[0]
        if not np.isfinite(scores).all():
            raise ImageError("what a member computes for it is NaN or infinite")
        order = np.argsort(-scores, kind="stable")
        best = int(order[0])
        label = "unknown" if self.rule.refuses(float(scores[best]), None) else self._shown[best]
        shown = tuple(LabelScore(self._shown[i], int(i), float(scores[i])) for i in order[: check_top(top)])
        return Prediction(shown, label)
