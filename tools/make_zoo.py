#!/usr/bin/env python3
"""Make an entry of the zoo again: train, compress, measure, write the model and its card into models/NAME.

    python tools/make_zoo.py digits
    python tools/make_zoo.py cifar10 --data CIFAR10_JPEG_FOLDER [--run RUN_FOLDER]
    python tools/make_zoo.py cifar10-fast --data CIFAR10_JPEG_FOLDER
    python tools/make_zoo.py cifar10-small --data CIFAR10_JPEG_FOLDER
    python tools/make_zoo.py cifar10-best --data CIFAR10_JPEG_FOLDER
    python tools/make_zoo.py clothing --data CLOTHING_FOLDER --starts FOLDER_OF_TFLITE_FILES

With `--run` an existing run folder is used (a finished one is not trained again, an interrupted one is resumed, both
with the teacher that they began with). A teacher is trained first, into `RUN_FOLDER-teacher`.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgeclf
from edgeclf import atomic
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.cli.progress_bars import LineProgress
from edgeclf.measure.formatting import counted, interval, percent
from edgeclf.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
RESNET8 = "ResNet-8 (He et al., 2016, in the form of MLPerf Tiny)"
SWISH = "ResNet-8 with swish and squeeze-and-excite (He et al., 2016; Ramachandran et al., 2017; Hu et al., 2018)"
CIFAR10 = "CIFAR-10 (Krizhevsky, 2009), re-coded as JPEG files of 32x32 pixels, which costs some accuracy"


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Args:
        data: what it is trained on.
        network: what it is.
        config: settings of the training; its `weights` are a file of the folder of starts.
        teacher: what it learns from beside the labels: settings of a network that is trained first, or names of models
            of the zoo with `+` between them; None: nothing.
        beside: names of models of the zoo that are asked beside a teacher that is trained, with `+` between them.
        teacher_format: of the file that a teacher that is trained predicts with; empty: the float network predicts.
        format: of the file.
        command: what the command that makes it has behind the name.
        credits: of weights that others made.
    """

    data: str
    network: str
    config: TrainConfig
    teacher: TrainConfig | str | None = None
    beside: str = ""
    teacher_format: str = ""
    format: str = "int8"
    command: str = ""
    credits: str = ""


ENTRIES = {
    "digits": Entry(
        "scikit-learn's 8x8 scans of handwritten digits (UCI ML repository)", RESNET8, TrainConfig(model="resnet8")
    ),
    "cifar10": Entry(
        CIFAR10,
        RESNET8,
        TrainConfig(model="resnet8"),
        command="--data CIFAR10_JPEG_FOLDER",
    ),
    "cifar10-fast": Entry(
        CIFAR10,
        "An all-convolutional network (after Springenberg et al., 2015)",
        TrainConfig(model="allconv", epochs=130),
        command="--data CIFAR10_JPEG_FOLDER",
    ),
    "cifar10-small": Entry(
        CIFAR10,
        f"A narrow {SWISH}",
        TrainConfig(
            model="resnet8-swish",
            width=0.875,
            mixed_precision=True,
            epochs=80,
            batch_size=128,
            optimizer="muon",
            label_smoothing=0.0,
            unaugmented_epochs=0.1,
            weight_average=0.999,
            teacher_weight=0.9,
            teacher_views=16,
            temperature=4.0,
        ),
        teacher="cifar10-best+cifar10+cifar10-fast",
        format="int4",
        command="--data CIFAR10_JPEG_FOLDER",
    ),
    "cifar10-best": Entry(
        CIFAR10,
        f"A {SWISH}",
        TrainConfig(
            model="resnet8-swish",
            mixed_precision=True,
            epochs=220,
            batch_size=128,
            optimizer="muon",
            label_smoothing=0.0,
            unaugmented_epochs=0.1,
            weight_average=0.999,
            teacher_weight=0.9,
            teacher_views=24,
            temperature=4.0,
        ),
        teacher=TrainConfig(
            model="resnet9",
            epochs=12,
            batch_size=128,
            optimizer="muon",
            learning_rate=0.1,
            augment="standard",
            label_smoothing=0.0,
            unaugmented_epochs=0.0,
            weight_average=0.999,
        ),
        beside="cifar10+cifar10-fast",
        teacher_format="int8",
        command="--data CIFAR10_JPEG_FOLDER",
    ),
    "clothing": Entry(
        "the clothing dataset (subset): 3,781 phone photos, public domain (CC0)",
        "MobileNetV1 0.5 (Howard et al., 2017)",
        TrainConfig(board="zero2", weights="mobilenet_v1_0.5_160_uint8.tflite"),
        teacher=TrainConfig(weights="mobilenet_v2_1.0_224_int8.tflite"),
        command="--data CLOTHING_FOLDER --starts FOLDER_OF_TFLITE_FILES",
        credits=" Training started from Google's ImageNet weights\n"
        "  of MobileNetV1 and, for the teacher, of MobileNetV2 (Apache-2.0).",
    ),
}
CARD = """# {name}

{network}, {format}, {size} pixels, {classes} classes: {labels}.

| | float Keras | {format} file |
|---|---|---|
| top-1 on the test split ({images:,} images) | {float_top1} | {top1} (95 % interval {interval} %) |
| difference, paired | | {difference:+.2f} points ({lower:+.2f} to {upper:+.2f}; McNemar p = {p:.2g}) |
| calibration error | | {calibration} |
| file | | {bytes:,} bytes |
| median latency | {float_latency} | {latency:.0f} µs, one thread |
| MACs, parameters | | {macs:,}, {parameters:,} |

Latency on {machine}, {runtime}.

- **Data:** {data}. Fingerprint `{fingerprint}`. The data are not part of this repository.
- **Recipe:** {recipe}
  `edgeclf inspect {name} --json` shows the settings of the compression.
- **Made by:** `{command}`
- **Licence:** the weights are part of edgeclf (Apache-2.0).{credits}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(ENTRIES))
    parser.add_argument("--data", default=None, help="where the images lie; digits are embedded")
    parser.add_argument("--starts", type=Path, default=None, help="where the files lie that the training starts from")
    parser.add_argument("--run", type=Path, default=None)
    arguments = parser.parse_args()
    entry = ENTRIES[arguments.name]
    data = arguments.data or arguments.name
    run = arguments.run or ROOT / "runs" / f"zoo-{arguments.name}"
    progress = LineProgress(sys.stderr)

    def train(config: TrainConfig, out: Path) -> Any:
        if config.weights != "auto":
            if arguments.starts is None:
                parser.error(f"{arguments.name} starts from {config.weights}: name its folder with --starts")
            config = config.replace(weights=str(arguments.starts / config.weights))
        return edgeclf.train(data, config, out=out, resume=True, progress=progress)

    config, teacher = entry.config, entry.teacher
    if isinstance(teacher, TrainConfig):
        place = run.with_name(f"{run.name}-teacher")
        taught = train(teacher, place)
        predicting = place
        if entry.teacher_format:
            found = RunFolder(place)
            predicting = found.compressed_path / f"{found.name}-{entry.teacher_format}.tflite"
            if not predicting.exists():
                edgeclf.compress(place, recipes=entry.teacher_format, data=data, progress=progress)
        config = config.replace(teacher="+".join(filter(None, [str(predicting), entry.beside])))
        top1 = percent(taught.metrics["validation"].top1)
        form = f" in {entry.teacher_format}" if entry.teacher_format else ""
        teacher = f"a teacher ({taught.model}{form}, {taught.image_size} pixels, {top1} on validation)"
        if entry.beside:
            teacher = f"the mean of {teacher} and of {_list(entry.beside)}"
    elif teacher is not None:
        config = config.replace(teacher=teacher)
        teacher = f"the mean of {_list(teacher)}"
    if (run / "run.json").exists():
        began = json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]["teacher"]
        if _names_of(began) != _names_of(config.teacher):
            parser.error(f"{run} learned from {began}, and {arguments.name} from {config.teacher}: name another --run")
        config = config.replace(teacher=began)
    trained = train(config, run)
    folder = ROOT / "models" / arguments.name
    made = edgeclf.compress(run, recipes=entry.format, data=data, out=run / "zoo", overwrite=True, progress=progress)
    new = Path(made.models[0].path)
    report = edgeclf.bench(new, data=data, baseline=run / "model.keras", progress=progress)
    card = describe(
        arguments.name, trained, report, edgeclf.inspect(new), recipe=_describe_recipe(run, teacher, entry.format)
    )
    path = folder / f"{arguments.name}-{entry.format}.tflite"
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(path, new.read_bytes())
    atomic.write_text(folder / "README.md", card)
    for earlier in set(folder.glob("*.tflite")) - {path}:  # of another format
        earlier.unlink()
    print(card)


def describe(name: str, trained: Any, report: Any, details: Any, recipe: str) -> str:
    """Write the card of a model from what was measured."""
    entry, (model,) = ENTRIES[name], report.models
    found = model.calibration
    calibration = f"{percent(found.error)} ({interval(found.interval)} %)"
    if found.before is not None:
        calibration += f"; without the fitted temperature {percent(found.before)}"
    latency = report.baseline.latency_ms
    return CARD.format(
        name=name,
        network=entry.network,
        format=entry.format,
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
        if latency is None
        else f"{1000 * latency.median:.0f} µs, {counted(report.baseline.threads, 'thread')}",
        latency=1000 * model.latency_ms.median,
        macs=model.macs,
        parameters=model.parameters,
        machine=f"{report.machine.processor}, {counted(report.machine.cores, 'core')}",
        runtime=model.runtime,
        data=entry.data,
        fingerprint=details.provenance["data"]["fingerprint"],
        recipe=recipe,
        command=" ".join(filter(None, ["python tools/make_zoo.py", name, entry.command])),
        credits=entry.credits,
    )


def _names_of(teacher: str | None) -> list[str]:
    """Return what a teacher's parts are called, wherever their folders lie."""
    return [Path(part).name for part in (teacher or "").split("+")]


def _list(names: str) -> str:
    *first, last = names.split("+")
    return f"{', '.join(first)} and {last} of this zoo" if first else f"{last} of this zoo"


def _describe_recipe(run: Path, teacher: str | None, format: str) -> str:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    settings = record["config"]
    precision = "bfloat16" if settings["mixed_precision"] else "float32"
    sgd = "SGD with Nesterov momentum"
    optimizer = {"sgd": sgd, "muon": f"Muon (convolutions) and {sgd} (the rest)"}[settings["optimizer"]]
    parts = [
        f"{settings['epochs']} epochs of {optimizer} in {precision}, with the kernels of {record['kernels']}, one "
        "cosine"
    ]
    if settings["label_smoothing"]:
        parts.append("label smoothing")
    if settings["weight_average"]:
        parts.append("averaged weights")
    if record["start"]["origin"]:
        parts.append(f"from the weights of `{record['start']['origin']}`")
    if teacher is not None:
        views = f" on {settings['teacher_views']} views of each photo" if settings["teacher_views"] > 1 else ""
        parts.append(f"{percent(settings['teacher_weight'], 0)} of the loss by {teacher}{views}")
    last = percent(settings["unaugmented_epochs"], 0)
    parts.append(f"augmentation `{settings['augment']}` except in the last {last} of the epochs")
    text = (
        f"{', '.join(parts)}; then post-training {format} with up to 500 calibration images out of the training split; "
        "temperature, threshold and feature check for unknown images by the validation split."
    )
    return "\n  ".join(textwrap.wrap(text, 110))


if __name__ == "__main__":
    main()
