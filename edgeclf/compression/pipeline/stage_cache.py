"""Trained stages, shared between recipes and kept until a call is complete.

A stage is a network after the first steps of a recipe. In memory it is the network itself. On disk it is the weights at
the end of its fine-tuning: a call that was killed applies the steps again, and where their training was finished its
weights are loaded, whatever wrappers and quantizers the graph has at that point.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.atomic import atomic_file
from edgeclf.compression.pipeline.identity import describe_training
from edgeclf.compression.recipe import Recipe, digest_of, steps_to_list
from edgeclf.compression.step import Step, StepContext
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.training.kernels import name_kernels


class StageCache:
    """The stages of one source, with the same images and the same seed.

    Args:
        identity: plain values: all that decides a result beside the recipe, such as the digest of the source, the
            fingerprint of the data, the calibration draw, the seed, and the versions of packages.
        folder: where weights are kept; it is made when the first are. None: in memory alone.
        users: folder in which an empty file of the same name stands for each that this cache made or took; None: nobody
            asks.
    """

    def __init__(self, identity: Mapping[str, Any], folder: Path | None = None, users: Path | None = None) -> None:
        self._identity, self._trained = digest_of(dict(identity)), digest_of(describe_training(identity))
        self._networks: dict[str, FloatNetwork] = {}
        self.folder, self._users = folder, users
        self.gzip_bytes: dict[str, int] = {}
        """By the digest of a recipe, the compressed size of its file; what remarks compare with."""

    def key(self, steps: Sequence[Step]) -> str:
        """Return the identity of the stage that `steps` make with the kernels of this process, in hexadecimal."""
        return digest_of([self._trained, name_kernels(), steps_to_list(steps)])

    def candidate_key(self, recipe: Recipe) -> str:
        """Return the identity of what a recipe makes, in hexadecimal."""
        return digest_of([self._identity, recipe.to_dict()])

    def apply(self, network: FloatNetwork, steps: Sequence[Step], context: StepContext) -> FloatNetwork:
        """Return the network after `steps`; each stage is trained once.

        Args:
            network: before the first step; the one that the cache is for.
            steps: in order.
            context: what they may use.
        """
        for count in range(1, len(steps) + 1):
            key = self.key(steps[:count])
            if key not in self._networks:
                folder = self.folder
                checkpoints = None if folder is None else StageCheckpoints(folder, key, self._users)
                inside = dataclasses.replace(context, checkpoints=checkpoints)
                self._networks[key] = steps[count - 1].apply(network, inside)
            network = self._networks[key]
        return network


class StageCheckpoints:
    """The weights of the fine-tunings of one stage, a file each.

    Args:
        folder: where they lie.
        key: of the stage.
        users: see `StageCache`.
    """

    def __init__(self, folder: Path, key: str, users: Path | None = None) -> None:
        self._folder, self._key, self._users = folder, key, users

    def load(self, label: str) -> list[npt.NDArray[Any]] | None:
        """Return the weights saved under `label`; None: there are none, or the file is damaged."""
        try:
            with np.load(self._path(label), allow_pickle=False) as stored:
                found = [stored[f"weight_{number}"] for number in range(len(stored.files))]
            self._use(label)
            return found
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def save(self, label: str, weights: Sequence[npt.NDArray[Any]]) -> None:
        """Keep `weights` under `label`, atomically."""
        self._use(label)
        with atomic_file(self._path(label)) as stream:
            arrays: dict[str, Any] = {f"weight_{number}": weight for number, weight in enumerate(weights)}
            np.savez(stream, **arrays)

    def _use(self, label: str) -> None:
        if self._users is not None:
            self._users.mkdir(parents=True, exist_ok=True)
            (self._users / self._path(label).name).touch()

    def _path(self, label: str) -> Path:
        return self._folder / f"{self._key[:32]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}.npz"
