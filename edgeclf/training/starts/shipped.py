"""Weights that are part of edgeclf, made by `tools/train_backbone.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgeclf.training.starts.start import Availability, Start

if TYPE_CHECKING:
    from edgeclf.progress import Progress


@dataclass(frozen=True, kw_only=True)
class ShippedBackbone(Start):
    """Weights without a head in the folder `backbone` of the zoo.

    Args:
        file: name of the file.
    """

    origin: ClassVar[str] = "edgeclf's backbone"

    file: str

    def find(self) -> Path | None:
        """Return where the file lies: in the installed package, or in a checkout; None: this installation lacks it."""
        package = Path(__file__).resolve().parents[2]
        files = (folder / "backbone" / self.file for folder in (package / "zoo", package.parent / "models"))
        return next((path for path in files if path.is_file()), None)

    def availability(self) -> Availability:
        """Return whether this installation has the file."""
        return Availability.LOCAL if self.find() else Availability.PACKAGE

    def load(self, name: str, image_size: int, progress: Progress) -> Any | None:
        """Build the network with these weights, and an untrained head for two classes."""
        from edgeclf.training.backbone import load_backbone

        path = self.find()
        return None if path is None else load_backbone(name, path)

    def remedy(self) -> str:
        """Return what brings the file back."""
        return "install edgeclf again: its folder zoo/backbone is missing"
