"""Accuracy on objects in space against the number of directions that they are seen from, float and int8.

Eight classes of parametric shapes (ball, box, box with a hole, cone, cylinder, tube, torus, pyramid), each object with
proportions, pose, noise and points of its own, drawn from the seed: class folders of clouds, which edgeclf splits. A
network is trained for each number of views, from scratch, and compressed to int8; both are scored on the test split by
object, scores averaged over the views. One view is the plain picture from above.

    python tools/benchmarks/shapes.py                          # 60 clouds a class, 1, 3, 6 and 12 views, three seeds
    python tools/benchmarks/shapes.py --clouds 12 --views 1 3 --epochs 4 --seeds 0     # tried in a minute
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

import edgeclf
from edgeclf.measure.machine import describe_machine

Points = npt.NDArray[np.float64]
POINTS = 1024
NOISE = 0.02
"""Standard deviation of the points' places, of the object's radius."""


def box(rng: np.random.Generator, count: int, hole: float = 0.0) -> Points:
    """Spread points over a box of random sides; with a hole, over what is left of it, and the walls of the hole."""
    half = rng.uniform(0.5, 1.0, 3)
    inner = half[:2] * hole
    areas = [4 * (half[0] * half[1] - inner[0] * inner[1])] * 2
    areas += [4 * half[1] * half[2]] * 2 + [4 * half[0] * half[2]] * 2
    areas += [4 * inner[1] * half[2]] * 2 + [4 * inner[0] * half[2]] * 2
    faces = rng.choice(len(areas), count, p=np.array(areas) / sum(areas))
    points = rng.uniform(-1, 1, (count, 3)) * half
    for face in range(len(areas)):
        here, side = faces == face, 1 - 2 * (face % 2)
        if face < 2:
            points[here, 2] = side * half[2]
            inside = here & (abs(points[:, 0]) < inner[0]) & (abs(points[:, 1]) < inner[1])
            # moved outward along an axis, into the frame around the hole
            points[inside, 0] = np.sign(points[inside, 0]) * rng.uniform(inner[0], half[0], inside.sum())
        else:
            axis = (face // 2 - 1) % 2
            points[here, axis] = side * (half if face < 6 else inner)[axis]
            if face >= 6:
                points[here, 1 - axis] *= hole
    return points


def revolve(profile: list[tuple[float, float]], rng: np.random.Generator, count: int) -> Points:
    """Spread points over what a line of (radius, height) corners sweeps around the z axis, by area."""
    starts, ends = np.array(profile[:-1]), np.array(profile[1:])
    areas = np.linalg.norm(ends - starts, axis=1) * (starts[:, 0] + ends[:, 0])
    part = rng.choice(len(areas), count, p=areas / areas.sum())
    first, last = starts[part, 0], ends[part, 0]
    # the radius grows along a part, and the area with it
    drawn, total = rng.random(count), first + last
    along = np.where(
        abs(last - first) < 1e-9,
        drawn,
        (np.sqrt(first**2 + drawn * total * (last - first)) - first) / np.where(last == first, 1, last - first),
    )
    radius, angle = first + along * (last - first), rng.uniform(0, 2 * np.pi, count)
    height = starts[part, 1] + along * (ends[part, 1] - starts[part, 1])
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def ball(rng: np.random.Generator, count: int) -> Points:
    """Spread points over an ellipsoid, nearly a ball."""
    points = rng.normal(size=(count, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True) * rng.uniform(0.85, 1.15, 3))


def torus(rng: np.random.Generator, count: int) -> Points:
    """Spread points over a torus, by area."""
    thin = rng.uniform(0.2, 0.45)
    around = rng.uniform(0, 2 * np.pi, 4 * count)
    around = around[rng.random(4 * count) < (1 + thin * np.cos(around)) / (1 + thin)][:count]
    angle, radius = rng.uniform(0, 2 * np.pi, len(around)), 1 + thin * np.cos(around)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), thin * np.sin(around)], axis=1)


def pyramid(rng: np.random.Generator, count: int) -> Points:
    """Spread points over a pyramid on a square."""
    tall = rng.uniform(1.2, 2.2)
    slope = np.hypot(tall, 1.0)
    face = rng.choice(5, count, p=np.array([4.0, *[2 * slope / 2 * 2] * 4]) / (4.0 + 8 * slope))
    up, across = 1 - np.sqrt(rng.random(count)), rng.uniform(-1, 1, count)
    corner = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])[np.maximum(face - 1, 0)]
    flat = corner * (1 - up)[:, None] + corner[:, ::-1] * (across * (1 - up))[:, None]
    base = np.concatenate([rng.uniform(-1, 1, (count, 2)), np.zeros((count, 1))], axis=1)
    return np.where((face == 0)[:, None], base, np.concatenate([flat, (up * tall)[:, None]], axis=1))


def round_solid(kind: str) -> Callable[[np.random.Generator, int], Points]:
    """Return what spreads points over a cone, a cylinder or a tube of random height."""

    def spread(rng: np.random.Generator, count: int) -> Points:
        tall, inner = rng.uniform(1.2, 2.4), rng.uniform(0.4, 0.7)
        profiles = {
            "cone": [(0.0, 0.0), (1.0, 0.0), (0.0, tall)],
            "cylinder": [(0.0, 0.0), (1.0, 0.0), (1.0, tall), (0.0, tall)],
            "tube": [(inner, 0.0), (1.0, 0.0), (1.0, tall), (inner, tall), (inner, 0.0)],
        }
        return revolve(profiles[kind], rng, count)

    return spread


SHAPES: dict[str, Callable[[np.random.Generator, int], Points]] = {
    "ball": ball,
    "box": box,
    "box-with-hole": lambda rng, count: box(rng, count, rng.uniform(0.4, 0.7)),
    "cone": round_solid("cone"),
    "cylinder": round_solid("cylinder"),
    "pyramid": pyramid,
    "torus": torus,
    "tube": round_solid("tube"),
}


def draw_rotation(rng: np.random.Generator) -> Points:
    """Draw a rotation, evenly over all of them: float64[3, 3]."""
    found, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    found = found * np.sign(np.diag(upper))
    return np.asarray(found * np.linalg.det(found))


def make_clouds(folder: Path, clouds: int, seed: int) -> None:
    """Write class folders of clouds, float32[1024, 3] each as `.npy`."""
    for number, (name, spread) in enumerate(SHAPES.items()):
        place = folder / name
        place.mkdir(parents=True)
        for cloud in range(clouds):
            rng = np.random.default_rng([seed, number, cloud])
            points = spread(rng, POINTS) @ draw_rotation(rng)
            points -= points.mean(axis=0)
            points += rng.normal(size=points.shape) * NOISE * np.linalg.norm(points, axis=1).max()
            np.save(place / f"{cloud:03}.npy", points.astype(np.float32))


def measure(data: Path, views: int, seed: int, asked: argparse.Namespace, work: Path) -> dict[str, float]:
    """Train, compress and score one network: top-1 on test, fractions, float and int8, and seconds of training."""
    run = work / f"views{views}-{seed}"
    began = time.monotonic()
    trained = edgeclf.train(
        data,
        out=run,
        model=asked.model,
        weights="none",
        image_size=asked.size,
        epochs=max(1, round(asked.epochs * max(asked.views) / views)) if asked.equal_steps else asked.epochs,
        fit=f"views{views}",
        seed=seed,
    )
    seconds = time.monotonic() - began
    edgeclf.compress(run, int8=True)
    report = edgeclf.bench(run, data=data, split="test", runs=10)
    test = trained.metrics["test"]
    int8 = report.models[0].top1
    assert test is not None
    assert int8 is not None
    return {"float": test.top1, "int8": int8, "objects": test.images, "seconds": round(seconds, 1)}


def main() -> None:
    """Print a table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clouds", type=int, default=60, help="a class")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3, 6, 12])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=15, help="of the most views")
    parser.add_argument("--equal-steps", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--size", type=int, default=48, help="of a picture, pixels")
    parser.add_argument("--model", default="resnet8")
    asked = parser.parse_args()
    machine = describe_machine()
    print(f"{machine.processor}, {machine.cores} cores")
    print(f"{asked.clouds} clouds a class, {asked.model} at {asked.size} pixels")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        os.environ["EDGECLF_CACHE"] = str(work / "cache")
        make_clouds(work / "shapes", asked.clouds, seed=0)
        for views in asked.views:
            found = [measure(work / "shapes", views, seed, asked, work) for seed in asked.seeds]
            row = {"views": views} | {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            row |= {f"{key}_std": float(np.std([one[key] for one in found])) for key in ("float", "int8")}
            rows.append(row)
            print(
                f"{views:3d} views: float {row['float']:.1%} ± {row['float_std']:.1%}, int8 {row['int8']:.1%} ± "
                f"{row['int8_std']:.1%} on {row['objects']:.0f} test objects, {row['seconds']:.0f} s of training",
                flush=True,
            )
    print(json.dumps({"cpu": machine.processor, "arguments": vars(asked), "rows": rows}))


if __name__ == "__main__":
    main()
