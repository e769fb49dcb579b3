"""What a pretraining reports."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.image.shape import STRETCH, ImageSize
from edgeclf.records import Record


@dataclass(frozen=True)
class PretrainReport(Record):
    """Result of a pretraining.

    Args:
        run: the run folder.
        method: a key of `METHODS`.
        pretext: what the network was to find, in the words of a table.
        model: name of the network.
        parameters: of the features that are kept, batch normalization included.
        image_size: side of the square input, pixels, or height and width.
        images: by split, images that it learned from or was judged on.
        seconds: time spent training, in all sessions of the run.
        epochs: whole epochs done.
        kept_epoch: the epoch whose network is kept: the last one, unless a callback chose another.
        loss: of the last epoch, on the training images.
        validation_loss: the same on the validation images.
        pretext_top1: fraction of the validation views for which the network finds what it is to find. It shows that the
            network learns; what its features are worth, training from them shows.
        device: what it was trained on.
        notes: remarks and warnings, one sentence each.
        started_from: name of the weights that it started from; empty: scratch.
        fit: how pictures of another shape come to the input.
        elapsed_seconds: from the call to the report by the clock, in the last session.
        ended: local time at which the run was finished, ISO 8601 with its zone.
    """

    run: str
    method: str
    pretext: str
    model: str
    parameters: int
    image_size: ImageSize
    images: dict[str, int]
    seconds: float
    epochs: int
    kept_epoch: int
    loss: float
    validation_loss: float
    pretext_top1: float
    device: str
    notes: tuple[str, ...] = ()
    started_from: str = ""
    fit: str = STRETCH
    elapsed_seconds: float = 0.0
    ended: str = ""
