#!/usr/bin/env python3
"""Compare an emulated board with this machine, label by label; called by emulate.sh, with the Python that it prepared.

Both run the same commands on the same files: `verify` with every zoo model, `predict` on some hundred pictures, and
`live` on two videos of them. One is lossless, so that both machines see the same pixels. The other is MJPEG, as a
camera sends it, whose decoder may round otherwise on another processor.

A label that differs is explained when the network, computed here on the pixels that each machine decoded, gives each
its answer within one step of the output (the softmax of a uint8 model may round either way), or within the steps that
`verify` accepts of the model's file.

One JSON document on stdout; exit code 0 where everything is equal or explained and the fast kernels are used, else 1.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from frames import write_frames, write_video

from edgeclf.artifact.locate import list_zoo, locate_model
from edgeclf.inference.classifier import Classifier

HERE = Path(__file__).resolve().parent
STEP = 1 / 256
EQUAL = 1e-3  # of a step: what is less comes from writing numbers as text
VIDEOS = {"lossless.mkv": "live", "mjpeg.avi": "live_mjpeg"}
ALL_CLASSES = 1000
ABOUT = """
import importlib.metadata, json, platform
names = "edgeclf", "ai-edge-litert", "numpy", "opencv-python"
packages = {name: importlib.metadata.version(name) for name in names}
print(json.dumps({"machine": platform.machine(), "python": platform.python_version(), "packages": packages}))
"""


class Machine:
    """This machine, or the board under emulation: runs programs of the environment that has the wheel."""

    def __init__(self, work: Path, pi: str | None) -> None:
        self.work, self.pi = work, pi
        self.seconds: dict[str, float] = {}

    def run(self, what: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `program` of the environment in the work folder."""
        began = time.monotonic()
        if self.pi is None:
            command = [str(Path(sys.executable).parent / program), *arguments]
            environment = dict(os.environ)
        else:
            command = ["sh", str(HERE / "board.sh"), f"/board/edge/bin/{program}", *arguments]
            environment = {**os.environ, "PI": self.pi, "WORK": str(self.work)}
        done = subprocess.run(
            command,
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.seconds[what] = round(time.monotonic() - began, 1)
        return done

    def lines(self, what: str, program: str, *arguments: str) -> list[str]:
        """What a program that must succeed prints."""
        done = self.run(what, program, *arguments)
        if done.returncode != 0:
            where = "this machine" if self.pi is None else f"the emulated Raspberry Pi {self.pi}"
            raise SystemExit(f"{program} {' '.join(arguments)}: exit code {done.returncode} on {where}\n{done.stderr}")
        return done.stdout.splitlines()

    def edgeclf(self, what: str, *arguments: str) -> list[dict[str, Any]]:
        """The JSON documents of a command that must succeed."""
        return [json.loads(line) for line in self.lines(what, "edgeclf", *arguments, "--json")]


@functools.cache
def seen(machine: Machine, size: tuple[int, int] | None, source: str) -> Any:
    """uint8[N, H, W, 3] RGB: what the machine decodes of a video, or of the pictures in a folder at `size`."""
    name = f"seen-{machine.pi or 'here'}.npy"
    arguments = [*(map(str, size) if size else ()), source, name]
    machine.lines(f"pixels {' '.join(arguments[:-1])}", "python", "pixels.py", *arguments)
    pixels = np.load(machine.work / name)
    (machine.work / name).unlink()
    return pixels


def collect_predictions(machine: Machine, model: str) -> dict[str, Any]:
    """What one machine says: `predict` with the scores of all classes, and `live` for each frame of each video."""
    (predicted,) = machine.edgeclf(f"predict {model}", "predict", model, "frames", "--top", str(ALL_CLASSES))
    said = [[(entry["label"], entry["probability"]) for entry in p["labels"]] for p in predicted["predictions"]]
    shown = {}
    for video in VIDEOS:
        # Each frame on its own: smoothing follows the clock, which no two runs share.
        options = ("--camera", video, "--every-frame", "--no-window", "--smoothing", "0", "--hysteresis", "0")
        *results, _ = machine.edgeclf(f"live {model} {video}", "live", model, *options)
        shown[video] = {result["frame"]: result for result in results}
    return {"frames": said, **shown}


def compare_model(model: str, host: Machine, board: Machine, here: dict[str, Any], frames: int) -> dict[str, Any]:
    """The figures of one model on one board; `ok` says whether all labels are equal or explained.

    Args:
        model: a zoo model.
        host: this machine.
        board: the emulated board.
        here: predictions of this machine.
        frames: how many pictures there are.
    """
    verified = board.run(f"verify {model}", "edgeclf", "verify", model, "--json")
    report = json.loads(verified.stdout or "null")
    accepted = float(report["accepted_steps"]) if report else 1.0
    classifier = Classifier(locate_model(model))
    there = collect_predictions(board, model)
    figures = {}
    for source, name in {"frames": "predict", **VIDEOS}.items():
        size = (classifier.height, classifier.width) if source == "frames" else None
        ours, theirs = seen(host, size, source), seen(board, size, source)
        compare = _compare_predictions if source == "frames" else _compare_live
        compared = compare(here[source], there[source])
        for entry in compared["differences"]:
            number = entry["frame"]
            entry["explained_by"] = _explain(entry, classifier, ours[number], theirs[number], accepted)
        steps = np.abs(ours.astype(np.int16) - theirs)
        figures[name] = {
            "frames": len(theirs),
            "frames_with_other_pixels": int(steps.reshape(len(steps), -1).any(1).sum()),
            "largest_pixel_difference": int(steps.max()),
            **compared,
            "labels_different": len(compared["differences"]),
            "labels_unexplained": sum(entry["explained_by"] is None for entry in compared["differences"]),
        }
    whole = all(
        compared["predictions"] == frames and not compared["labels_unexplained"] for compared in figures.values()
    )
    verify = {"exit_code": verified.returncode, "report": report}
    return {"model": model, "ok": whole and verified.returncode == 0, "verify": verify, **figures}


def _explain(
    entry: dict[str, Any], classifier: Classifier, ours: Any, theirs: Any, accepted: float = 1.0
) -> str | None:
    """Why the label differs; None where the pixels that each machine decoded do not lead to what it said."""
    here, there = _follows(entry["here"], classifier, ours, 1.0), _follows(entry["board"], classifier, theirs, accepted)
    if not (here and there):
        return None
    if not np.array_equal(ours, theirs):
        return "decoded pixels"
    return "one step of the output" if accepted == 1 else f"{accepted:g} steps of the output, which the file accepts"


def _follows(said: dict[str, Any], classifier: Classifier, pixels: Any, accepted: float) -> bool:
    """Whether the network on `pixels` gives that class that score, within those steps, and no class a better one."""
    scores = {score.label: score.probability for score in classifier.predict(pixels, top=ALL_CLASSES).labels}
    score = scores.get(said["best"], -1.0)
    nearest = abs(score - said["probability"]) / STEP <= accepted + EQUAL
    return nearest and (max(scores.values()) - score) / STEP <= accepted + EQUAL


def _compare_predictions(here: list[Any], there: list[Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    values = different = 0
    largest = 0.0
    for number, (ours, theirs) in enumerate(zip(here, there, strict=True)):
        mine, other = dict(ours), dict(theirs)
        steps = [abs(mine[label] - other[label]) / STEP for label in mine]
        values += len(steps)
        different += sum(step > EQUAL for step in steps)
        largest = max(largest, *steps)
        if ours[0][0] != theirs[0][0]:
            said = [{"best": best, "probability": probability} for best, probability in (ours[0], theirs[0])]
            found.append({"frame": number, "here": said[0], "board": said[1]})
    return {
        "predictions": len(there),
        "values": values,
        "values_different": different,
        "largest_difference_steps": round(largest, 3),
        "differences": found,
    }


def _compare_live(here: dict[int, dict[str, Any]], there: dict[int, dict[str, Any]]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    largest = 0.0
    if here.keys() != there.keys():
        raise SystemExit(f"live classified other frames here ({len(here)}) than on the board ({len(there)})")
    for number, ours in here.items():
        theirs = there[number]
        steps = abs(ours["raw_probability"] - theirs["raw_probability"]) / STEP
        largest = max(largest, steps)
        if (ours["raw_label"], ours["label"]) != (theirs["raw_label"], theirs["label"]):
            found.append({"frame": number, "here": _said(ours), "board": _said(theirs)})
    return {"predictions": len(there), "largest_difference_steps": round(largest, 3), "differences": found}


def _said(result: dict[str, Any]) -> dict[str, Any]:
    return {"best": result["raw_label"], "probability": result["raw_probability"], "label": result["label"]}


def fast_kernels(board: Machine, model: str) -> bool:
    """Whether the runtime uses XNNPACK there, of which it speaks on stderr only, and leaves it out without a word."""
    program = (
        "from edgeclf.artifact.locate import locate_model; from ai_edge_litert.interpreter import Interpreter; "
        f"Interpreter(str(locate_model({model!r}))).allocate_tensors()"
    )
    return "XNNPACK delegate" in board.run("kernels", "python", "-c", program).stderr


def compare_board(pi: str, host: Machine, here: dict[str, Any], frames: int) -> dict[str, Any]:
    """All figures of one board."""
    board = Machine(host.work, pi)
    about = json.loads(board.lines("about", "python", "-c", ABOUT)[0])
    models = []
    for model, predicted in here.items():
        models.append(compare_model(model, host, board, predicted, frames))
        print(_sentence(pi, models[-1]), file=sys.stderr, flush=True)
    fast = fast_kernels(board, next(iter(here)))
    ok = fast and all(model["ok"] for model in models)
    name = f"Raspberry Pi {pi}"
    return {"board": name, "ok": ok, **about, "fast_kernels": fast, "models": models, "seconds": board.seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that the board sees as /board")
    parser.add_argument("--pi", nargs="+", choices=("4", "5"), default=("4", "5"), help="boards")
    parser.add_argument("--frames", type=int, default=200, metavar="N", help="pictures, and frames of the video")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="photos to take instead of drawing pictures")
    parser.add_argument("--from", type=Path, default=Path(), dest="called_from", help="where --images is relative to")
    given = parser.parse_args()
    work = given.work.resolve()
    write_frames(work / "frames", given.frames, given.images and given.called_from / given.images)
    for video in VIDEOS:
        write_video(work / video, work / "frames", "MJPG" if video.endswith(".avi") else "FFV1")
    (work / "pixels.py").write_bytes((HERE / "pixels.py").read_bytes())
    host = Machine(work, None)
    here = {model: collect_predictions(host, model) for model in list_zoo()}
    boards = [compare_board(pi, host, here, given.frames) for pi in given.pi]
    ok = all(board["ok"] for board in boards)
    about = json.loads(host.lines("about", "python", "-c", ABOUT)[0])
    print(json.dumps({"ok": ok, "here": about, "boards": boards}))
    return 0 if ok else 1


def _sentence(pi: str, model: dict[str, Any]) -> str:
    predict = model["predict"]
    parts = [
        f"verify {model['verify']['exit_code']}",
        f"predict: {predict['labels_different']} of {predict['frames']} labels and {predict['values_different']} of "
        f"{predict['values']} scores differ (at most {predict['largest_difference_steps']} steps)",
        *(
            f"{name}: {model[name]['labels_different']} of {model[name]['frames']} labels differ"
            for name in VIDEOS.values()
        ),
    ]
    return f"Raspberry Pi {pi}, {model['model']}: {'; '.join(parts)}; {'good' if model['ok'] else 'NOT GOOD'}"


if __name__ == "__main__":
    sys.exit(main())
