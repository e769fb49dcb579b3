"""Files made to harm, and disks that run full: one line, the right exit code, nothing lost."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from stranger_cases import tflite_builder as made
from stranger_cases.case import Finding, Finished, case, run_command, run_process

SUBJECT = "hostile files"
_HOSTILE = "cat\x1b[2J\x9b31m\u202egpj"


def _picture(folder: Path, name: str = "a.png") -> Path:
    plain = folder / "plain.png"
    cv2.imwrite(str(plain), np.full((8, 8, 3), 90, np.uint8))
    return plain.rename(Path(os.fsdecode(os.fsencode(folder) + b"/" + os.fsencode(name))))


def _model(folder: Path, content: bytes, name: str = "model.tflite") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, values):
        yield


def _refusal(done: Finished, code: int, words: str) -> Finding:
    """One line on stderr, nothing on stdout, and this exit code."""
    lines = done.stderr.splitlines()
    right = done.code == code and len(lines) == 1 and not done.stdout and words in lines[0]
    return Finding(f"exit {code}, one line: {words}", f"exit {done.code}: {done.stderr.strip()[:100]}", right)


@case(SUBJECT, "a loop that never ends")
def endless(folder: Path) -> Finding:
    model = _model(folder, made.endless_model())
    start = time.monotonic()
    with _environment(EDGECLF_MODEL_SECONDS="0.5"):
        done = run_process("predict", model, _picture(folder), "--input-range=0,1", timeout=60)
    finding = _refusal(done, 1, "may never end")
    return Finding(finding.expected, finding.got, finding.right and time.monotonic() - start < 60)


@case(SUBJECT, "a loop inside of itself")
def circle(folder: Path) -> Finding:
    model = _model(folder, made.self_calling_model())
    return _refusal(run_process("predict", model, _picture(folder)), 2, "call each other in a circle")


@case(SUBJECT, "2^26 outputs in 2 kB")
def outputs(folder: Path) -> Finding:
    done = run_command("predict", _model(folder, made.many_outputs_model(2**26)), _picture(folder))
    return _refusal(done, 2, "at most 250,000 classes, got 67,108,864")


@case(SUBJECT, "1.6 GB of values that the file calls 48")
def understated(folder: Path) -> Finding:
    done = run_command("predict", _model(folder, made.understated_model(20_000)), _picture(folder))
    return _refusal(done, 2, "at most 1,000 MB for one image, got 1,600 MB")


@case(SUBJECT, "photo whose name is Latin-1, --json")
def latin1(folder: Path) -> Finding:
    photo = _picture(folder, os.fsdecode(b"caf\xe9.png"))
    done = run_process("predict", _model(folder, made.plain_model()), photo, "--input-range=0,1", "--json")
    predicted = done.document["predictions"]
    kept = [os.fsencode(one["path"]) for one in predicted]
    return Finding("1 result, name kept", f"{len(predicted)} result", done.code == 0 and kept == [os.fsencode(photo)])


@case(SUBJECT, "escape codes in labels and file names")
def escapes(folder: Path) -> Finding:
    model = _model(folder, made.sealed_model(labels=[f"{_HOSTILE}{i}" for i in range(48)]), "m\x1b[2J.tflite")
    done = [run_command(*words) for words in (("inspect", model), ("predict", model, _picture(folder, "a\x07.png")))]
    text = "".join(one.stdout + one.stderr for one in done)
    odd = sorted({f"U+{ord(c):04X}" for c in text if c != "\n" and unicodedata.category(c)[0] == "C"})
    right = not odd and r"cat\x1b[2J\x9b31m\u202egpj" in text and all(one.code == 0 for one in done)
    return Finding("no control characters", ", ".join(odd) or "none", right)


@case(SUBJECT, "provenance nested 5,000 deep, checksum right")
def nested(folder: Path) -> Finding:
    model = _model(folder, made.sealed_model(provenance=b'{"recipe": ' + b"[" * 5000 + b"]" * 5000))
    return _refusal(run_command("predict", model, _picture(folder)), 2, "its provenance cannot be read")


@case(SUBJECT, "sealed file, offset of its archive changed")
def offset(folder: Path) -> Finding:
    content = made.sealed_model()
    place = content.rindex(b"PK\x05\x06") + 12
    model = _model(folder, content[:place] + b"\xff\xff\xff\x7f" + content[place + 4 :])
    return _refusal(run_command("predict", model, _picture(folder)), 2, "the checksum inside does not fit")


@case(SUBJECT, "file of others, end of its archive broken")
def broken_end(folder: Path) -> Finding:
    content = made.labelled_model()
    place = content.rindex(b"PK\x05\x06") + 12
    model = _model(folder, content[:place] + b"\xff\xff\xff\x7f" + content[place + 4 :])
    done = run_command("predict", model, _picture(folder), "--input-range=0,1", "--json")
    label = done.document["predictions"][0]["labels"][0]
    noted = any("list of labels" in note for note in done.document["notes"])
    right = done.code == 0 and noted and label["label"] == str(label["index"])
    return Finding("class numbers, and a note", f"{label['label']}, {'noted' if noted else 'no note'}", right)


@case(SUBJECT, "verify with an empty list of samples")
def no_samples(folder: Path) -> Finding:
    empty = json.dumps({"samples": {"formula": "cells-and-ramp-1", "step": 1, "expected": []}}).encode()
    done = run_command("verify", _model(folder, made.sealed_model(provenance=empty)))
    return _refusal(done, 2, "carries no samples to verify")


@case(SUBJECT, "disk full when bench.json is written")
def full_disk(folder: Path) -> Finding:
    model, out = _model(folder, made.plain_model()), folder / "out"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch("edgeclf.atomic.os.fsync", side_effect=full):
        done = run_command("bench", model, "--runs", "3", "--out", out, "--quiet")
    left = [path for path in out.rglob("*") if path.is_file()] if out.exists() else []
    finding = _refusal(done, 1, "the disk is full")
    return Finding(finding.expected, finding.got, finding.right and not left)
