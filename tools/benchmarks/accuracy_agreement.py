"""Are `bench`'s accuracies those of a plain loop that shares no code with it?

    python tools/benchmarks/accuracy_agreement.py MODEL.tflite TEST_FOLDER [--limit N]

TEST_FOLDER holds a folder of images for each class, all of the model's own size (nothing is resized), and the model
takes `uint8[1, H, W, 3]`. The loop below is ten lines of NumPy, Pillow and the runtime. Exit status: 0 where both
accuracies are equal to the last digit, 1 otherwise.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np


def plain_accuracy(model: Path, files: list[tuple[Path, int]]) -> float:
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    interpreter = Interpreter(model_path=str(model))
    interpreter.allocate_tensors()
    source, target = (d[0]["index"] for d in (interpreter.get_input_details(), interpreter.get_output_details()))
    right = 0
    for path, label in files:
        interpreter.set_tensor(source, np.asarray(Image.open(path).convert("RGB"), np.uint8)[None])
        interpreter.invoke()
        right += int(np.argmax(interpreter.get_tensor(target)[0])) == label
    return right / len(files)


def bench_accuracy(model: Path, folder: Path) -> float | None:
    import edgeclf

    return edgeclf.bench(model, data=folder, split="test", runs=1).models[0].top1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, help="images a class")
    options = parser.parse_args()
    classes = sorted(path for path in options.folder.iterdir() if path.is_dir())
    files = [(file, label) for label, c in enumerate(classes) for file in sorted(c.iterdir())[: options.limit]]
    with tempfile.TemporaryDirectory() as scratch:
        # A data set needs a train split too; two images a class stand in for it and are not measured.
        for file, label in files:
            target = Path(scratch) / "test" / classes[label].name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        for label, folder in enumerate(classes):
            for split in ("train", "validation"):
                target = Path(scratch) / split / folder.name
                target.mkdir(parents=True, exist_ok=True)
                first = next(file for file, of in files if of == label)
                shutil.copyfile(first, target / first.name)
        measured = bench_accuracy(options.model, Path(scratch))
    plain = plain_accuracy(options.model, files)
    print(
        f"{len(files):,} images: plain loop {plain!r}, bench {measured!r}: {'equal' if plain == measured else 'DIFFER'}"
    )
    return 0 if plain == measured else 1


if __name__ == "__main__":
    sys.exit(main())
