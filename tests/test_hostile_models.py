"""Model files of strangers: bounded in time, memory and labels, and read into typed values or called damaged."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tflite_models
from typer.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from stranger_cases import tflite_builder as made

from edgeclf.artifact.flatbuffer_reader import Reader
from edgeclf.artifact.graph_bounds import _folded_size, is_predictable, largest_folded_constant, peak_bytes
from edgeclf.artifact.inner_scores import InnerScores, find_inner_scores
from edgeclf.artifact.inspection import inspect_file, weight_statistics
from edgeclf.artifact.label_bounds import LONGEST_LABEL, MOST_CLASSES, check_labels
from edgeclf.artifact.metadata import BUFFER_NAME as METADATA
from edgeclf.artifact.metadata_writer import append_labels, metadata_buffer
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.provenance import BUFFER_NAME, EMPTY_SEAL, LARGEST, read_provenance, seal
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.cli.main import app
from edgeclf.errors import DamagedModelError, InputError, ModelError, RunFailedError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.engine import find_engine
from edgeclf.inference.limits import ModelLimits
from edgeclf.inference.verification import verify

PICTURE = np.zeros((4, 4, 3), np.uint8)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="edgeclf")


def one_line_of(result: Result) -> str:
    """The only line on stderr."""
    (line,) = result.stderr.splitlines()
    return line


# --- time and memory -------------------------------------------------------------------------------------------------


def test_a_model_that_never_ends_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "endless.tflite"
    path.write_bytes(made.endless_model())
    picture = tmp_path / "a.npy"
    program = (
        "import sys, numpy as np\n"
        "from edgeclf.errors import RunFailedError\n"
        "from edgeclf.inference.classifier import Classifier\n"
        "classifier = Classifier(sys.argv[1], input_range=(0, 1))\n"
        "for _ in range(2):\n"
        "    try: classifier.predict(np.zeros((4, 4, 3), np.uint8))\n"
        "    except RunFailedError as error: print(error)\n"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, path, picture],
        env={**_environment(), "EDGECLF_MODEL_SECONDS": "0.5"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # and the process ends, although native code goes on
    assert time.perf_counter() - started < 30
    message = "endless.tflite: one image takes more than 0.5 s, and may never end"
    assert (
        done.stdout.splitlines() == [f"{message}; if it is meant to, set EDGECLF_MODEL_SECONDS to a larger number"] * 2
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def test_loops_are_watched_and_plain_graphs_are_not() -> None:
    assert not is_predictable(parse(made.endless_model()))
    assert not is_predictable(parse(made.folded_model(5)))
    for path in sorted(tflite_models.FOLDER.glob("*.tflite")):
        content = path.read_bytes()
        if path.stem != "upsampling":  # the size of its TRANSPOSE_CONV is computed
            assert is_predictable(parse(content)), path
            session = find_engine("litert").open(ModelFile(content, path.name))
            assert session.invoke.__name__ == "invoke"  # the runtime's own: nothing between it and a stopwatch


def test_graphs_that_call_each_other_in_a_circle_are_damaged() -> None:
    with pytest.raises(DamagedModelError, match="its graphs call each other in a circle"):
        parse(made.self_calling_model())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (made.many_outputs_model(2**26), r"expected at most 250,000 classes, got 67,108,864"),
        (made.understated_model(20_000), "expected a model that needs at most 1,000 MB for one image, got 1,600 MB"),
        (made.folded_model(2**28), "expected a model that needs at most 1,000 MB for one image, got 2,147 MB"),
    ],
    ids=["outputs", "understated", "folded"],
)
def test_models_that_would_fill_the_memory_are_refused(content: bytes, reason: str) -> None:
    assert len(content) < 500_000
    with pytest.raises(ModelError, match=reason):
        Classifier(ModelFile(content, "big.tflite"))


def test_growth_that_only_the_run_shows_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_MODEL_MEGABYTES", "5")
    file = ModelFile(made.many_outputs_model(200_000), "many.tflite")
    assert Classifier(file, input_range=(0, 1)).predict(PICTURE).labels  # 0.8 MB
    grown = ModelFile(made.understated_model(2000), "grown.tflite")  # 16 MB
    with pytest.raises(ModelError, match="at most 5 MB for one image, got 16 MB.*set EDGECLF_MODEL_MEGABYTES"):
        Classifier(grown)
    monkeypatch.setenv("EDGECLF_MODEL_MEGABYTES", "20")
    assert find_engine("litert").open(grown).run(np.zeros((1, 4, 4, 3), np.float32)).shape == (2000, 2000)


def test_an_output_of_another_size_than_the_file_says_is_refused() -> None:
    file = ModelFile(made.understated_model(20), "grown.tflite")
    with pytest.raises(ModelError, match=r"^grown\.tflite: its output has 400 numbers, the file says \d+$"):
        Classifier(file, input_range=(0, 1)).predict(PICTURE)


def test_no_file_claims_a_hundred_thousand_parts() -> None:
    """One table that is named again and again takes four bytes a time."""

    def named(count: int) -> bytes:
        fields = struct.pack("<HHHH", 6, 8, 4, 0)  # of both tables: one field, four bytes behind their start
        table = 24 + 4 + 4 * count
        places = (struct.pack("<I", table - (28 + 4 * number)) for number in range(count))
        root = struct.pack("<iI", 16 - 8, 4) + struct.pack("<I", count) + b"".join(places)
        return struct.pack("<I", 16) + b"TFL3" + fields + root + struct.pack("<iI", table - 8, 0)

    assert len(Reader(named(90_000)).root().tables(0)) == 90_000
    with pytest.raises(DamagedModelError, match="it claims more than 100,000 parts"):
        Reader(named(110_000)).root().tables(0)


def test_statistics_of_many_rows_take_no_minute() -> None:
    random = np.random.default_rng(0)
    for rows, columns in ((300_000, 1), (7, 1000)):
        values = random.integers(-9, 9, (rows, columns), dtype=np.int8)
        tensor = TensorInfo(
            0, "w", values.shape, "int8", np.ones(1, np.float32), np.zeros(1, np.int64), 0, values.shape, False,
            memoryview(values.tobytes()),
        )  # fmt: skip
        began = time.perf_counter()
        found = weight_statistics(tensor)
        assert time.perf_counter() - began < 1
        assert found["distinct_weights_per_channel"] == max(len(np.unique(row)) for row in values[:2000])


def test_limits_come_from_the_environment() -> None:
    assert ModelLimits.from_environment({}) == ModelLimits(60.0, 1000.0)
    assert ModelLimits.from_environment({"EDGECLF_MODEL_SECONDS": "0.5"}).seconds == 0.5
    for wrong in ("0", "-1", "nan", "much"):
        with pytest.raises(InputError, match=f"EDGECLF_MODEL_MEGABYTES must be a number above 0, got '{wrong}'"):
            ModelLimits.from_environment({"EDGECLF_MODEL_MEGABYTES": wrong})


def test_the_peak_counts_what_is_needed_at_the_same_time() -> None:
    graph = parse(tflite_models.bare("float_0_255"))
    largest = max(t.elements for t in graph.tensors if t.data is None)
    assert 4 * largest <= peak_bytes(graph, {}) <= 4 * sum(t.elements for t in graph.tensors if t.data is None)
    assert largest_folded_constant(graph) < 10_000
    assert largest_folded_constant(parse(made.folded_model(1000))) == 1001


# --- labels ----------------------------------------------------------------------------------------------------------


def with_labels(packed: bytes) -> bytes:
    """A file of others with this archive of labels at its end."""
    editor = TfliteEditor(tflite_models.bare("uint8"))
    editor.set_metadata({METADATA: metadata_buffer("m", "m", 16, 16, 3, RAW)}, "m")
    return editor.pack() + packed


def archive(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as written:
        written.writestr("labels.txt", content)
        written.writestr("../../outside.txt", "nobody reads this")
    return stream.getvalue()


def damaged_end(content: bytes, offset: int, value: bytes) -> bytes:
    place = content.rindex(b"PK\x05\x06") + offset
    return content[:place] + value + content[place + len(value) :]


NAMES = "\n".join(tflite_models.DIGIT_NAMES).encode()


def understated_size(packed: bytes) -> bytes:
    """The archive's directory says that its first file has 100 bytes."""
    place = packed.index(b"PK\x01\x02") + 24
    return packed[:place] + (100).to_bytes(4, "little") + packed[place + 4 :]


@pytest.mark.parametrize(
    "packed",
    [
        archive(b"x\n" * (1 << 26)),  # 128 MB in 130 kB
        understated_size(archive(b"x\n" * (1 << 26))),
        archive(NAMES, zipfile.ZIP_LZMA),
        archive(NAMES, zipfile.ZIP_BZIP2),
        archive(b"\xff\xfe"),
        archive(b"x" * (LONGEST_LABEL + 1) + b"\n" * 9),
        archive(b"\n" * (MOST_CLASSES + 1)),
        damaged_end(archive(NAMES), 16, b"\xff\xff\xff\x7f"),  # the directory begins behind the end
        damaged_end(archive(NAMES), 12, b"\xff\xff\xff\xff"),
        archive(NAMES)[:-1],
        archive(NAMES).replace(b"PK\x03\x04", b"PK\x03\x05"),
    ],
)
def test_labels_that_cannot_be_unpacked_are_left_out(packed: bytes) -> None:
    import tracemalloc

    content = with_labels(packed)
    tracemalloc.start()
    try:
        classifier = Classifier(ModelFile(content, "m.tflite"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    assert classifier.labels == tuple(str(i) for i in range(10))
    assert any("cannot be read and is left out" in note for note in classifier.notes)
    assert inspect_file(ModelFile(content, "m.tflite")).integrity == "unverified"


def test_whole_labels_are_read() -> None:
    assert Classifier(ModelFile(with_labels(archive(NAMES)), "m.tflite")).labels == tflite_models.DIGIT_NAMES


@pytest.mark.parametrize("names", ["cat", [1], ["a" * (LONGEST_LABEL + 1)], ["\ud800"], [""] * (MOST_CLASSES + 1), {}])
def test_class_names_are_texts_within_bounds(names: object) -> None:
    with pytest.raises(InputError):
        check_labels(names)


# --- provenance and samples ------------------------------------------------------------------------------------------


def sealed(values: object) -> bytes:
    """A file with any provenance and a seal that fits: a seal is a checksum, everybody can write one."""
    text = values if isinstance(values, bytes) else json.dumps(values).encode()
    if text.startswith(b"{"):
        text = b'{"seal": "' + EMPTY_SEAL + b'"' + (b", " if text != b"{}" else b"") + text[1:]
    else:
        text += b" " + EMPTY_SEAL
    editor = TfliteEditor(tflite_models.bare("uint8"))
    editor.set_metadata({BUFFER_NAME: text, METADATA: metadata_buffer("m", "m", 16, 16, 3, RAW)}, "m")
    return seal(append_labels(editor.pack(), tflite_models.DIGIT_NAMES, EMPTY_SEAL))


def samples(**changes: Any) -> dict[str, Any]:
    one = {"index": 0, "classes": [0, 1], "values": [9, 1]} | {k: v for k, v in changes.items() if k in SAMPLE}
    whole = {"formula": "cells-and-ramp-1", "step": 1, "expected": [one]}
    return {"samples": whole | {k: v for k, v in changes.items() if k not in SAMPLE}}


SAMPLE = ("index", "classes", "values")
ODD = [
    b"[" * 5000,
    b'{"recipe": ' + b"[" * 500 + b"]" * 500 + b"}",
    b'{"recipe": {"x": NaN}}',
    b'{"metrics": {"test": {"top1": 1e999}}}',
    b'{"metrics": {"test": Infinity}}',
    b'{"macs": ' + b"1" * 5000 + b"}",
    b'{"created_by": "\xff"}',
    [], 3, "text", None,
    {"recipe": []}, {"data": "x"}, {"metrics": 3}, {"versions": [1]}, {"preprocessing": None}, {"parameters": "many"},
    {"created_by": 3}, {"input_range": [1]}, {"input_range": [1, 0]}, {"input_range": [0, "1"]},
    {"data": {"class_names": 3}}, {"data": {"class_names": [3]}}, {"data": {"class_names": {"a": 1}}},
    {"data": {"class_names": ["\ud800"]}}, {"data": {"class_names": ["x" * 2000]}},
    {"samples": []}, {"samples": {}}, {"samples": {"expected": 3}}, {"samples": {"formula": 3}},
    samples(step=0), samples(step=-1), samples(step="1"), samples(expected=3), samples(expected=[3]),
    samples(expected=[{}]), samples(index=-1), samples(index=2**70), samples(index="0"), samples(classes=[]),
    samples(classes=[0, 0]), samples(classes=[0, 1, 2]), samples(classes=[-1, 0]), samples(values=[1]),
    samples(values=[1, None]), samples(accepted_steps=0.5), samples(accepted_steps=65), samples(accepted_steps="2"),
]  # fmt: skip


@pytest.mark.parametrize("values", ODD, ids=[f"{position}" for position in range(len(ODD))])
def test_a_provenance_of_odd_shape_is_damage(values: object) -> None:
    file = ModelFile(sealed(values), "odd.tflite")
    assert file.seal_state in ("verified", "damaged")
    assert inspect_file(file).integrity == "damaged"
    inspect_file(file).to_json()
    for use in (verify, Classifier):
        with pytest.raises(DamagedModelError, match=r"^odd\.tflite: .*(provenance|checksum)") as caught:
            use(file)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_odd_values_that_nobody_reads_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(
        sealed({"recipe": {"name": [1]}, "data": {"source": {"a": 1}, "fingerprint": None}, "metrics": {"test": ["x"]}})
    )
    for more in ((), ("--json",)):
        result = run("inspect", path, *more)
        assert (result.exit_code, result.stderr) == (0, "")
    assert run("predict", path, tmp_path).exit_code == 2  # no image there; the model is fine


@pytest.mark.parametrize("values", [samples(expected=[]), {"samples": None}, {}])
def test_verify_without_samples_fails(values: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "none.tflite"
    path.write_bytes(sealed(values))
    result = run("verify", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "none.tflite: carries no samples to verify" in one_line_of(result)
    assert json.loads(run("verify", path, "--json").stdout)["exit_code"] == 2


def test_verify_with_samples_of_classes_that_are_not_there_fails() -> None:
    with pytest.raises(DamagedModelError, match="its samples name classes that it does not have"):
        verify(ModelFile(sealed(samples(classes=[0, 10])), "m.tflite"))


def test_a_sample_of_one_class_is_compared() -> None:
    report = verify(ModelFile(sealed(samples(classes=[0], values=[255])), "m.tflite"))
    assert (report.samples, report.values) == (1, 1)


# --- structure -------------------------------------------------------------------------------------------------------


def test_texts_that_are_claimed_many_times_end() -> None:
    """A thousand tensors may share the bytes of one long name; reading them a thousand times would fill the memory."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    build = flatbuffers.Builder(1024)
    name = build.CreateString("n" * 50_000)
    tensors = []
    for _ in range(1000):
        schema.TensorStart(build)
        schema.TensorAddName(build, name)
        tensors.append(schema.TensorEnd(build))
    schema.SubGraphStartTensorsVector(build, len(tensors))
    for one in tensors:
        build.PrependUOffsetTRelative(one)
    listed = build.EndVector()
    schema.SubGraphStart(build)
    schema.SubGraphAddTensors(build, listed)
    graph = schema.SubGraphEnd(build)
    schema.BufferStart(build)
    empty = schema.BufferEnd(build)
    schema.ModelStartBuffersVector(build, 1)
    build.PrependUOffsetTRelative(empty)
    buffers = build.EndVector()
    schema.ModelStartSubgraphsVector(build, 1)
    build.PrependUOffsetTRelative(graph)
    graphs = build.EndVector()
    schema.ModelStart(build)
    schema.ModelAddBuffers(build, buffers)
    schema.ModelAddSubgraphs(build, graphs)
    build.Finish(schema.ModelEnd(build), b"TFL3")
    content = bytes(build.Output())
    assert len(content) < 100_000
    with pytest.raises(DamagedModelError, match="it claims more text than it has bytes"):
        parse(content)


def test_a_shape_of_very_many_sizes_is_refused_before_they_are_multiplied() -> None:
    file = made.FileBuilder()
    graph = file.graph()
    image, scores = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("t", (2**31 - 1,) * 50_000)
    graph.operator(made.Operators.RESHAPE, [image], [scores])
    graph.ends([image], [scores])
    content = file.content()
    started = time.perf_counter()
    with pytest.raises(DamagedModelError, match="tensor 1 has 50,000 dimensions, expected at most 16"):
        parse(content)
    assert time.perf_counter() - started < 1


def test_constants_that_multiply_to_more_than_a_number_holds_are_infinitely_large() -> None:
    operator = OperatorInfo("WHERE", (0,), (1,), {})
    tensors = tuple(
        TensorInfo(i, "t", (1,), "float32", np.empty(0, np.float32), np.empty(0, np.int64), 0, (1,), False)
        for i in range(2)
    )
    graph = TfliteModel("", tensors, (operator,), (), (1,), {})
    assert _folded_size(graph, operator, [1e192]) == math.inf


def test_heads_without_inputs_have_no_inner_scores() -> None:
    tensors = tuple(
        TensorInfo(i, "t", shape, "float32", np.empty(0, np.float32), np.empty(0, np.int64), 0, shape, False)
        for i, shape in enumerate(((1, 8, 8, 3), (1, 4), (1, 4)))
    )
    alone = TfliteModel("", tensors, (OperatorInfo("SOFTMAX", (), (2,), {}),), (0,), (2,), {})
    assert find_inner_scores(alone) is None
    chain = (OperatorInfo("FULLY_CONNECTED", (), (1,), {}), OperatorInfo("SOFTMAX", (1,), (2,), {}))
    assert find_inner_scores(TfliteModel("", tensors, chain, (0,), (2,), {})) == InnerScores(1)


def test_a_long_chain_of_operators_is_read_quickly() -> None:
    file = made.FileBuilder()
    graph = file.graph()
    tensors = [graph.tensor("image", (1, 4, 4, 3))] + [graph.tensor("t", (1, 48)) for _ in range(5000)]
    for source, target in itertools.pairwise(tensors):
        graph.operator(made.Operators.RESHAPE, [source], [target])
    graph.ends([tensors[0]], [tensors[-1]])
    content = file.content()
    started = time.perf_counter()
    assert ModelFile(content, "long.tflite").shape.scores == "logits"
    assert time.perf_counter() - started < 5


def test_a_failure_inside_a_watched_call_is_raised_where_it_was_called() -> None:
    from edgeclf.inference.watched_call import WatchedCall

    def fail() -> None:
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        WatchedCall(fail, object(), "m", ModelLimits())()
    slow = WatchedCall(lambda: time.sleep(1), object(), "m", ModelLimits(seconds=0.05))
    for _ in range(2):
        with pytest.raises(RunFailedError, match="m: one image takes more than 0.05 s"):
            slow()


def test_a_stopwatch_times_the_call_and_not_its_watch() -> None:
    from edgeclf.inference.watched_call import WatchedCall
    from edgeclf.measure.latency import timed_call

    def compute() -> None: ...

    class Watched:
        invoke = WatchedCall(compute, object(), "m", ModelLimits())

    class Plain:
        invoke = staticmethod(compute)

    assert timed_call(Watched()) is timed_call(Plain()) is compute  # type: ignore[arg-type]


def test_outputs_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    """Softmax of what is divided by zero; a table of «nan %» with exit code 0 would look like a result."""
    path = tmp_path / "nan.tflite"
    path.write_bytes(made.endless_numbers_model())
    pictures = [tmp_path / name for name in ("a.png", "b.png")]
    for picture in pictures:
        cv2.imwrite(str(picture), np.full((8, 8, 3), 7, np.uint8))
    for more in ((), ("--json",)):
        result = run("predict", path, *pictures, "--input-range=0,1", *more)
        assert result.exit_code == 2
        assert sum(line.startswith(str(tmp_path)) for line in result.stderr.splitlines()) == 2
        assert f"{pictures[0]}: what the model computes for it is NaN or infinite" in result.stderr
    assert len(json.loads(result.stdout)["unreadable"]) == 2
    with pytest.raises(RunFailedError, match=r"nan\.tflite, image 0: what the model computes"):
        Classifier(path, input_range=(0, 1)).top1(np.full((1, 4, 4, 3), 7, np.uint8))


def test_bytes_that_many_tensors_share_are_not_counted_again_and_again() -> None:
    file = made.FileBuilder()
    graph = file.graph()
    image, last = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("last", (1, 48))
    weights = np.arange(50_000, dtype=np.int8).reshape(50, 1000)
    shared = [
        graph.tensor(f"weights {i}", (50, 1000), made.Types.INT8, weights if i == 0 else None) for i in range(400)
    ]
    for tensor in shared[1:]:
        graph.made.tensors[tensor].buffer = graph.made.tensors[shared[0]].buffer
    graph.operator(made.Operators.CONCATENATION, [image, *shared], [last])
    graph.ends([image], [last])
    content = file.content()
    assert len(content) < 200_000
    rows = inspect_file(ModelFile(content, "shared.tflite")).tensors
    assert len(rows) == 400
    assert sum(row["sparsity"] is not None for row in rows) == 8


def test_a_provenance_of_many_megabytes_is_refused_before_it_is_parsed() -> None:
    allowed, larger = (b'{"more": "' + b"x" * (LARGEST + more) + b'"}' for more in (-1000, 0))
    assert read_provenance(made.sealed_model(provenance=allowed)) is not None
    with pytest.raises(DamagedModelError, match="its provenance has 17,825,.* bytes, expected at most 17,825,792"):
        read_provenance(made.sealed_model(provenance=larger))


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "compressed"
    folder.mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    os.mkfifo(folder / "a.tflite")
    for path in (tmp_path / "run", folder, folder / "a.tflite", Path("/dev/zero")):
        result = run("inspect", path)
        assert result.exit_code == 2
        assert ".tflite" in one_line_of(result) or "/dev/zero" in one_line_of(result)


def test_a_file_of_terabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vast.tflite"
    with path.open("wb") as stream:
        try:
            stream.truncate(1 << 40)
        except OSError:
            pytest.skip("this file system has no sparse files")
    with pytest.raises(ModelError, match=r"vast\.tflite: expected a model of at most 4,294,967,296 bytes"):
        ModelFile.read(path)


@pytest.mark.parametrize(
    "text",
    ['{"data": {"class_names": 3}}', '{"data": {"class_names": [1]}}', '{"x": NaN}', '{"a": ' * 70 + "1" + "}" * 70],
)
def test_a_run_json_of_odd_shape_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ModelError, match=r"run\.json:? ") as caught:
        RunFolder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_single_number_with_several_scales_is_damaged() -> None:
    file = made.FileBuilder()
    graph = file.graph()
    image, scalar = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("scalar", (), made.Types.INT8, np.int8(1))
    quantized = made.schema.QuantizationParametersT()
    quantized.scale, quantized.zeroPoint = [0.5, 0.5], [0, 0]
    graph.made.tensors[scalar].quantization = quantized
    graph.ends([image], [image])
    with pytest.raises(DamagedModelError, match="tensor 1 is quantized along axis 0 and has 0"):
        parse(file.content())
