"""All photos of a data set in one list, split after split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgeclf.dataset import Dataset


@dataclass(frozen=True)
class PhotoList:
    """The photos of all splits of a data set, by one running number.

    Attributes:
        dataset: their source.
        alike: groups of paths that show the same thing.
        apart: labels whose photos belong together only where their contents are equal.
    """

    dataset: Dataset
    alike: Sequence[Sequence[str]] = ()
    apart: frozenset[int] = frozenset()

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The file of each photo."""
        return tuple(path for split in self.dataset.splits.values() for path in split.paths)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """The content hash of each photo."""
        return tuple(content for split in self.dataset.splits.values() for content in split.hashes)

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The split of each photo."""
        return tuple(name for name, split in self.dataset.splits.items() for _ in range(len(split)))

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """Return int64[N]."""
        return np.concatenate([split.labels for split in self.dataset.splits.values()])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.dataset.class_names

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """A text for each photo, the same for those that show the same thing: the content of the first of them."""
        content = dict(zip(self.paths, self.hashes, strict=True))
        first: dict[str, str] = {}
        for group in self.alike:
            known = [content[path] for path in group if path in content]
            shared = next((first[one] for one in known if one in first), known[0] if known else "")
            first.update((one, shared) for one in known)
        return tuple(
            one if label in self.apart else first.get(one, one)
            for one, label in zip(self.hashes, self.labels.tolist(), strict=True)
        )

    def image(self, number: int) -> npt.NDArray[np.uint8]:
        """Read a photo as the network sees it: uint8[H, W, 3]."""
        for split in self.dataset.splits.values():
            if number < len(split):
                return split.images[number]
            number -= len(split)
        raise IndexError(number)

    def is_for_learning(self) -> npt.NDArray[np.bool_]:
        """Return which photos are of the splits train and validation: bool[N]."""
        return np.array([split != "test" for split in self.splits], np.bool_)

    def numbers_of(self, paths: Iterable[str]) -> dict[str, int]:
        """Return the number of each of `paths` that is in the list."""
        places = {path: number for number, path in enumerate(self.paths)}
        return {path: places[path] for path in paths if path in places}
