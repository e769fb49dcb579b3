"""Class names, networks with one output, and what `predict` takes."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from stranger_cases.case import Finding, case, run_command

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
from color_photos import hues, photo, write_folders, write_photo
from linear_models import write_color_model

NUMBERS = tuple(sorted(map(str, range(12))))
TWO = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
RAW = "--input-range=0,255"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _nearest(data: Path, names: tuple[str, ...], colors: np.ndarray) -> float:
    """Top-1 on the test photos of the class whose colour is nearest to the mean colour, without edgeclf."""
    import cv2

    right = []
    for index, name in enumerate(names):
        for path in (data / "test" / name).iterdir():
            mean = cv2.imread(str(path))[..., ::-1].mean(axis=(0, 1)) / 255
            right.append(((colors - mean) ** 2).sum(axis=1).argmin() == index)
    return float(np.mean(right))


def _bench(model: Path, data: Path, *more: str | Path) -> dict[str, Any]:
    return run_command("bench", model, "--data", data, RAW, "--runs", "3", "--json", "--quiet", *more).document


@case("labels", "12 classes without names, folders 0 to 11")
def without_names(folder: Path) -> Finding:
    data, model = write_folders(folder / "data", NUMBERS, hues(12)), write_color_model(folder / "m.tflite", hues(12))
    by_hand = _nearest(data, NUMBERS, hues(12))
    (found,) = _bench(model, data)["models"]
    said = any("sorted names" in note and "--labels FILE" in note for note in found["notes"])
    got = f"{_percent(found['top1'])}, order {'said' if said else 'not said'}"
    return Finding(f"{_percent(by_hand)}, order said", got, found["top1"] == by_hand and said)


@case("labels", "numbered lines beside the model, network in another order")
def beside(folder: Path) -> Finding:
    names = ("red", "green", "blue")
    data, model = write_folders(folder / "data", names, hues(3)), write_color_model(folder / "m.tflite", hues(3))
    (folder / "labels.txt").write_text("0 Red\r\n1 Green\r\n2 Blue\r\n", encoding="utf-16")
    by_hand = _nearest(data, names, hues(3))
    (found,) = _bench(model, data)["models"]
    return Finding(_percent(by_hand), _percent(found["top1"]), found["top1"] == by_hand)


@case("labels", "accuracy of chance because the order is another")
def near_chance(folder: Path) -> Finding:
    data = write_folders(folder / "data", ("a", "b", "c"), hues(3))
    model = write_color_model(folder / "m.tflite", np.roll(hues(3), 1, axis=0))
    done = run_command("bench", model, "--data", data, RAW, "--runs", "3", "--json")
    warned = "warning:" in done.stderr and "--labels FILE" in done.stderr
    top1 = done.document["models"][0]["top1"]
    return Finding("0.0 %, warning", f"{_percent(top1)}, {'warning' if warned else 'silence'}", warned and top1 == 0)


@case("labels", "a list of 2 names for 3 classes")
def too_few(folder: Path) -> Finding:
    model = write_color_model(folder / "m.tflite", hues(3))
    (folder / "names.txt").write_text("red\ngreen\n", encoding="utf-8")
    done = run_command("predict", model, "x.jpg", "--labels", folder / "names.txt")
    right = done.code == 2 and "expected 3 class names, one a line, got 2 (red, green)" in done.stderr
    return Finding("exit 2, both numbers", f"exit {done.code}, {done.stderr.strip()[-60:]}", right)


@case("labels", "Keras network whose classes are in another order than the folders")
def compressed(folder: Path) -> Finding:
    import tf_keras

    colors, names = hues(12), NUMBERS[::-1]
    data = write_folders(folder / "data", NUMBERS, colors)
    layers = tf_keras.layers
    network = tf_keras.Sequential(
        [layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D(), layers.Dense(12, activation="softmax")]
    )
    network.layers[-1].set_weights([20 * colors[::-1].T, -10 * (colors[::-1] ** 2).sum(axis=1)])
    network.save(folder / "net.h5")
    (folder / "names.txt").write_text("\n".join(names), encoding="utf-8")
    arguments = ("compress", folder / "net.h5", "--float32", "--data", data, "--input-range=0,1", "--out", folder / "o")
    done = run_command(*arguments, "--labels", folder / "names.txt", "--json", "--quiet")
    by_hand, top1 = _nearest(data, NUMBERS, colors), done.document["models"][0]["top1"]
    return Finding(_percent(by_hand), _percent(top1), top1 == by_hand)


@case("one sigmoid", "two classes from one output")
def one_output(folder: Path) -> Finding:
    data = write_folders(folder / "data", ("apple", "plum"), TWO)
    model = write_color_model(folder / "m.tflite", TWO, head="sigmoid")
    by_hand = _nearest(data, ("apple", "plum"), TWO)
    (found,) = _bench(model, data)["models"]
    return Finding(_percent(by_hand), _percent(found["top1"]), found["top1"] == by_hand)


@case("one path", 'predict(model, "cat.jpg") among other images')
def one_path(folder: Path) -> Finding:
    import edgeclf

    model = write_color_model(folder / "m.tflite", hues(3))
    for name in ("cat.jpg", "c.jpg", "a.jpg"):
        write_photo(folder / name, photo(hues(3)[0]))
    before = Path.cwd()
    os.chdir(folder)
    try:
        report = edgeclf.predict(model, "cat.jpg", input_range=(0, 255))
        bench = edgeclf.bench("m.tflite", threads=1, runs=3, input_range=(0, 255))
    finally:
        os.chdir(before)
    got = [photo.path for photo in report.predictions] + [model.path for model in bench.models]
    return Finding("cat.jpg, m.tflite", ", ".join(got), got == ["cat.jpg", "m.tflite"])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@case("predict", "an address, subfolders, annotated copies")
def sources(folder: Path) -> Finding:
    model = write_color_model(folder / "m.tflite", TWO)
    write_photo(folder / "web" / "blue.png", photo(TWO[1]))
    write_photo(folder / "photos" / "deep" / "er" / "red.png", photo(TWO[0]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder / "web"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ.setdefault("no_proxy", "127.0.0.1")
    address = f"http://127.0.0.1:{server.server_port}/blue.png"
    try:
        done = run_command(
            "predict", model, address, folder / "photos", "--recursive", "--save", folder / "out", RAW, "--json"
        )
    finally:
        server.shutdown()
        server.server_close()
    labels = [photo["labels"][0]["label"] for photo in done.document["predictions"]]
    saved = sorted(path.name for path in (folder / "out").iterdir())
    got = f"{', '.join(labels)}; {', '.join(saved)}"
    return Finding("1, 0; blue.jpg, red.jpg", got, got == "1, 0; blue.jpg, red.jpg")


@case("predict", "no image can be read, with --json")
def nothing(folder: Path) -> Finding:
    model = write_color_model(folder / "m.tflite", TWO)
    done = run_command("predict", model, folder / "none.jpg", "--json", RAW)
    document = json.loads(done.stdout)
    right = done.code == 2 and "no such file" in document["error"] and len(document["unreadable"]) == 1
    return Finding("exit 2, error and details", f"exit {done.code}, {sorted(document)}", right)


@case("python", "pixels, bytes, a PIL image and a list of them; a report in a notebook")
def python(folder: Path) -> Finding:
    import edgeclf
    from edgeclf.progress import Progress

    classifier = edgeclf.Classifier(write_color_model(folder / "m.tflite", TWO), input_range=(0, 255))
    path, given = write_photo(folder / "<b>.png", photo(TWO[1])), [photo(TWO[1])]
    kinds: list[Any] = [path, str(path), path.read_bytes(), *given]
    try:
        import PIL.Image

        kinds.append(PIL.Image.open(io.BytesIO(path.read_bytes())))
    except ImportError:
        pass
    found = {prediction.labels for prediction in classifier.predict(kinds)}
    progress: Progress = edgeclf.ProgressBar(io.StringIO())
    report = edgeclf.predict(folder / "m.tflite", [path] * 500, input_range=(0, 255), progress=progress)
    short = len(repr(report)) <= 1000 and len(report._repr_html_()) <= 50_000 and "<b>.png" not in report._repr_html_()
    right = len(found) == 1 and next(iter(found))[0].label == "1" and short
    return Finding("one prediction, short", f"{len(found)} predictions, {'short' if short else 'long'}", right)
