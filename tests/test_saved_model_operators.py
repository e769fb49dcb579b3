"""Whatever in a SavedModel reaches a file is refused, wherever in its graph it stands; nothing is run for that."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from test_trust import first_version_model, saved_model

from edgeclf.errors import ModelError, UntrustedModelError

pytest.importorskip("tensorflow")
from edgeclf.keras_files.loading import load_network
from edgeclf.keras_files.saved_model_constants import check_constants
from edgeclf.keras_files.saved_model_operators import OPERATORS, check_saved_model

TOUCH_FILES = (
    *("ReadFile", "WriteFile", "SaveV2", "Save", "SaveSlices", "RestoreV2", "Restore", "MergeV2Checkpoints"),
    *("MatchingFiles", "CreateSummaryFileWriter", "CreateSummaryDbWriter", "WriteSummary", "WriteGraphSummary"),
    *("InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "ReaderReadV2", "WholeFileReaderV2"),
    *("TFRecordDataset", "TextLineDataset", "FixedLengthRecordDatasetV2", "SaveDatasetV2", "LoadDataset"),
    *("DatasetToTFRecord", "CacheDatasetV2", "SnapshotDatasetV2", "LMDBDataset", "SqlDataset"),
    *("PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "LookupTableImportV2", "DebugNumericSummaryV2"),
    *("RpcCall", "RemoteCall", "CollectiveGather", "IteratorGetNext", "SendTPUEmbeddingGradients", "DumpOp"),
)
"""Operators that read, write, list or move files, or reach Python, the network or other devices."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    def clear() -> Any:
        return tf.constant(0)

    folder = saved_model(tmp_path_factory.mktemp("saved") / "net", _initialize=clear)
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def functions(stored: Any, part: str) -> list[Any]:
    found = [one for one in stored.meta_graphs[0].graph_def.library.function if part in one.signature.name]
    assert found
    return found


def test_none_of_them_is_on_the_list() -> None:
    assert not OPERATORS & set(TOUCH_FILES)


@pytest.mark.parametrize("place", ["signature_wrapper", "serve", "inner", "cond_true", "clear"])
def test_every_file_operator_is_refused_in_every_place(stored: Any, place: str) -> None:
    """In the signature, functions that it calls, branches, and the initializer that the loader runs."""
    check_saved_model(stored, "net")
    for operator in TOUCH_FILES:
        changed = copy.deepcopy(stored)
        functions(changed, place)[0].node_def.add(name="harm", op=operator)
        with pytest.raises(UntrustedModelError, match=f"the operator '{operator}'"):
            check_saved_model(changed, "net")


def test_constants_take_no_more_memory_than_the_file_holds(stored: Any) -> None:
    import tensorflow as tf

    check_constants(stored, "net")
    for place, sizes, reason in (
        ("node", (1 << 20, 1 << 20), r"filled with 1,099,511,627,7\d\d numbers that it does not hold"),
        ("function", (1 << 13, 1 << 13, 2), "filled with 134,217,7"),
        ("function", (-1, 4), r"the shape \[-1, 4\]"),
    ):
        changed = copy.deepcopy(stored)
        graph = changed.meta_graphs[0].graph_def
        nodes = graph.node if place == "node" else graph.library.function[0].node_def
        tensor = nodes.add(name="large", op="Const").attr["value"].tensor
        tensor.dtype = tf.float16.as_datatype_enum
        tensor.half_val.append(1)
        for size in sizes:
            tensor.tensor_shape.dim.add(size=size)
        with pytest.raises(ModelError, match=reason):
            check_constants(changed, "net")


def test_a_constant_of_another_length_than_its_shape_is_damage(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    folder = saved_model(tmp_path / "net")
    path = folder / "saved_model.pb"
    changed = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for function in changed.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const" and node.attr["value"].tensor.tensor_content:
                tensor = node.attr["value"].tensor
                tensor.dtype, tensor.tensor_content = 19, b"abc"  # float16, of a length that does not fit
    path.write_bytes(changed.SerializeToString())
    with pytest.raises(ModelError, match=r"saved_model\.pb is damaged \(.*\); export the network again$"):
        load_network(folder)


def test_functions_that_functions_are_bound_to_are_checked(stored: Any) -> None:
    changed = copy.deepcopy(stored)
    library = changed.meta_graphs[0].graph_def.library
    library.function.add().signature.name = "hidden"
    library.function[-1].node_def.add(name="harm", op="WriteFile")
    node = functions(changed, "inner")[0].node_def.add(name="bound", op="PartitionedCall")
    node.attr["f"].func.name = functions(changed, "inner")[0].signature.name
    node.attr["f"].func.attr["g"].func.name = "hidden"
    with pytest.raises(UntrustedModelError, match="'WriteFile'"):
        check_saved_model(changed, "net")


@pytest.mark.parametrize("where", ["its own", "another"])
def test_a_graph_of_tensorflow_1_restores_its_own_checkpoint_alone(where: str, tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    folder = first_version_model(tmp_path / "net", "nothing", tmp_path / "mark")
    file = folder / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = stored.meta_graphs[0].graph_def
    (restore,) = [node for node in graph.node if node.op == "RestoreV2"]
    if where == "another":
        foreign = graph.node.add()
        foreign.CopyFrom(next(node for node in graph.node if node.name == restore.input[0]))
        foreign.name = "foreign"
        restore.input[0] = "foreign"
        file.write_bytes(stored.SerializeToString())
        with pytest.raises(UntrustedModelError, match="'RestoreV2' on a checkpoint of its choice"):
            load_network(folder)
    else:
        assert load_network(folder).network.classes == ("0", "1")


@pytest.mark.parametrize("link", ["variables/variables.data-00000-of-00001", "assets/words.txt", "itself"])
def test_links_out_of_the_folder_are_refused(link: str, tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "net")
    place = folder / link
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(place.name if link == "itself" else "/etc/passwd")
    with pytest.raises(UntrustedModelError, match=f"holds the link '{link}'"):
        load_network(folder)
