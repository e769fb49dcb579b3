#!/usr/bin/env python3
"""Make an entry of the zoo again: train, compress to int8, measure, write the model and its card into models/NAME.

    python tools/make_zoo.py digits
    python tools/make_zoo.py cifar10 --data CIFAR10_JPEG_FOLDER [--run RUN_FOLDER]

With `--run` an existing run folder is used (a finished one is not trained again, an interrupted one is resumed).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import edgeclf
from edgeclf.cli.progress_bars import LineProgress
from edgeclf.measure.formatting import interval, percent
from edgeclf.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = {
    "digits": ("scikit-learn's 8x8 scans of handwritten digits (UCI ML repository)", TrainConfig(model="resnet8")),
    "cifar10": (
        "CIFAR-10 (Krizhevsky, 2009), re-coded as JPEG files of 32x32 pixels, which costs some accuracy",
        TrainConfig(model="resnet8"),
    ),
}
CARD = """# {name}

ResNet-8 (He et al., 2016, in the form of MLPerf Tiny), int8, {size} pixels, {classes} classes: {labels}.

| | float Keras | int8 file |
|---|---|---|
| top-1 on the test split ({images:,} images) | {float_top1} | {top1} (95 % interval {interval} %) |
| difference, paired | | {difference:+.2f} points ({lower:+.2f} to {upper:+.2f}; McNemar p = {p:.2g}) |
| calibration error | | {calibration} |
| file | | {bytes:,} bytes |
| median latency | {float_latency} | {latency:.0f} µs, one thread |
| MACs, parameters | | {macs:,}, {parameters:,} |

Latency on {machine}, {runtime}.

- **Data:** {data}. Fingerprint `{fingerprint}`. The data are not part of this repository.
- **Recipe:** {epochs} epochs of SGD with Nesterov momentum in {precision}, one cosine, label smoothing, flips where
  they make sense, and shifts except in the last {unaugmented} of the epochs; then post-training int8 with 500
  calibration images out of the training split; temperature, threshold and feature check for unknown images by the
  validation split. `edgeclf inspect {name} --json` shows the settings of the compression.
- **Made by:** `python tools/make_zoo.py {name}{arguments}`
- **Licence:** the weights are part of edgeclf (Apache-2.0).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(ENTRIES))
    parser.add_argument("--data", default=None, help="where the images lie; digits are embedded")
    parser.add_argument("--run", type=Path, default=None)
    arguments = parser.parse_args()
    described, config = ENTRIES[arguments.name]
    data = arguments.data or arguments.name
    run = arguments.run or ROOT / "runs" / f"zoo-{arguments.name}"
    progress = LineProgress(sys.stderr)
    trained = edgeclf.train(data, config, out=run, resume=True, progress=progress)
    folder = ROOT / "models" / arguments.name
    made = edgeclf.compress(run, int8=True, data=data, out=run / "zoo", overwrite=True, progress=progress)
    path = folder / f"{arguments.name}-int8.tflite"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made.models[0].path, path)
    report = edgeclf.bench(path, data=data, baseline=run / "model.keras", progress=progress)
    (model,) = report.models
    found = model.calibration
    calibration = f"{percent(found.error)} ({interval(found.interval)} %)"
    if found.before is not None:
        calibration += f"; without the fitted temperature {percent(found.before)}"
    details = edgeclf.inspect(path)
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
    card = CARD.format(
        name=arguments.name,
        size=trained.image_size,
        classes=len(details.labels or ()),
        labels=", ".join(details.labels or ()),
        images=trained.metrics["test"].images,
        float_top1=percent(report.baseline.top1),
        top1=percent(model.top1),
        interval=interval(model.top1_interval),
        difference=100 * model.difference,
        lower=100 * model.difference_interval[0],
        upper=100 * model.difference_interval[1],
        p=model.p_value,
        calibration=calibration,
        bytes=model.size_bytes,
        float_latency=""
        if report.baseline.latency_ms is None
        else f"{1000 * report.baseline.latency_ms.median:.0f} µs, {report.baseline.threads} threads",
        latency=1000 * model.latency_ms.median,
        macs=model.macs,
        parameters=model.parameters,
        machine=f"{report.machine.processor}, {report.machine.cores} cores",
        runtime=model.runtime,
        data=described,
        fingerprint=details.provenance["data"]["fingerprint"],
        epochs=trained.epochs,
        precision="bfloat16" if settings["mixed_precision"] else "float32",
        unaugmented=percent(settings["unaugmented_epochs"], 0),
        arguments=" --data CIFAR10_JPEG_FOLDER" if arguments.data else "",
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    print(card)


if __name__ == "__main__":
    main()
