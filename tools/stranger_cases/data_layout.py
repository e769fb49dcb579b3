"""Cases about what lies in a folder of photos: levels, names, files that are none, tables, copies, the cache."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from stranger_cases.case import Finding, case, run_command, run_process

CLASSES = ("cat", "dog", "eel")


def write_photos(folder: Path, names: Sequence[str], count: int = 4, seed: int = 0) -> Path:
    """Write `count` different photos into each of the folders `names`."""
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            coarse = random.integers(0, 256, (4, 5, 3), np.uint8)
            cv2.imwrite(
                str(folder / name / f"{number}.png"), cv2.resize(coarse, (50, 40), interpolation=cv2.INTER_CUBIC)
            )
    return folder


@contextlib.contextmanager
def own_cache(folder: Path) -> Iterator[Path]:
    """Use a cache folder that nobody else does."""
    before = os.environ.get("EDGECLF_CACHE")
    os.environ["EDGECLF_CACHE"] = str(folder / "cache")
    try:
        yield folder / "cache"
    finally:
        if before is None:
            del os.environ["EDGECLF_CACHE"]
        else:
            os.environ["EDGECLF_CACHE"] = before


def _audited(folder: Path, source: Path, splits: str) -> Finding:
    with own_cache(folder):
        found = run_command("audit", source, "--json")
    if found.code:
        return Finding(f"{len(CLASSES)} classes; {splits}", found.stderr.strip(), False)
    document = found.document
    got = f"{len(document['classes'])} classes; {', '.join(document['splits'])}"
    said = any("taken for splits" in note or "the data lie in" in note for note in document["notes"])
    right = tuple(document["classes"]) == CLASSES and got == f"3 classes; {splits}" and said
    return Finding(f"3 classes; {splits}", got + ("; said" if said else "; not said"), right)


@case("layout", "Training/ and Testing/ around class folders")
def training_and_testing(folder: Path) -> Finding:
    """Are they splits?"""
    data = write_photos(folder / "data", [f"{split}/{name}" for split in ("Training", "Testing") for name in CLASSES])
    return _audited(folder, data, "train, validation, test")


@case("layout", "seg_train/seg_train and seg_test/seg_test, and seg_pred without classes")
def wrapped_splits(folder: Path) -> Finding:
    """Are the doubled folders looked through?"""
    data = folder / "data"
    write_photos(data, [f"seg_{split}/seg_{split}/{name}" for split in ("train", "test") for name in CLASSES])
    write_photos(data, ["seg_pred/seg_pred"])
    return _audited(folder, data, "train, validation, test")


@case("layout", "an archive unpacked: photos/photos/CLASS beside __MACOSX")
def wrapped_archive(folder: Path) -> Finding:
    """Is the wrapper looked through, and said?"""
    data = write_photos(folder / "data", [f"photos/photos/{name}" for name in CLASSES])
    write_photos(data, ["__MACOSX/photos/cat"])
    return _audited(folder, data, "train, validation, test")


@case("layout", "classes beside splits; images beside classes; splits without a name")
def mixed_levels(folder: Path) -> Finding:
    """Is each refused with the likely intention?"""
    both = [f"{split}/{name}" for split in ("train", "test") for name in CLASSES]
    trees = {
        "beside": (*both, "cat"),
        "loose": (*CLASSES, "."),
        "unnamed": [f"{part}/{name}" for part in ("first", "second") for name in CLASSES],
    }
    words = {
        "beside": "move its images into train/cat/",
        "loose": "move them into a folder",
        "unnamed": "name them train",
    }
    right = 0
    for name, folders in trees.items():
        done = run_command("train", write_photos(folder / name, folders), "--out", folder / "run")
        right += done.code == 2 and words[name] in done.stderr and done.stderr.count("\n") == 1
    return Finding("3 of 3 refused", f"{right} of 3 refused", right == 3 and not (folder / "run").exists())


@case("layout", "thumbnails of a NAS in @eaDir, .thumbnails, __MACOSX")
def thumbnails(folder: Path) -> Finding:
    """Are they left out, and said?"""
    data = write_photos(folder / "data", [*CLASSES, "@eaDir/0.png", *(f"{name}/@eaDir/0.png" for name in CLASSES)])
    write_photos(data, ["cat/.thumbnails", "__MACOSX/cat"])
    with own_cache(folder):
        document = run_command("audit", data, "--json").document
    images = sum(split["images"] for split in document["splits"].values())
    named = sum("system folder" in odd["reason"] for odd in document["odd"])
    return Finding("12 images, 5 folders named", f"{images} images, {named} folders named", (images, named) == (12, 5))


@case("files", "pipe, device, socket and links called .jpg")
def no_regular_files(folder: Path) -> Finding:
    """Does audit end, and name each?"""
    data = write_photos(folder / "data", CLASSES)
    cat = data / "cat"
    os.mkfifo(cat / "pipe.jpg")
    (cat / "zero.jpg").symlink_to("/dev/zero")
    (cat / "itself.jpg").symlink_to("itself.jpg")
    (data / "itself").symlink_to("itself")
    with open(cat / "huge.jpg", "wb") as stream:
        stream.truncate((1 << 30) + 1)
    with own_cache(folder):
        done = run_process("audit", data, "--json", timeout=60)
    unreadable = [] if done.code else [os.path.basename(entry["path"]) for entry in done.document["unreadable"]]
    expected = ["huge.jpg", "itself.jpg", "pipe.jpg", "zero.jpg"]
    return Finding("12 images, 4 named", f"{', '.join(unreadable)} named", sorted(unreadable) == expected)


@case("files", "table with backslashes; table with ids without suffix; table of nothing")
def tables(folder: Path) -> Finding:
    """Are the files found, and is a missing one named with reason and remedy?"""
    data = write_photos(folder / "data", CLASSES)
    counts, errors = [], []
    for form in ("{}\\{}.png", "{}/{}", "{}/no{}"):
        rows = [f"{form.format(name, number)},{name}" for name in CLASSES for number in range(4)]
        (data / "all.csv").write_text("\n".join(["id,label", *rows]))
        with own_cache(folder):
            done = run_command("audit", data / "all.csv", "--json")
        if done.code:
            errors.append(done.stderr)
        else:
            counts.append(sum(split["images"] for split in done.document["splits"].values()))
    named = bool(errors) and f"e.g. {data}/cat/no0: no such file" in errors[0] and "with their suffixes" in errors[0]
    return Finding(
        "12, 12 images; named", f"{counts} images; {'named' if named else errors}", counts == [12, 12] and named
    )


@case("files", "a copy of a training image in the test split")
def copies_between_splits(folder: Path) -> Finding:
    """Do train's terminal, report and run.json say it?"""
    data = write_photos(
        folder / "data", [f"{split}/{name}" for split in ("train", "test") for name in CLASSES], count=8
    )
    for number in range(3):
        shutil.copy(data / "train" / "cat" / f"{number}.png", data / "test" / "cat" / f"copy{number}.png")
    arguments = ("--model", "cnn", "--image-size", "16", "--epochs", "1", "--out", folder / "run", "--json")
    with own_cache(folder):
        done = run_command("train", data, *arguments)
    report = done.document
    said = "3 of 27 test images were seen in training" in done.stderr
    noted = any("3 of 27 test images" in note for note in report["notes"])
    return Finding(
        "3 of 27, warned and noted",
        f"{report['in_training']['test']} of 27{', warned' * said}{' and noted' * noted}",
        report["in_training"]["test"] == 3 and said and noted,
    )


@case("files", "a pixel changed in the cache, and an empty cache file")
def changed_cache(folder: Path) -> Finding:
    """Are the right pixels used again?"""
    from edgeclf.dataset import load_dataset

    data = write_photos(folder / "data", CLASSES)
    with own_cache(folder) as cache:
        before = load_dataset(data, image_size=16).splits["train"].images[:]
        rows = next(cache.glob("images/*.rows"))
        state = rows.stat()
        content = bytearray(rows.read_bytes())
        for place in range(5, len(content), 16 * 16 * 3):
            content[place] ^= 1
        rows.write_bytes(content)
        os.utime(rows, ns=(state.st_atime_ns, state.st_mtime_ns))
        changed = load_dataset(data, image_size=16)
        differing = int((changed.splits["train"].images[:] != before).sum())
        decoded = changed.load.images_decoded
        del changed
        os.truncate(rows, 0)
        differing += int((load_dataset(data, image_size=16).splits["train"].images[:] != before).sum())
    return Finding(
        "12 decoded again, 0 differ", f"{decoded} decoded again, {differing} differ", (decoded, differing) == (12, 0)
    )
