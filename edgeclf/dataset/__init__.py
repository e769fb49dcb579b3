"""Labelled images: where they lie, how they are split, and as arrays at one size."""

from __future__ import annotations

from edgeclf.dataset.loading import load_dataset
from edgeclf.dataset.named import NAMED
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.types import SPLITS, Dataset, ImageView, OddFile, Split, Unreadable

__all__ = ["NAMED", "SPLITS", "SPLIT_SEED", "Dataset", "ImageView", "OddFile", "Split", "Unreadable", "load_dataset"]
