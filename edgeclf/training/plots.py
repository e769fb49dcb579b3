"""The pictures of a run: learning curves, confusion matrix, worst mistakes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from edgeclf.atomic import write_bytes

BLUE, ORANGE, GREY = "#1f6feb", "#d9730d", "#6e7781"


def plot_curves(history: Sequence[dict[str, Any]], best_epoch: int, path: Path) -> None:
    """Loss, top-1 and learning rate by epoch."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    loss, top1, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    for axes, key, title in ((loss, "loss", "Loss"), (top1, "top1", "Top-1")):
        axes.plot(epochs, [row[key] for row in history], color=GREY, label="training (augmented)")
        axes.plot(epochs, [row[f"validation_{key}"] for row in history], color=BLUE, label="validation")
        axes.axvline(best_epoch, color=ORANGE, linewidth=1, linestyle="--", label=f"kept: epoch {best_epoch}")
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.25)
    top1.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    loss.legend(frameon=False, fontsize=8)
    rate.plot(epochs, [row["learning_rate"] for row in history], color=ORANGE)
    rate.set(title="Learning rate", xlabel="epoch", ylim=(0, None))
    rate.grid(alpha=0.25)
    _save(figure, path)


def plot_confusion(confusion: Sequence[Sequence[int]], class_names: Sequence[str], title: str, path: Path) -> None:
    """Confusion matrix, rows normalized, with counts where there is room."""
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(16.0, max(5.0, 1.8 + 0.55 * len(class_names)))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    if len(class_names) <= 60:
        axes.set_xticks(range(len(class_names)), class_names, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(class_names)), class_names, fontsize=8)
    if len(class_names) <= 25:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=shade)
    _save(figure, path)


def plot_mistakes(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], path: Path
) -> None:
    """The images that the network got wrong with the most confidence, at most 24."""
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:24]
    figure = Figure(figsize=(12, 2.1 * max(1, -(-len(worst) // 6)) + 0.5), layout="constrained")
    figure.suptitle(f"{len(wrong)} of {len(labels)} wrong; the most confident mistakes", fontsize=11)
    for place, index in enumerate(worst):
        axes = figure.add_subplot(max(1, -(-len(worst) // 6)), 6, place + 1)
        axes.imshow(images[index])
        axes.set_title(
            f"{class_names[predicted[index]]} {confidence[index]:.0%}\nis {class_names[labels[index]]}", fontsize=8
        )
        axes.axis("off")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_bytes(path, buffer.getvalue())
