"""The run folder: what a training writes and what every later command reads, in one place.

    run.json                 the record of the run
    labels.txt               class names, a line each
    history.csv              one row an epoch
    images.csv               split, class and content of each image that it has
    teacher.npz              what a teacher predicts for the training images, where there is one
    model.keras              the float network that was kept
    checkpoint/state.npz     the state after the last whole epoch
    plots/  logs/            pictures, TensorBoard
    compressed/  bench/      models made of the network, measurements of them
    explained/               pictures that show where the evidence for a class lies

Files are written atomically: a reader finds the old content or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf.artifact.label_bounds import check_labels
from edgeclf.atomic import check_writable, explained, sync_folder, write_text
from edgeclf.errors import InputError, ModelError
from edgeclf.json_text import read_json, write_json

RECORD, CHECKPOINT, MODEL = "run.json", "checkpoint/state.npz", "model.keras"
PRETRAINING = "pretraining"
"""Key of the record of a run that learned without labels, which holds the method."""
MARKS = (RECORD, CHECKPOINT, MODEL)
"""What makes a folder a run; logs and plots may be anybody's."""
# The checkpoint is removed first, so that no other run is continued from it, and the network last, so that a folder
# which was half removed when the process died still counts as a run and is not taken for an empty one.
RUN_FILES = (
    "checkpoint",
    RECORD,
    "labels.txt",
    "history.csv",
    "images.csv",
    "teacher.npz",
    "plots",
    "logs",
    "compressed",
    "bench",
    "explained",
    MODEL,
)


class RunFolder:
    """A run folder.

    Args:
        path: the folder.
        must_exist: raise where there is no `run.json` that can be read; False: a run may begin there.

    Raises:
        InputError: it is no run folder.
        ModelError: its `run.json` cannot be read.
    """

    def __init__(self, path: str | Path, *, must_exist: bool = True) -> None:
        self.path = Path(path)
        self._record: dict[str, Any] | None = None
        if must_exist:
            self._record = self._read()

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Return whether `path` is a run folder."""
        return os.path.isfile(Path(path) / RECORD)  # false, and no error, where it may not be looked at

    @classmethod
    def find(cls, path: Path) -> RunFolder | None:
        """Return the run whose network, or one of whose compressed models, lies at `path`; None: it is of none."""
        for way in (path, Path(os.path.abspath(path)), path.resolve()):  # as named, from inside a folder, by a link
            for at in (way.parent, way.parent.parent):
                if cls.is_one(at):
                    folder = cls(at)
                    if way in (folder.keras_path, folder.compressed_path / way.name):
                        return folder
        return None

    @classmethod
    def locate(cls, path: str | Path) -> RunFolder | None:
        """Return the run that is meant by its folder, or by a network or model in it; None: it is of none."""
        return cls(Path(path)) if cls.is_one(path) else cls.find(Path(path))

    @property
    def run_json(self) -> dict[str, Any]:
        """The content of `run.json`, as read first or written last through this object.

        Raises:
            InputError: it is no run folder.
            ModelError: it cannot be read.
        """
        if self._record is None:
            self._record = self._read()
        return self._record

    @property
    def name(self) -> str:
        """The run's name."""
        named = self.run_json.get("name") if self._record is not None or self.is_one(self.path) else None
        return str(named or self.path.resolve().name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order."""
        names = self.run_json.get("data", {}).get("class_names")
        if names:
            return tuple(map(str, names))
        return tuple(self.labels_path.read_text(encoding="utf-8").splitlines()) if self.labels_path.is_file() else ()

    @property
    def record_path(self) -> Path:
        """`run.json`."""
        return self.path / RECORD

    @property
    def labels_path(self) -> Path:
        """`labels.txt`."""
        return self.path / "labels.txt"

    @property
    def history_path(self) -> Path:
        """`history.csv`."""
        return self.path / "history.csv"

    @property
    def images_path(self) -> Path:
        """`images.csv`; runs of earlier versions have none."""
        return self.path / "images.csv"

    @property
    def teacher_path(self) -> Path:
        """`teacher.npz`; only runs that learn from a teacher have it."""
        return self.path / "teacher.npz"

    @property
    def keras_path(self) -> Path:
        """The float model that was kept; it may not be there yet."""
        return self.path / MODEL

    @property
    def checkpoint_path(self) -> Path:
        """The state after the last whole epoch; it may not be there yet."""
        return self.path / CHECKPOINT

    @property
    def logs_path(self) -> Path:
        """The folder of TensorBoard's files."""
        return self.path / "logs"

    @property
    def compressed_path(self) -> Path:
        """The folder of the models made of the network."""
        return self.path / "compressed"

    @property
    def bench_path(self) -> Path:
        """The folder of the measurements."""
        return self.path / "bench"

    @property
    def explained_path(self) -> Path:
        """The folder of the pictures that `explain` draws."""
        return self.path / "explained"

    @property
    def is_pretraining(self) -> bool:
        """Whether the run learned without labels: its network has features, and no classes."""
        return PRETRAINING in self.run_json

    def check_classes(self) -> None:
        """Refuse a run whose network has no classes.

        Raises:
            ModelError: it learned without labels, or its record cannot be read.
        """
        if self.is_pretraining:
            raise ModelError(
                f"{self.path}: has no classes, because it learned without labels; train from it: edgeclf train PHOTOS "
                f"--weights {shlex.quote(str(self.path))}"
            )

    def plot_path(self, name: str) -> Path:
        """Return the path of the picture `name`."""
        return self.path / "plots" / f"{name}.png"

    def models(self) -> list[Path]:
        """List the compressed models, sorted by name."""
        return sorted(path for path in self.compressed_path.glob("*.tflite") if path.is_file())

    def marks(self) -> list[str]:
        """List which of the files are there that make a folder a run, the main one first."""
        return [mark for mark in MARKS if (self.path / mark).exists()]

    def history(self) -> list[dict[str, str]]:
        """Read one row an epoch from `history.csv`; none where there is no such file."""
        if not self.history_path.is_file():
            return []
        with self.history_path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def begin(self, labels: Sequence[str], record: Mapping[str, Any]) -> None:
        """Remove what an earlier run left, and write `labels.txt` and `run.json` of one that begins.

        Raises:
            OutputError: the folder cannot be written.
        """
        check_writable(self.path)
        self.clear(everything=True)
        write_text(self.labels_path, "".join(f"{name}\n" for name in labels))
        self.write_record(record)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        write_text(self.record_path, write_json(record, indent=1))
        self._record = dict(record)

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write `history.csv`; the first row has the names of all columns."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_path, text.getvalue())

    @contextlib.contextmanager
    def replacing_model(self) -> Iterator[Path]:
        """Give a temporary path that becomes `model.keras` when the block ends without an error."""
        with (
            explained(self.path),
            tempfile.TemporaryDirectory(prefix=".model.", suffix=".partial", dir=self.path) as temporary,
        ):
            path = Path(temporary) / MODEL
            yield path
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(path, self.keras_path)
            sync_folder(self.path)

    def clear(self, *, everything: bool) -> None:
        """Remove what killed processes left half-written, and with `everything` the run itself, if there is one."""
        doomed = [self.path / name for name in RUN_FILES] if everything and self.marks() else []
        # Nobody else writes into these folders, so temporary files there have lost their process.
        doomed += [path for place in (".", "checkpoint", "plots") for path in (self.path / place).glob(".*.partial")]
        for path in doomed:
            with explained(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if not self.is_one(self.path):
            raise InputError(f"{self.path}: not a run folder, it has no {RECORD}")
        try:
            values = read_json(self.record_path)
        except OSError as error:
            raise ModelError(
                f"{self.record_path}: cannot be read ({(error.strerror or str(error)).lower()})"
            ) from error
        except InputError as error:
            raise ModelError(str(error)) from error
        if not isinstance(values, dict):
            raise ModelError(f"{self.record_path}: expected a JSON object, got {type(values).__name__}")
        for name in ("data", "config"):
            if not isinstance(values.get(name, {}), dict):
                raise ModelError(f"{self.record_path}: expected an object in {name!r}, got {values[name]!r:.60}")
        classes = values.get("data", {}).get("class_names")
        if classes is not None:
            try:
                check_labels(classes)
            except InputError as error:
                raise ModelError(f"{self.record_path}: {error}") from error
        return values
