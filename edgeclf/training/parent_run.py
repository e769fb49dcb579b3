"""The finished run that another one grows from: what it knew, and what of its settings the new run takes over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.artifact.run_folder import RECORD, RunFolder
from edgeclf.dataset.known_images import KnownImages, read_images
from edgeclf.errors import InputError
from edgeclf.image.shape import describe_size, show_size
from edgeclf.keras_files.loading import locate_float_file
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS

KEPT = ("model", "width", "l1", "l2")
"""Settings that belong to the network itself: another value is another network."""
TAKEN_OVER = (
    *KEPT, "image_size", "fit", "batch_size", "label_smoothing", "dropout", "early_stopping", "augment",
    "unaugmented_epochs", "flip", "balance", "xla", "seed",
)  # fmt: skip
"""Settings that are those of the earlier run where the user leaves them open. How long and how fast is learnt is not
among them (epochs, optimizer, rates, precision): a start from trained weights has its own defaults."""


@dataclass(frozen=True)
class ParentRun:
    """A finished run that another one grows from.

    Args:
        folder: its run folder.
        config: its complete settings.
        class_names: in the order of its network's outputs.
        split_seed: of its own split.
        counts: images of each class, in all splits.
        source: what it was trained on, as it recorded it; empty: not recorded.
    """

    folder: RunFolder
    config: dict[str, Any]
    class_names: tuple[str, ...]
    split_seed: int
    counts: dict[str, int]
    source: str = ""

    def read_images(self) -> KnownImages | None:
        """Read which images it had; None: that was not recorded when it was trained."""
        return read_images(self.folder)

    def complete_config(self, config: TrainConfig, named: frozenset[str] = frozenset()) -> TrainConfig:
        """Return `config` with the settings of the run where the user left them open.

        Args:
            config: of the user.
            named: settings that the user gave one by one, also as what is their default.

        Raises:
            InputError: a setting is that of another network, or is for training from scratch.
        """
        given = config.to_dict()
        own = {name: self.config[name] for name in TAKEN_OVER if name in self.config}
        said = [name for name in own if name in config.list_given(named)]
        network = NETWORKS.get(str(self.config.get("model")))
        kept = {name: own.get(name) for name in KEPT}
        if network is not None and kept["width"] is None:
            kept["width"] = network.default_width
        for name in said:
            if name in KEPT and given[name] != kept[name]:
                raise InputError(
                    f"{name} is {kept[name]} in {self.folder.path}, and the network that --from starts from stays what "
                    f"it is, got {given[name]}; leave it out, or train without --from"
                )
        limits = {"--for": config.board, "--max-latency": config.max_latency, "--max-size": config.max_size}
        if asked := [option for option, value in limits.items() if value is not None]:
            raise InputError(
                f"{' and '.join(asked)} would choose a network, and --from keeps that of {self.folder.path}; leave "
                f"{'it' if len(asked) == 1 else 'them'} out, or train without --from"
            )
        if config.progressive:
            raise InputError("progressive is for training from scratch only; leave it out, or train without --from")
        size = self.config.get("image_size")
        if size and given["image_size"] not in (None, size) and network is not None and not network.any_size:
            raise InputError(
                f"the network of {self.folder.path} takes images of {show_size(size)} pixels only, got "
                f"{describe_size(given['image_size'])}; leave "
                "--image-size out"
            )
        try:
            return config.replace(**{name: value for name, value in own.items() if name not in said})
        except (InputError, TypeError) as error:
            raise InputError(f"{self.folder.path}: its settings cannot be taken over: {error}") from error

    def check_classes(self, names: Sequence[str], source: str) -> None:
        """Refuse data without a single class that the run knows.

        Raises:
            InputError: there is none.
        """
        if set(names).isdisjoint(self.class_names):
            raise InputError(
                f"{self.folder.path} knows {_few(self.class_names)}, and {source} holds {_few(names)}: no class in "
                f"common; train without --from, or with --weights {self.folder.path}, which keeps the features alone"
            )

    def next_name(self) -> str:
        """Return the name of a run that grows from this one: its own with a number behind, or with the next one."""
        name = self.folder.name
        match = re.fullmatch(r"(.+)-(\d{1,6})", name) if self.config.get("from_run") else None
        return f"{match[1]}-{int(match[2]) + 1}" if match else f"{name}-2"


def find_parent(config: TrainConfig, *, trust_model: bool = False) -> ParentRun | None:
    """Find the run that `config` grows from, and check all that shows without TensorFlow; None: from none.

    Raises:
        InputError: it is no finished run of `edgeclf train`, or `config` names other weights too.
        ModelError: its record or its network cannot be read.
    """
    if config.from_run is None:
        return None
    path = Path(config.from_run)
    if config.weights != "auto":
        raise InputError(
            f"--from starts from the weights of {path}, so --weights {config.weights} cannot be given too; leave one "
            "of them out"
        )
    if not RunFolder.is_one(path):
        what = "a file" if path.is_file() else f"a folder without {RECORD}" if path.is_dir() else "no such folder"
        other = "; a file is given to --weights" if path.is_file() else ""
        raise InputError(f"{path}: --from expected the run folder of an earlier training, got {what}{other}")
    folder = RunFolder(path)
    folder.check_classes()
    record = folder.run_json
    if record.get("finished") is False:
        raise InputError(f"{path}: the run is not finished; finish it with edgeclf train --resume, then grow from it")
    parent = _read_record(folder, record)
    locate_float_file(path, trust_model=trust_model)
    return parent


def choose_source(config: TrainConfig, resumed: str | Path | None = None, *, trust_model: bool = False) -> str:
    """Return what is trained on where the user names no data: what the run that is resumed, or grown from, has.

    Args:
        config: of the user.
        resumed: folder of the run that is to go on; None: a run begins.
        trust_model: as in `find_parent`.

    Returns:
        the source of its data; `digits` where there is no such run.

    Raises:
        InputError, ModelError: as `find_parent`, or the record cannot be read.
    """
    if resumed is not None and RunFolder.is_one(resumed):
        folder = RunFolder(resumed)
        source = recorded_source(folder)
        if folder.run_json.get("finished") is not True and source:  # of a finished one the report alone is read
            return source
    parent = find_parent(config, trust_model=trust_model)
    if parent is None:
        return "digits"
    if not parent.source:
        raise InputError(f"{parent.folder.path}: did not record its data; name them: edgeclf train DATA --from RUN")
    return parent.source


def recorded_source(folder: RunFolder) -> str | None:
    """Return what a run recorded of where its data lie; None: nothing."""
    data = folder.run_json.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    return source if isinstance(source, str) and source else None


def check_folder(parent: ParentRun, folder: RunFolder) -> None:
    """Refuse to write a run into the folder that it starts from.

    Raises:
        InputError: they are the same.
    """
    if folder.path.resolve() == parent.folder.path.resolve():
        raise InputError(f"{folder.path}: is the run that --from starts from; choose another --out")


def _read_record(folder: RunFolder, record: dict[str, Any]) -> ParentRun:
    config, data = dict(record.get("config") or {}), dict(record.get("data") or {})
    names: Any = data.get("class_names")
    splits: Any = data.get("splits")
    seed, source = data.get("split_seed"), data.get("source")
    whole = record.get("finished") is True and config.get("model") and names and isinstance(splits, dict)
    if not whole or not isinstance(seed, int):
        raise InputError(
            f"{folder.path}: its {RECORD} is not that of edgeclf train (expected settings, class names, splits and "
            "their seed); start from its network with --weights"
        )
    counts: dict[str, int] = dict.fromkeys(names, 0)
    for split in splits.values():
        per_class = split.get("per_class") if isinstance(split, dict) else None
        for name in names:
            count = per_class.get(name) if isinstance(per_class, dict) else None
            counts[name] += count if isinstance(count, int) else 0
    return ParentRun(folder, config, tuple(names), seed, counts, source if isinstance(source, str) else "")


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name:.40}" for name in names[:3]) + more
