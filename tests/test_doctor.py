"""`inspect --doctor` names the planted cause of slow, fat and inaccurate models, and nothing in sound ones."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tflite_models
from command_line import document, edgeclf
from planted_models import PLANTED, SOUND, lossy_layer, sound_int8, whole
from rich.console import Console

import edgeclf as package
from edgeclf.artifact.float_twin import make_float
from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.tflite import parse
from edgeclf.cli.rendering_doctor import render_diagnosis
from edgeclf.doctor.diagnosis import find_float_model
from edgeclf.doctor.drawn_input import draw_input
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.findings import (
    CHECKS,
    bloat,
    clipped_ranges,
    duplicate_constants,
    float_islands,
    float_weights,
    input_scaling,
    large_input,
    outside_delegate,
    slow_kernels,
    thread_count,
    unread_outputs,
    unused_zeros,
)
from edgeclf.doctor.findings import lossy_layer as lossy
from edgeclf.doctor.findings.lossy_layer import LayerNoise
from edgeclf.doctor.findings.slow_kernels import SlowOperator
from edgeclf.doctor.operator_times import time_operators
from edgeclf.doctor.report import DoctorReport, Finding, OperatorTime
from edgeclf.doctor.timing import Ratio, Turns
from edgeclf.errors import InputError, ModelError
from edgeclf.image.shape import InputShape
from edgeclf.inference.engine import TensorSpec
from edgeclf.inference.litert import LITERT
from edgeclf.measure.speed import measure_speed
from edgeclf.measure.stopwatch import undisturbed
from edgeclf.progress import SILENT

TIMED = (
    "float-islands",
    "operators-outside-the-delegate",
    "zeros-that-no-kernel-uses",
    "int4-kernels",
    "int16-kernels",
    "input-scaling-as-a-layer",
)
"""Found by the time that something takes; the others by what lies in the file, or by what it computes."""


def causes(report: DoctorReport) -> list[str]:
    return [finding.cause for finding in report.findings]


def write(folder: Path, content: bytes, name: str = "model") -> Path:
    path = folder / f"{name}.tflite"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures of 32 pixels in two classes: soft blobs with noise."""
    folder, numbers = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for index in range(24):
        coarse = numbers.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        image = cv2.resize(coarse, (32, 32), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image = np.clip(image + numbers.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)
        place = folder / ("airplane", "cat")[index % 2] / f"{index}.png"
        place.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(place), image)
    return folder


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("cause", [*TIMED, "outputs-that-nobody-reads"])
def test_what_costs_time_is_named_first(cause: str, tmp_path: Path) -> None:
    report = package.diagnose(write(tmp_path, PLANTED[cause]()))
    planted = [found for found in causes(report) if found not in slow_kernels.DEPENDS_ON_PROCESSOR]
    assert cause in planted[:2]
    (finding,) = [finding for finding in report.findings if finding.cause == cause]
    assert finding.measured
    assert finding.fraction is not None
    assert 0 < finding.fraction <= 1
    assert finding.command.startswith("edgeclf ")
    assert DoctorReport.from_json(report.to_json()) == report


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_sound_model(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, SOUND[name]())
    report = package.diagnose(path)
    slow = [found for found in causes(report) if found in slow_kernels.DEPENDS_ON_PROCESSOR]
    assert causes(report) == slow
    if slow:  # true where the processor has no fast int8 kernels, and only there
        twin = Examination(ModelFile.read(path)).float_twin
        assert twin is not None
        assert measure_speed(ModelFile.read(path), twin).times_as_fast < 1
    assert {*report.checked, *report.unchecked} == {*CHECKS}
    assert len(report.checked) == len(CHECKS) - len(report.unchecked)
    assert set(report.unchecked) == {"thread count", "input larger than needed", "a layer that carries the loss"}
    # each operator alone, and all in a row: twice apart is a busy machine, ten times a wrong measurement
    assert 0.1 < report.sum_ms / report.whole_ms < 10


@pytest.mark.parametrize("cause", [name for name in PLANTED if name not in TIMED and name[:7] != "outputs"])
def test_what_costs_bytes_or_accuracy_is_named_first(cause: str, tmp_path: Path) -> None:
    examination = Examination(ModelFile.read(write(tmp_path, PLANTED[cause]())))
    with undisturbed():
        checked = [CHECKS[name] for name in CHECKS if name not in _BY_TIME]
        found = [finding.cause for check in checked for finding in check(examination)]
    assert found[:1] == [cause]


_BY_TIME = (
    "operators outside the delegate",
    "float islands",
    "outputs that nobody reads",
    "kernels slower than float",
    "zeros that no kernel uses",
    "thread count",
)


def test_a_layer_is_named_beside_the_float_model(tmp_path: Path, photos: Path) -> None:
    float_model = ModelFile.read(write(tmp_path, whole(sound_int8(), make_float), "float32"))
    findings = []
    for content in (lossy_layer(), sound_int8()):
        examination = Examination(ModelFile(content, "int8"), data=photos, baseline=float_model)
        findings.append(lossy.find_lossy_layer(examination))
        assert examination.notes == []
    (finding,), nothing = findings
    assert nothing == []
    # operator 9 is the planted one; its tensor is the 6th activation of the network
    assert (
        f"The layer {parse(lossy_layer()).tensors[parse(lossy_layer()).operators[9].outputs[0]].name}"
        in finding.sentence
    )
    other = Examination(
        ModelFile(sound_int8(), "int8"), data=photos, baseline=ModelFile(SOUND["small float32"](), "other")
    )
    assert lossy.find_lossy_layer(other) == []
    assert "is not of the same network" in other.notes[0]
    assert other.skipped == {lossy.CHECK}
    assert "int8 computes in float itself" in lossy.explain_difference(
        ModelFile(SOUND["small float32"](), "int8"), float_model
    )


def test_layers_with_other_weights_are_not_compared() -> None:
    plain = ModelFile(tflite_models.packaged("float_0_1", recipe={"steps": []}), "plain")

    def explain(**recipe: object) -> str:
        return lossy.explain_difference(ModelFile(tflite_models.packaged("int8", recipe=recipe), "m"), plain)

    assert explain(steps=[]) == ""
    assert "m was made with prune+qat, plain otherwise, so that their layers differ" in explain(
        steps=[{"kind": "prune"}, {"kind": "qat"}]
    )
    assert explain(steps="prune") == explain(steps=[1], export=[]) == ""
    assert "m was equalized" in explain(steps=[], export={"equalization": True})


def test_the_float_model_of_a_run_has_the_weights_that_were_trained(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "compressed"
    folder.mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    for name, steps in (("prune50-float32", [{"kind": "prune"}]), ("float32", [])):
        recipe = {"name": name, "steps": steps}
        (folder / f"run-{name}-1a2b3c.tflite").write_bytes(tflite_models.packaged("float_0_1", recipe=recipe))
    assert find_float_model(tmp_path / "run").name == "run-float32-1a2b3c.tflite"
    assert find_float_model(tmp_path / "run", [{"kind": "prune"}]).name == "run-prune50-float32-1a2b3c.tflite"
    (folder / "run-float32-1a2b3c.tflite").unlink()
    with pytest.raises(ModelError, match="no float model in it; run: edgeclf compress"):
        find_float_model(tmp_path / "run")


def test_an_input_with_channels_first_is_examined(tmp_path: Path, photos: Path) -> None:
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 3, 16, 16))])
    def network(image: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.reduce_mean(image, (2, 3)) @ weights)

    function = network.get_concrete_function()
    content = bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    examination = Examination(ModelFile(content, "first"), data=photos, normalization=RAW)
    assert {tensor.shape for tensor in examination.input_tensors} == {(1, 3, 16, 16)}
    assert examination.session.run(examination.input_tensors[0]).shape == (1, 10)


def test_photos_smaller_than_the_input_are_named(tmp_path: Path, photos: Path) -> None:
    wide = write(tmp_path, SOUND["cifar10"]())
    assert large_input.find_large_input(Examination(ModelFile.read(wide), data=photos)) == []
    for place in photos.rglob("*.png"):
        small = tmp_path / "small" / place.parent.name / place.name
        small.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(small), cv2.resize(cv2.imread(str(place)), (16, 16), interpolation=cv2.INTER_AREA))
    (finding,) = large_input.find_large_input(Examination(ModelFile.read(wide), data=tmp_path / "small"))
    assert (finding.cause, finding.measured, finding.fraction) == (large_input.CAUSE, False, 0.75)
    assert "computes on 32 pixels a side, and the median photo has 16" in finding.sentence
    assert finding.command == "edgeclf train DATA --image-size 16"


def test_an_input_holds_what_the_fit_brings_into_it() -> None:
    # of 100 x 400 pixels a square of 200 stretches one axis, and halves the other
    for fit, scale in (("stretch", 2.0), ("pad", 2.0), ("crop", 0.5)):
        assert large_input._scale(InputShape(200, 200, fit), 100, 400) == scale


def test_a_side_is_recommended_that_a_network_can_have() -> None:
    halved, entry = large_input.decide(100, 400.0, 0.5) + large_input.decide_enlargement(28, 56)
    assert halved.command == "edgeclf train DATA --image-size 56"
    assert entry.command == "edgeclf train DATA --image-size 32"


def test_pictures_that_were_enlarged_have_no_detail() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    enlarged = np.stack([cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC) for image in noise])
    sharp, soft = large_input.measure_detail(noise), large_input.measure_detail(enlarged)
    assert sharp > 20
    assert soft < sharp / 10


@pytest.mark.slow
@pytest.mark.alone
def test_more_threads_than_cores_are_named() -> None:
    examination = Examination(ModelFile.read(locate_model("cifar10")), threads=64)
    with undisturbed():
        (finding,) = thread_count.find_thread_count(examination)
    assert finding.cause == thread_count.CAUSE
    assert {time.threads for time in examination.thread_times} >= {1, 64}
    assert re.search(r" --threads [12481]\d?$", finding.command)


@pytest.mark.alone
def test_operators_are_timed_alone_in_proportion_to_their_work(tmp_path: Path) -> None:
    """Of a ResNet-8 the convolutions have nearly all of the multiply-accumulates, and take most of the time."""
    examination = Examination(ModelFile(sound_int8(), "int8"))
    with undisturbed():
        found = time_operators(examination.cutter, examination.tensors, examination.delegated, LITERT.open, SILENT)
    assert [operator.number for operator in found] == list(range(17))
    assert sum(operator.fraction or 0 for operator in found) == pytest.approx(1, abs=0.01)
    assert sum(operator.fraction or 0 for operator in found if operator.name == "CONV_2D") > 0.5
    assert [operator.name for operator in found if not operator.delegated] == ["QUANTIZE", "SOFTMAX", "QUANTIZE"]


def test_an_operator_cut_out_computes_what_it_computes_in_the_model() -> None:
    examination = Examination(ModelFile(SOUND["small uint8"](), "uint8"))
    for number, operator in enumerate(examination.graph.operators):
        cut = examination.cutter.cut([number])
        session = LITERT.open(ModelFile(cut.content, "cut"))
        (entry,) = cut.inputs
        made = session.run(examination.tensors[entry])
        expected = examination.tensors[operator.outputs[0]]
        assert np.abs(made.astype(np.int64) - expected.astype(np.int64)).max() <= 1, operator.name


def test_operators_alone_have_their_weights_as_the_whole_model_has() -> None:
    for name, as_stored in (("int4", False), ("int4_shared", True)):
        examination = Examination(ModelFile(tflite_models.bare(name), name))
        narrow = {tensor.index for tensor in examination.graph.tensors if tensor.dtype == "int4"}
        (number,) = (n for n, op in enumerate(examination.graph.operators) if narrow & set(op.inputs))
        session = examination.open(ModelFile(examination.cutter.cut([number]).content, "cut"))
        assert session.as_stored is examination.session.as_stored is as_stored


def test_the_float_twin_computes_nearly_the_same() -> None:
    examination = Examination(ModelFile(sound_int8(), "int8"))
    twin = examination.float_twin
    assert twin is not None
    assert {tensor.dtype for tensor in twin.graph.tensors} == {"float32", "int32"}
    session = LITERT.open(twin)
    for tensor in examination.input_tensors:
        real = session.run(examination.as_input_of(session, tensor))
        np.testing.assert_allclose(real.sum(), 1, atol=1e-5)
        np.testing.assert_allclose(real[0], examination.session.run(tensor)[0] / 256, atol=0.15)


def test_graphs_with_parts_of_other_libraries_are_not_cut() -> None:
    cutter = GraphCutter((Path(__file__).parent / "tflite" / "upsampling.tflite").read_bytes())
    with pytest.raises(ModelError, match=r"no float twin of PACK, SHAPE|no float twin of PACK"):
        cutter.cut(range(len(cutter.graph.operators)), make_float)


# Decisions by numbers alone.


def operator_time(name: str, fraction: float) -> OperatorTime:
    return OperatorTime(0, name, "t", "int8", False, 0, 100 * fraction, fraction)


def turns(*medians: float) -> Turns:
    """Nine rounds that differ by 2 %."""
    rounds = np.outer(medians, np.linspace(0.99, 1.01, 9))
    return Turns(rounds, rounds)


EVEN, SLOWER = Ratio(1.0, 0.97, 1.03), Ratio(1.3, 1.2, 1.4)
DECIDED: dict[str, tuple[list[Finding], list[Finding]]] = {
    "float-weights": (
        float_weights.decide(150_000, 210_000, 200_000, "RUN"),
        float_weights.decide(50_000, 70_000, 66_000, "RUN"),
    ),
    "metadata-bloat": (bloat.decide(50_000, 150_000, {"LOG": 40_000}, "RUN"), bloat.decide(15_000, 30_000, {}, "RUN")),
    "duplicate-constants": (
        duplicate_constants.decide(2, 8_000, 100_000, "RUN"),
        duplicate_constants.decide(1, 3_000, 9_000, "RUN"),
    ),
    "operators-outside-the-delegate": (
        outside_delegate.decide([operator_time("CUMSUM", 0.3)], 0.3, 300, "RUN"),
        outside_delegate.decide([operator_time("SOFTMAX", 0.3)], 0.3, 2, "RUN"),
    ),
    "float-islands": (float_islands.decide(2, 0.12, ["RELU"], "RUN"), float_islands.decide(1, 0.03, ["RELU"], "RUN")),
    "outputs-that-nobody-reads": (unread_outputs.decide(3, 0.2, 2, "RUN"), unread_outputs.decide(1, 0.01, 1, "RUN")),
    "slow-depthwise-int8": (
        slow_kernels.decide("slow-depthwise-int8", [SlowOperator(0.4, 1.8, 1.6, 120)], "RUN"),
        # as slow in the median, but the interval reaches down to hardly slower
        slow_kernels.decide("slow-depthwise-int8", [SlowOperator(0.4, 1.8, 1.1, 120)], "RUN"),
    ),
    "zeros-that-no-kernel-uses": (
        unused_zeros.decide(0.5, EVEN, 100, 60, "RUN"),
        unused_zeros.decide(0.8, Ratio(0.6, 0.55, 0.7), 100, 30, "RUN"),
    ),
    "thread-count": (
        thread_count.decide((1, 2, 4), turns(1, 0.8, 1.5), 4, "m"),
        thread_count.decide((1, 2, 4), turns(1, 0.8, 0.9), 4, "m"),
    ),
    "input-larger-than-needed": (
        large_input.decide(224, 96.0, 5.0) + large_input.decide_enlargement(32, 64),
        # 32 pixels hold 25, and 24 are too few
        large_input.decide(160, 400.0, 3.6) + large_input.decide(32, 25.0, 5.0) + large_input.decide(22, 17.0, 5.0),
    ),
    "input-scaling-as-a-layer": (
        input_scaling.decide(0.08, 140.0, "RUN"),
        input_scaling.decide(0.02, 4.0, "RUN"),
    ),
    "clipped-ranges": (
        clipped_ranges.decide(clipped_ranges.Clipping("t", 0.2, 3, 0.1, 100), "the images", "RUN"),
        clipped_ranges.decide(clipped_ranges.Clipping("t", 0.2, 3, 0.125, 8), "the samples", "RUN"),  # one picture
    ),
    "layer-that-carries-the-loss": (
        lossy.decide([LayerNoise(f"l{n}", db) for n, db in enumerate((38, 36, 8, 37))], 0.1, "RUN"),
        lossy.decide([LayerNoise(f"l{n}", db) for n, db in enumerate((38, 36, 8, 37))], 0.0, "RUN"),  # nothing was lost
    ),
}


@pytest.mark.parametrize("cause", DECIDED)
def test_a_decision_follows_from_the_numbers(cause: str) -> None:
    found, nothing = DECIDED[cause]
    assert nothing == []
    assert {finding.cause for finding in found} == {cause}
    for finding in found:
        assert finding.sentence.endswith(".")
        assert re.search(r"\d", finding.sentence)
        assert finding.severity in ("high", "medium", "low")


def test_slow_int8_is_not_named_where_the_whole_model_is_no_faster_in_float() -> None:
    found = [Finding.rated(cause, "time", 0.3, "s.", "edgeclf") for cause in ("slow-int8", "int16-kernels")]
    kept = slow_kernels.confirm(found, Ratio(1.02, 0.98, 1.06))
    assert [(finding.cause, finding.sentence) for finding in kept] == [
        ("int16-kernels", "s. The model as a whole takes 1 times as long as its float twin.")
    ]
    assert len(slow_kernels.confirm(found, Ratio(1.3, 1.2, 1.4))) == 2


def test_every_command_exists_with_its_options() -> None:
    from edgeclf.cli import compress, predict, train

    known = {
        name: {word for table in module.COMMAND.tables for option in table.options for word in option.typed.split("/")}
        for name, module in (("compress", compress), ("predict", predict), ("train", train))
    }
    for found, _ in DECIDED.values():
        for finding in found:
            program, command, *words = finding.command.split()
            assert program == "edgeclf"
            assert {word for word in words if word.startswith("--")} <= known[command]


def test_severity_follows_the_fraction() -> None:
    made = [Finding.rated("c", "time", fraction, "s.", "edgeclf").severity for fraction in (0.3, 0.15, 0.05)]
    assert made == ["high", "medium", "low"]


# The command.


def test_the_command_prints_findings_and_their_commands(tmp_path: Path) -> None:
    path = write(tmp_path, PLANTED["int16-kernels"]())
    report = document(tmp_path, "inspect", path, "--doctor")
    assert [finding["cause"] for finding in report["findings"]] == ["int16-kernels"]
    assert report["operators"][1]["name"] == "CONV_2D"
    screen = io.StringIO()
    render_diagnosis(Console(file=screen, width=120), DoctorReport.from_dict(report), verbose=False)
    shown = screen.getvalue()
    assert "int16-kernels" in shown
    assert "operators on int16" in shown
    assert "    edgeclf compress RUN --int8\n" in shown
    # in a run folder the file would be in the way of what the command makes
    (tmp_path / "my run" / "compressed").mkdir(parents=True)
    (tmp_path / "my run" / "run.json").write_text("{}")
    of_run = path.rename(tmp_path / "my run" / "compressed" / path.name)
    assert Examination(ModelFile.read(of_run)).source == f"'{tmp_path / 'my run'}' --out NEW"
    sound = dataclasses.replace(DoctorReport.from_dict(report), findings=())
    render_diagnosis(Console(file=screen, width=120), sound, verbose=True)
    assert "Nothing found, without photos (--data)." in screen.getvalue()
    assert "Not looked for: thread count (--threads), input larger than needed (--data)," in screen.getvalue()


def test_what_only_the_doctor_takes_is_refused_without_it(tmp_path: Path) -> None:
    done = edgeclf(tmp_path, "inspect", "cifar10", "--data", "photos")
    assert done.exit_code == 2
    assert done.stderr == ("edgeclf: --data is for --doctor, which runs the model; add --doctor, or leave --data out\n")


def test_bad_input_is_one_line(tmp_path: Path, photos: Path) -> None:
    path = write(tmp_path, sound_int8())
    with pytest.raises(InputError, match="--baseline is compared layer by layer on images; give some with --data"):
        package.diagnose(path, baseline=path)
    with pytest.raises(InputError, match="--fit says how photos come to the input; give some with --data"):
        package.diagnose(path, fit="pad")
    with pytest.raises(InputError, match="threads must be from 1 to 256, got 300"):
        package.diagnose(path, threads=300)
    with pytest.raises(ModelError, match="expected a float model, got one that is quantized"):
        package.diagnose(path, data=photos, baseline=path)
    (tmp_path / "empty").mkdir()
    done = edgeclf(tmp_path, "inspect", path, "--doctor", "--data", "empty")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    (tmp_path / "cut.tflite").write_bytes(sound_int8()[:5000])
    assert edgeclf(tmp_path, "inspect", "cut.tflite", "--doctor").exit_code == 2


def test_only_a_scaling_that_a_quantization_can_carry_is_needless() -> None:
    sound, planted = GraphCutter(sound_int8()), GraphCutter(PLANTED["input-scaling-as-a-layer"]())
    assert input_scaling.find_needless(sound) is None
    assert input_scaling.find_needless(planted) == 1

    def change_first(model: Any, tensors: Any, names: Any) -> None:
        kernel = model.subgraphs[0].tensors[int(model.subgraphs[0].operators[1].inputs[1])]
        kernel.quantization.scale = np.array([1, 0.9, 1], np.float32) / 127

    uneven = planted.cut(range(len(planted.graph.operators)), change_first).content
    assert input_scaling.find_needless(GraphCutter(uneven)) is None

    def read_floats(model: Any, tensors: Any, names: Any) -> None:
        model.subgraphs[0].tensors[int(model.subgraphs[0].inputs[0])].type = 0

    def move_zero(model: Any, tensors: Any, names: Any) -> None:
        """Let the pixels be -128..127 steps, and the scaling add 200 of them: no integer of 8 bits stands for 0."""
        first = model.subgraphs[0].operators[1]
        model.subgraphs[0].tensors[int(first.inputs[0])].quantization.zeroPoint = np.array([0], np.int64)
        bias = model.subgraphs[0].tensors[int(first.inputs[2])]
        model.buffers[bias.buffer].data = np.frombuffer(np.full(3, 200 * 127, np.int32).tobytes(), np.uint8)

    for change in (read_floats, move_zero):
        changed = planted.cut(range(len(planted.graph.operators)), change).content
        assert input_scaling.find_needless(GraphCutter(changed)) is None


@pytest.mark.parametrize(
    ("dtype", "kind", "largest"),
    [("float32", "f", 1), ("float16", "f", 1), ("uint8", "u", 255), ("int16", "i", 255), ("int32", "i", 0),
     ("int64", "i", 0), ("bool", "b", 0)],
)  # fmt: skip
def test_models_of_other_things_get_numbers_that_they_can_take(dtype: str, kind: str, largest: int) -> None:
    drawn = draw_input(TensorSpec("x", (2, 3), dtype, 0.0, 0))
    assert (drawn.shape, drawn.dtype.name, drawn.dtype.kind) == ((2, 3), dtype, kind)
    assert abs(drawn.astype(float)).max() <= largest
