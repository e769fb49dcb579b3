"""Cases about how pictures and films are turned, and about files that are whole though unusual."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from stranger_cases.case import Finding, case, run_command

Picture = npt.NDArray[np.uint8]
TURNS: dict[int, Callable[[Picture], Picture]] = {
    1: lambda picture: picture,
    2: np.fliplr,
    3: lambda picture: np.rot90(picture, 2),
    4: np.flipud,
    5: lambda picture: np.swapaxes(picture, 0, 1),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: np.rot90(np.swapaxes(picture, 0, 1), 2),
    8: np.rot90,
}
"""EXIF 2.3, table 6, in NumPy's words."""

CELLS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
RGB = np.asarray(cv2.resize(CELLS, (90, 60), interpolation=cv2.INTER_CUBIC), np.uint8)


def saved(kind: str, orientation: int = 1, picture: Picture = RGB) -> bytes:
    """A file with the picture and its orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    options = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif.tobytes()}
    Image.fromarray(picture).save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


@case("orientation", "8 orientations in JPEG, PNG, WebP, TIFF, and AVIF where OpenCV reads it")
def stills(folder: Path) -> Finding:
    """Are pixels those of the unturned file, turned by hand?"""
    from edgeclf.image.decoding import decode

    kinds = ["JPEG", "PNG", "WEBP", "TIFF"]
    if cv2.imdecode(np.frombuffer(saved("AVIF"), np.uint8), cv2.IMREAD_COLOR) is not None:
        kinds.append("AVIF")
    equal = 0
    for kind in kinds:
        (folder / "plain").write_bytes(saved(kind))
        plain = decode(folder / "plain")
        for orientation, turn in TURNS.items():
            (folder / "turned").write_bytes(saved(kind, orientation))
            equal += np.array_equal(decode(folder / "turned"), turn(plain))
    return Finding(f"{8 * len(kinds)} equal by hand", f"{equal} equal ({', '.join(kinds)})", equal == 8 * len(kinds))


@case("orientation", "films of 0, 90, 180, 270 degrees, and mirrored")
def films(folder: Path) -> Finding:
    """Are frames those of the unturned film, turned by hand?"""
    from edgeclf.streaming.camera.sources.registry import choose_source

    def first_frame(name: str) -> Picture:
        source = choose_source(str(folder / name), every_frame=True)
        source.open()
        try:
            return source.read().pixels
        finally:
            source.close()

    writer = cv2.VideoWriter(str(folder / "plain.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 64))
    for _ in range(3):
        writer.write(cv2.resize(RGB, (96, 64)))
    writer.release()
    plain, content = first_frame("plain.mp4"), (folder / "plain.mp4").read_bytes()
    place = content.index(b"tkhd") + 44
    matrices = {1: (1, 0, 0, 1), 6: (0, 1, -1, 0), 3: (-1, 0, 0, -1), 8: (0, -1, 1, 0), 2: (-1, 0, 0, 1)}
    equal = 0
    for orientation, (a, b, c, d) in matrices.items():
        matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        (folder / "film.mp4").write_bytes(content[:place] + matrix + content[place + 36 :])
        equal += np.array_equal(first_frame("film.mp4"), TURNS[orientation](plain))
    return Finding("5 equal by hand", f"{equal} equal", equal == 5)


@case("files", "whole files called damaged: JPEG without end marker, GIF without trailer, big TIFF, bitmaps by masks")
def whole_files(folder: Path) -> Finding:
    """Are they read, with the right pixels?"""
    from edgeclf.image.decoding import decode

    jpeg, gif, tiff = saved("JPEG"), saved("GIF"), io.BytesIO()
    Image.fromarray(RGB).save(tiff, "TIFF", big_tiff=True)
    packed = (RGB.astype(np.uint32) << np.array([0, 8, 16], np.uint32)).sum(-1).astype("<u4")[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 90, 60, 1, 32, 3, 0, 0, 0, 0, 0) + struct.pack(
        "<3I", 0xFF, 0xFF00, 0xFF0000
    )
    rows = RGB[::-1, :, ::-1]
    lines = b"".join(row.tobytes() + bytes(-row.nbytes % 4) for row in rows)
    files = {
        "no-end.jpg": (jpeg[:-2], jpeg),
        "big.tif": (tiff.getvalue(), None),
        "masks.bmp": (b"BM" + struct.pack("<IHHI", 66 + len(packed), 0, 0, 66) + header + packed, None),
        "os2.bmp": (b"BM" + struct.pack("<IHHIIHHHH", 26 + len(lines), 0, 0, 26, 12, 90, 60, 1, 24) + lines, None),
    }
    if cv2.imdecode(np.frombuffer(gif, np.uint8), cv2.IMREAD_COLOR) is not None:
        files["no-trailer.gif"] = (gif[:-1], gif)
    right = []
    for name, (content, same) in files.items():
        (folder / name).write_bytes(content)
        (folder / "same").write_bytes(same or b"")
        expected = decode(folder / "same") if same else RGB
        if np.array_equal(decode(folder / name), expected):
            right.append(name)
    return Finding(f"{len(files)} read rightly", f"{len(right)}: {', '.join(right)}", len(right) == len(files))


@case("files", "a model compiled for an Edge TPU")
def edge_tpu(folder: Path) -> Finding:
    """Are file, operator and remedy named?"""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph, model = schema.SubGraphT(), schema.ModelT()
    for name, shape in (("image", [1, 8, 8, 3]), ("scores", [1, 2])):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.UINT8, 0
        graph.tensors = [*(graph.tensors or []), tensor]
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = "edgetpu-custom-op", 1
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], [code]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / "birds_edgetpu.tflite"
    path.write_bytes(bytes(builder.Output()))
    Image.fromarray(RGB).save(folder / "photo.png")
    done = run_command("predict", path, folder / "photo.png")
    words = ("birds_edgetpu.tflite", "Edge TPU", "edgetpu-custom-op", "such as birds.tflite")
    right = done.code == 2 and all(word in done.stderr for word in words) and done.stderr.count("\n") == 1
    return Finding("exit 2: file, operator, remedy", f"exit {done.code}: {done.stderr.strip()[:60]}", right)
