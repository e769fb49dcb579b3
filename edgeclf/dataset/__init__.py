"""Labelled images: listed, split, and loaded as arrays of one size."""

from __future__ import annotations

from edgeclf.dataset.auditing import AuditReport, audit
from edgeclf.dataset.loading import check_classes, list_source, load_dataset
from edgeclf.dataset.named import NAMED
from edgeclf.dataset.probing import DataProbe, probe
from edgeclf.dataset.sources import Listing
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.types import ALL, SPLITS, Dataset, ImageView, LoadReport, OddFile, Split, Unreadable
from edgeclf.dataset.unlabelled import list_unlabelled

__all__ = [
    "ALL",
    "NAMED",
    "SPLITS",
    "SPLIT_SEED",
    "AuditReport",
    "DataProbe",
    "Dataset",
    "ImageView",
    "Listing",
    "LoadReport",
    "OddFile",
    "Split",
    "Unreadable",
    "audit",
    "check_classes",
    "list_source",
    "list_unlabelled",
    "load_dataset",
    "probe",
]
