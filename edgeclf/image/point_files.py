"""Reads the points of an object: clouds and meshes in PLY, OFF and STL, arrays of N x 3 numbers in NumPy's `.npy`.

A mesh becomes points that are spread over its faces by area, with a fixed seed. Numbers of points and faces are bounded
before anything is allocated for them. PLY, OFF and STL are parsed by trimesh (the extra `3d`).
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import tokenize
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import ImageError
from edgeclf.extras import installed, require

POINT_SUFFIXES = frozenset({".ply", ".off", ".stl", ".npy"})
OBJECT_SUFFIXES = POINT_SUFFIXES | {".png"}
"""Points and meshes, and depth frames of 16 bits."""

MAX_POINTS = 5_000_000
MAX_FACES = 5_000_000
MAX_BYTES = 512 << 20
FEWEST_POINTS = 3
SAMPLED_POINTS = 16_384
"""Points that are spread over a mesh."""
SAMPLING_SEED = 0
_HEADER_BYTES = 64 << 10
_LINE_ENDS = (b"\n", b"\r", b"\v", b"\f", b"\x1c", b"\x1d", b"\x1e", b"\x85", b"\xa8", b"\xa9")
"""Of what `str.splitlines` splits at, the (last) byte; in a file of numbers it stands for nothing else."""
_MORE_LINES = 10_000
"""Lines of header and comments, beside two for each point and face."""
_PLY_ELEMENT = re.compile(rb"\s*element\s+(\w+)\s+(\d{1,15})\s*")
_PLY_OTHER = re.compile(rb"\s*(?:format|property|comment|obj_info)\s")
_READING_ERRORS = (
    ValueError, TypeError, LookupError, NameError, AttributeError, ArithmeticError, MemoryError, EOFError,
    StopIteration, AssertionError, RecursionError, struct.error, OSError, ImportError, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""What parsers raise about a damaged file."""

Points = npt.NDArray[np.float64]


def is_point_file(path: str) -> bool:
    """Return whether a file holds an object by its name."""
    return os.path.splitext(path)[1].lower() in POINT_SUFFIXES


def check_point_readers(paths: Iterable[str]) -> None:
    """Raise MissingExtraError where one of the files needs trimesh and that is not installed."""
    found = next((path for path in paths if not path.lower().endswith(".npy")), None)
    if found is not None:
        require(f"reading {os.path.splitext(found)[1].lower()} files", "trimesh")


def point_reader_identity() -> str:
    """Return what decides, beside the content of a file, about its points."""
    if not installed("trimesh"):
        return "no trimesh"
    import trimesh

    return f"trimesh {trimesh.__version__}"


def name_point_format(content: bytes) -> str | None:
    """Return `NPY`, `PLY`, `OFF` or `STL` where a content begins as such a file does; None: it does not."""
    if content[:6] == b"\x93NUMPY":
        return "NPY"
    start = content[:4096].lstrip()
    if start[:3] == b"ply" and start[3:4].isspace():
        return "PLY"
    if re.match(rb"(?:#[^\n]*\n\s*)*C?OFF(?:\s|\d)", start):
        return "OFF"
    if len(content) >= 84 and 84 + 50 * struct.unpack_from("<I", content, 80)[0] == len(content):
        return "STL"
    return "STL" if start[:5].lower() == b"solid" else None


def read_points(content: bytes) -> Points:
    """Read the points of an object: float64[N, 3], finite, at least 3 of them.

    Args:
        content: all bytes of the file.

    Raises:
        ImageError: it is no such file, damaged, or too large; the message is the reason alone.
        MissingExtraError: trimesh is needed and not installed.
    """
    if not content:
        raise ImageError("the file is empty (zero bytes)")
    kind = name_point_format(content)
    if kind is None:
        raise ImageError("its content is of no known format for points (PLY, OFF, STL, NPY)")
    if len(content) > MAX_BYTES:
        raise ImageError(f"the file has {len(content) >> 20} MB, at most {MAX_BYTES >> 20} are read")
    points = _read_array(content) if kind == "NPY" else _read_mesh(content, kind)
    return check_points(points, kind)


def check_points(points: npt.NDArray[Any], kind: str) -> Points:
    """Return points as float64[N, 3].

    Args:
        points: numbers.
        kind: what they are from, for the message.

    Raises:
        ImageError: they are not N x 3 finite numbers, or fewer than 3 or more than `MAX_POINTS` points.
    """
    if points.dtype.kind not in "fiu" or points.ndim != 2 or points.shape[1] != 3:
        raise ImageError(f"expected an array of N x 3 numbers, got {points.dtype}{list(points.shape)}")
    if len(points) < FEWEST_POINTS:
        raise ImageError(f"the {kind} has {len(points)} points, at least {FEWEST_POINTS} are needed")
    _check_counts(kind, len(points), 0)
    found = np.asarray(points, np.float64)
    if not np.isfinite(found).all():
        raise ImageError(f"the {kind} has coordinates that are NaN or infinite")
    return found


def _read_array(content: bytes) -> Points:
    """Read an array of NumPy's own format, without pickles, which could run code."""
    stream = io.BytesIO(content)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            raise ImageError(f"the NPY has version {version[0]}.{version[1]}, expected 1.0 or 2.0")
        shape, columns_first, dtype = readers[version](stream)
    except _READING_ERRORS as error:
        raise _damaged("NPY", error) from error
    if dtype.kind not in "biuf" or len(shape) != 2 or shape[1] != 3 or shape[0] < 0:
        raise ImageError(f"expected an array of N x 3 numbers, got {dtype}{list(shape)}")
    _check_counts("NPY", shape[0], 0)
    start, size = stream.tell(), int(shape[0]) * 3 * dtype.itemsize
    if len(content) < start + size:
        raise ImageError(f"the file is cut: {len(content)} of {start + size} bytes are there")
    values = np.frombuffer(content, dtype, shape[0] * 3, start)
    return check_points(values.reshape(shape, order="F" if columns_first else "C"), "NPY")


def _read_mesh(content: bytes, kind: str) -> Points:
    require(f"reading .{kind.lower()} files", "trimesh")
    expected = _COUNTS[kind](content)
    vertices, faces = _parse(content, kind)
    if len(vertices) < expected[0] or len(faces) < expected[1]:
        raise ImageError("the file is cut: it has fewer points or faces than its header states")
    _check_counts(kind, len(vertices), len(faces))
    if not len(faces):
        return vertices
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ImageError(f"the {kind} is damaged: a face names a point that is not there")
    return _spread(vertices[faces])


def _parse(content: bytes, kind: str) -> tuple[Points, npt.NDArray[np.int64]]:
    from trimesh.exchange.off import load_off
    from trimesh.exchange.ply import load_ply
    from trimesh.exchange.stl import HeaderError, load_stl

    stream = io.BytesIO(content)
    try:
        with np.errstate(all="ignore"):
            if kind == "PLY":
                found = load_ply(stream, fix_texture=False, skip_materials=True)
            else:
                found = load_off(stream) if kind == "OFF" else load_stl(stream)
            # an STL of several solids
            parts = list(found["geometry"].values()) if "geometry" in found else [found]
            vertices = [np.asarray(part["vertices"], np.float64).reshape(-1, 3) for part in parts]
            faces = [_triangles(part.get("faces")) for part in parts]
    except (*_READING_ERRORS, HeaderError) as error:
        if isinstance(error, ImageError):
            raise
        raise _damaged(kind, error) from error
    if not vertices:
        raise ImageError(f"the {kind} has no points in it")
    starts = np.cumsum([0, *map(len, vertices[:-1])])
    joined = [part + start for part, start in zip(faces, starts, strict=True)]
    return np.concatenate(vertices), np.concatenate(joined)


def _triangles(faces: Any) -> npt.NDArray[np.int64]:
    """Return faces as int64[N, 3]; those of more corners are cut into triangles, fans around their first corner."""
    found = np.asarray([] if faces is None else faces, np.int64)
    if not found.size:
        return np.empty((0, 3), np.int64)
    if found.ndim != 2 or found.shape[1] < 3:
        raise ValueError(f"faces of the shape {list(found.shape)}")
    cuts = found.shape[1] - 2
    _check_counts("mesh", 0, len(found) * cuts)
    corners = np.arange(1, cuts + 1)
    fan = np.stack([corners, corners + 1, np.zeros_like(corners)], axis=1)
    fan[0] = 0, 1, 2
    triangles: npt.NDArray[np.int64] = found[:, fan].swapaxes(0, 1).reshape(-1, 3)
    return triangles


def _spread(triangles: npt.NDArray[np.float64]) -> Points:
    """Spread points over triangles, float64[N, 3, 3], in proportion to their areas, evenly within each."""
    if not np.isfinite(triangles).all():
        raise ImageError("a face has coordinates that are NaN or infinite")
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    largest = max(np.abs(first).max(), np.abs(second).max())
    if not 0 < largest < math.inf:
        raise ImageError("all its faces are without area")
    normals = np.cross(first / largest, second / largest)
    areas = np.sqrt((normals**2).sum(axis=1))
    if not areas.sum() > 0:
        raise ImageError("all its faces are without area")
    draw = np.random.default_rng(SAMPLING_SEED).random((SAMPLED_POINTS, 3))
    ends = np.cumsum(areas)
    chosen = np.searchsorted(ends, draw[:, 0] * ends[-1], side="right").clip(max=len(areas) - 1)
    along, across = draw[:, 1], draw[:, 2]
    outside = along + across > 1
    along, across = np.where(outside, 1 - along, along), np.where(outside, 1 - across, across)
    return np.asarray(triangles[chosen, 0] + along[:, None] * first[chosen] + across[:, None] * second[chosen])


def _check_counts(kind: str, points: int, faces: int) -> None:
    if points > MAX_POINTS or faces > MAX_FACES:
        raise ImageError(
            f"the {kind} has {points:,} points and {faces:,} faces, at most {MAX_POINTS:,} and {MAX_FACES:,} are read; "
            "simplify it"
        )


def _check_lines(kind: str, content: bytes, rows: int) -> None:
    """Refuse a file of text with many more lines than its header states, each of which becomes a text or an array."""
    if sum(map(content.count, _LINE_ENDS)) > 2 * rows + _MORE_LINES:
        raise ImageError(f"the {kind} is damaged: it has many more lines than points and faces")


def _count_ply(content: bytes) -> tuple[int, int]:
    end = re.search(rb"(?:^|\s)end_header\s", content[:_HEADER_BYTES])
    if end is None:
        raise ImageError("the file is cut within its header")
    counts: dict[bytes, int] = {}
    for line in content[: end.start()].splitlines()[1:]:
        if found := _PLY_ELEMENT.fullmatch(line):
            counts[found[1]] = int(found[2])
        elif line.strip() and not _PLY_OTHER.match(line):
            raise ImageError("the PLY is damaged: its header has a line that is none of such a file")
    _check_counts("PLY", max(counts.values(), default=0), 0)
    rows = sum(counts.values())
    if rows > len(content) - end.end():  # each takes a byte at least
        raise ImageError("the file is cut: it has fewer bytes than points and faces")
    if b"ascii" in b"".join(content[: end.start()].lower().split(b"\n", 2)[1:2]):  # as trimesh looks at it
        _check_lines("PLY", content, rows)
    return counts.get(b"vertex", 0), counts.get(b"face", 0)


def _count_off(content: bytes) -> tuple[int, int]:
    text = re.sub(rb"#[^\n]*", b"", content[:_HEADER_BYTES]).lstrip()
    found = re.match(rb"C?OFF\s*(\d{1,15})\s+(\d{1,15})", text)
    if found is None:
        raise ImageError("the OFF is damaged: expected the numbers of points and faces behind OFF")
    points, faces = int(found[1]), int(found[2])
    _check_counts("OFF", points, faces)
    if 2 * (points + faces) > len(content):
        raise ImageError("the file is cut: it has fewer bytes than points and faces")
    _check_lines("OFF", content, points + faces)
    return points, faces


def _count_stl(content: bytes) -> tuple[int, int]:
    binary = len(content) >= 84 and 84 + 50 * struct.unpack_from("<I", content, 80)[0] == len(content)
    faces = (len(content) - 84) // 50 if binary else content.count(b"endfacet") + content.count(b"ENDFACET")
    _check_counts("STL", 3 * min(faces, MAX_FACES // 3), faces)
    if not binary and b"endsolid" not in content[-4096:].lower():
        raise ImageError("the file is cut: it is neither a whole binary STL nor one of text up to its endsolid")
    return 0, faces


_COUNTS: dict[str, Callable[[bytes], tuple[int, int]]] = {"PLY": _count_ply, "OFF": _count_off, "STL": _count_stl}


def _damaged(kind: str, error: BaseException) -> ImageError:
    if isinstance(error, ImageError):
        return error
    return ImageError(f"the {kind} cannot be read ({' '.join(str(error).split())[:120] or type(error).__name__})")
