"""Train a PyTorch network on photos, and export it as the float `.tflite` that edgeclf quantizes.

PyTorch lives in an environment of its own:

    python -m venv torch-env && torch-env/bin/pip install torch litert-torch pillow
    torch-env/bin/python examples/pytorch_model.py photos birds.tflite --size 96

`photos` has the folders train/CLASS, validation/CLASS and test/CLASS, of which the network sees train alone. edgeclf,
in an environment of its own, fits probabilities on validation, and measures on test:

    edgeclf compress birds.tflite --int8 --data photos --normalize torch --out small
    edgeclf bench small/birds-int8.tflite --data photos --baseline birds.tflite --normalize torch

The names of the classes lie beside the file, in birds_labels.txt, where edgeclf finds them. Channels may stay first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import litert_torch
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what `--normalize torch` stands for


class Residual(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.long = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.short = nn.Identity() if stride == 1 and inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute float32[N, outputs, H / stride, W / stride]."""
        return torch.relu(self.long(x) + self.short(x))


def network(classes: int) -> nn.Module:
    """Make a small residual network; any other `nn.Module` would do, from torchvision or timm as well."""
    layers = [nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def load(folder: Path, size: int) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Load the photos of class folders: float32[N, 3, size, size], int64[N], and the names of the classes."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            # BOX averages when shrinking, as edgeclf does; pixels of another filter would be others
            photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB").resize((size, size), Image.Resampling.BOX)
            images.append((np.asarray(photo, np.float32) / 255 - MEAN) / STD)
            labels.append(label)
    pixels = torch.tensor(np.stack(images), dtype=torch.float32).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.tensor(labels), names


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """Fit `model` to the images."""
    batches = -(-len(images) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * batches)
    model.train()
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(images)).chunk(batches):
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch + 1}: loss {total / len(images):.3f}")


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args()

    torch.manual_seed(0)
    images, labels, names = load(given.photos / "train", given.size)
    model = network(len(names))
    train(model, images, labels, given.epochs)
    # probabilities out, as every client expects; images come one at a time
    finished = nn.Sequential(model, nn.Softmax(1)).eval()
    litert_torch.convert(finished, (images[:1],)).export(str(given.out))
    given.out.with_name(f"{given.out.stem}_labels.txt").write_text("".join(f"{name}\n" for name in names))


if __name__ == "__main__":
    main()
