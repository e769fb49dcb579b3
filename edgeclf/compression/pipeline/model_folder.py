"""The folder that the models of one call are written to, so that a killed call can be run again without `--overwrite`.

While a call works, a hidden folder beside its models holds the weights of finished trainings, each under all that
decides it (`StageCache`), so that a corrected call does not train them again. Each request has a folder of its own in
there, with what was asked for and which of these trainings it has, so that another call takes no model from it. A model
counts as finished only if its record names the same recipe, source, data and settings, and its bytes are those that the
record describes: what an earlier call left there, or a record that was written just before the kill, is made again.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from edgeclf.atomic import atomic_file, check_writable, explained, write_text
from edgeclf.compression.compress_report import CompressedModel
from edgeclf.errors import OutputError
from edgeclf.json_text import read_json, write_json

_NOTE, _UNFINISHED = "request.json", ".unfinished"
_CLOSED = ".closed"
"""Behind the name of a call's folder, and a dot in front: the call came to its end, and the folder is being removed."""
_WRITTEN, _REPLACED = ".written", ".replaced"
"""Marks beside the note of a call, a file's name in front: it wrote that file; it was given leave to replace it."""


def check_not_in_the_way(
    folder: Path, name: str, files: Sequence[str], overwrite: bool, request: Path | None = None
) -> None:
    """Refuse to write models where others are.

    What a call wrote that failed or was killed is not in the way of a corrected one: it is made again. What such a call
    was to replace, by `--overwrite`, is in the way of all but the same one.

    Args:
        folder: where they go.
        name: their common prefix.
        files: names behind the prefix, such as `int8.tflite`.
        overwrite: replace those that are there.
        request: folder of the call itself; None: it is not known yet, and may be that of any unfinished call.

    Raises:
        OutputError: one of them is there already.
    """
    requests = _requests(folder, name)
    own = requests if request is None else [request]
    for file in files:
        path = folder / f"{name}-{file}"
        marks = [one / f"{file}{_WRITTEN}" for one in requests] + [one / f"{file}{_REPLACED}" for one in own]
        left = any(mark.exists() for mark in marks)
        if path.exists() and not overwrite and not left:
            raise OutputError(f"{path}: exists; replace it with --overwrite or use another --out")


def _requests(folder: Path, name: str) -> list[Path]:
    """List the folders of calls that did not come to their end, one a request."""
    with contextlib.suppress(OSError):
        found = (folder / f".{name}{_UNFINISHED}").iterdir()
        return [path for path in found if path.suffix != _CLOSED and path.is_dir()]
    return []


def _release(request: Path, file: str) -> None:
    """Take from an interrupted call the leave to replace a file, which another call writes; without any, it is gone."""
    for kind in (_WRITTEN, _REPLACED):
        (request / f"{file}{kind}").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        if [path.name for path in request.iterdir()] == [_NOTE]:
            (request / _NOTE).unlink()
            request.rmdir()


def _fill(stream: IO[bytes], content: bytes) -> None:
    """Write a file's content down to the disk; its name comes later."""
    stream.write(content)
    stream.flush()
    os.fsync(stream.fileno())


class ModelFolder:
    """The models of one call.

    Attributes:
        stages: folder of the weights of finished trainings, also of other calls that did not come to their end.

    Args:
        folder: where they go.
        name: their common prefix.
        request: plain values: everything that decides what they are.
        files: names behind the prefix of all that the call writes, such as `int8.tflite`.
        overwrite: replace those that are there.

    Raises:
        OutputError: one of them is there already, or the folder cannot be written.
    """

    def __init__(
        self, folder: Path, name: str, request: dict[str, Any], files: Sequence[str], *, overwrite: bool
    ) -> None:
        self._is_new = not folder.exists()
        check_writable(folder)
        self.folder, self.name = folder, name
        # in ASCII, since paths may hold bytes that are not UTF-8
        text = json.dumps(request, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.stages = folder / f".{name}{_UNFINISHED}"
        self.unfinished = self.stages / key
        self._note = self.unfinished / _NOTE
        self._made = False
        # temporary files of a killed call; nobody else writes under these names
        for file in files:
            for path in (self.model_path(file), self.record_path(file)):
                for rest in folder.glob(f".{glob.escape(path.name)}.*.partial"):
                    rest.unlink(missing_ok=True)
        for rest in self.stages.glob(".*.partial"):
            rest.unlink(missing_ok=True)
        for closed in self.stages.glob(f".*{_CLOSED}"):
            shutil.rmtree(closed, ignore_errors=True)
        self.interrupted = self._is_same_request(text)
        check_not_in_the_way(folder, name, files, overwrite, self.unfinished)
        if not self.interrupted:
            write_text(self._note, text)
        if overwrite or not self.interrupted:
            for file in files:  # the same call, run again without --overwrite, may still replace these
                if self.model_path(file).exists():
                    write_text(self.unfinished / f"{file}{_REPLACED}", "")

    def model_path(self, file: str) -> Path:
        """Return where the model goes."""
        return self.folder / f"{self.name}-{file}"

    def record_path(self, file: str) -> Path:
        """Return where its figures go."""
        return self.folder / f"{self.name}-{file.rpartition('.')[0]}.json"

    def finished(self, file: str, key: str) -> CompressedModel | None:
        """Return the model that an interrupted call with the same request and data made, if it is complete.

        Args:
            file: of the model.
            key: identity of the recipe, the source, the data and the settings.
        """
        if not self.interrupted:
            return None
        path = self.model_path(file)
        try:
            values = read_json(self.record_path(file))
            if values["request"] != key or values["sha256"] != hashlib.sha256(path.read_bytes()).hexdigest():
                return None
            made = CompressedModel.from_dict({**values["model"], "path": str(path)})
        except (OSError, ValueError, LookupError, TypeError):
            return None
        self._made = True
        return made

    def write(self, file: str, content: bytes, record: dict[str, Any], key: str) -> None:
        """Write a model and its record.

        Args:
            file: of the model.
            content: of the file.
            record: its figures, JSON's own types.
            key: identity of the recipe, the source, the data and the settings.
        """
        whole = {**record, "sha256": hashlib.sha256(content).hexdigest(), "request": key}
        # both are on the disk, which may be full, before they replace what is there: figures first, so that where a
        # model is, its figures are
        with atomic_file(self.model_path(file)) as model:
            _fill(model, content)
            with atomic_file(self.record_path(file)) as figures:
                _fill(figures, (write_json(whole, indent=1) + "\n").encode())
                self.claim(file)
        self._made = True

    def claim(self, file: str) -> None:
        """Mark a file as one that this call is about to write, whichever call had the leave to before."""
        # the own mark comes first: a file without any would be in the way of the same call
        write_text(self.unfinished / f"{file}{_WRITTEN}", "")
        for request in _requests(self.folder, self.name):
            if request != self.unfinished:
                _release(request, file)

    def amend(self, file: str, made: CompressedModel) -> None:
        """Write the figures of a finished model anew, beside what else its record holds."""
        path = self.record_path(file)
        write_text(path, write_json({**read_json(path), "model": made.to_dict()}, indent=1) + "\n")

    def close(self) -> None:
        """Remove what was kept for a killed call: all is made. Trainings of calls that did not finish stay."""
        if not self.unfinished.is_dir():
            return
        others = [one for one in _requests(self.folder, self.name) if one != self.unfinished]
        for path in self.stages.glob("*.npz"):
            if not any((one / path.name).exists() for one in others):
                path.unlink(missing_ok=True)
        # at once: with a part of its marks, finished models would be in the way of the same call
        closed = self.stages / f".{self.unfinished.name}{_CLOSED}"
        with explained(self.stages):
            os.replace(self.unfinished, closed)
        shutil.rmtree(closed, ignore_errors=True)
        with contextlib.suppress(OSError):  # another call did not finish
            self.stages.rmdir()

    def give_up(self, *, interrupted: bool = False) -> None:
        """Keep what an error left, so that the same call resumes there; where nothing was made, nothing is kept.

        Args:
            interrupted: by Ctrl-C, behind which the same call keeps the leave to replace what `--overwrite` named.
        """
        kept = ["*.npz", f"*{_WRITTEN}"]  # also of a call that was killed, which this one did not come to
        if interrupted:
            kept.append(f"*{_REPLACED}")
        if not self._made and not any(path for pattern in kept for path in self.unfinished.glob(pattern)):
            self.close()
            if self._is_new:
                with contextlib.suppress(OSError):  # something else is in it
                    self.folder.rmdir()

    def _is_same_request(self, text: str) -> bool:
        try:
            return self._note.read_text(encoding="utf-8") == text
        except OSError:
            return False
