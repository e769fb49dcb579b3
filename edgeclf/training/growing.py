"""Starting from an earlier run of the same photos and more: all of its network is kept, and what it knew of classes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.dataset import list_source, load_dataset
from edgeclf.dataset.known_images import choose_unseen
from edgeclf.dataset.types import Dataset, Split
from edgeclf.dataset.used_images import read_history
from edgeclf.errors import InputError, ModelError
from edgeclf.graph.flatten import flatten
from edgeclf.graph.inner_scaling import freeze_scaling, scales_input
from edgeclf.graph.private_apis import operands, producer
from edgeclf.image.shape import STRETCH, describe_size
from edgeclf.keras_files.loading import load_float_model
from edgeclf.measure.formatting import counted
from edgeclf.training.growth import JUDGED_SPLITS, GrowthReport, compare_networks, find_growth
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.networks.building import add_classifier
from edgeclf.training.parent_run import ParentRun
from edgeclf.training.plan import TrainPlan
from edgeclf.training.starting import StartingPoint
from edgeclf.training.transfer import HEAD, TransferredNetwork, describe_resize, rebuild

Rows = npt.NDArray[np.int64]
COVERED = "network and classes"
"""What the digest of such a start covers."""


@dataclass(frozen=True)
class GrownStart(StartingPoint):
    """The network of an earlier run, with the rows of its head that classes still need.

    Args:
        parent: the earlier run; None only for the sake of the defaults before it.
    """

    parent: ParentRun | None = None

    @property
    def run(self) -> ParentRun:
        """The earlier run."""
        if self.parent is None:
            raise ValueError("a grown start needs its run")
        return self.parent

    def identity(self) -> dict[str, str | None]:
        """Return what `run.json` records of it: its name, and a SHA-256 over its classes and all its weights."""
        digest = hashlib.sha256("\0".join(self.run.class_names).encode())
        for values in self._network.get_weights():
            digest.update(np.ascontiguousarray(values).data)
        return {"origin": self.origin, "covers": COVERED, "sha256": digest.hexdigest()}

    def is_start_of(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether `recorded`, from the `run.json` of a run, identifies this start, wherever its run lies now."""
        return recorded.get("covers") == COVERED and recorded.get("sha256") == self.identity()["sha256"]

    def transfer(self, settings: NetworkSettings, dataset: Dataset) -> TransferredNetwork:
        """Make the network that learns: all layers of the earlier one, and a head for the classes of `dataset`.

        Raises:
            InputError: it cannot be built for images of this size.
        """
        old_head = _find_head(self._network)
        features = operands(self._network.outputs[0])[0]
        while isinstance(producer(features), tf_keras.layers.Dropout):
            (features,) = operands(features)
        base = tf_keras.Model(self._network.inputs, features)
        body = self._rebuild(base, settings)
        penalty = tf_keras.regularizers.L1L2(settings.l1, settings.l2) if settings.l1 or settings.l2 else None
        model = tf_keras.Model(body.inputs, add_classifier(body.output, settings, name=HEAD, penalty=penalty))
        head = model.get_layer(HEAD)
        kept = _copy_rows(old_head.get_weights(), head.get_weights(), self.run.class_names, dataset.class_names)
        model.set_weights([*base.get_weights(), *kept])
        known = [name for name in dataset.class_names if name in self.run.class_names]
        new = len(dataset.class_names) - len(known)
        rows = f", new rows for {counted(new, 'class', 'classes')}" if new else ""
        taken = (
            f"weights from {self.origin}: {base.count_params():,} parameters and the head's rows of "
            f"{counted(len(known), 'class', 'classes')} taken over{rows}"
        )
        return TransferredNetwork(model, (taken, *describe_resize(self._network, settings, self.origin)))

    def find_growth(self, dataset: Dataset) -> GrowthReport:
        """Find what `dataset` has that the earlier run had not."""
        run = self.run
        return find_growth(str(run.folder.path), run.class_names, run.counts, run.read_images(), dataset)

    def compare(self, network: tf_keras.Model, dataset: Dataset, request: TrainPlan) -> GrowthReport:
        """Compare the earlier network with the one that was kept, on images that neither was trained on.

        Args:
            network: the one that was kept.
            dataset: that it was trained on.
            request: the call; its data are loaded again where the earlier network takes images of another size.
        """
        # what of its history is not known any more is noted with the images (see `used_images.add_used`)
        history, progress = read_history(self.run.folder), request.progress
        listing = list_source(request.data)
        size = self._network.inputs[0].shape[1:3]
        earlier = dataset
        fit = str(self.run.config.get("fit") or STRETCH)
        if (*size, fit) != (dataset.height, dataset.width, dataset.fit):
            sides = (int(size[0]), int(size[1]))
            earlier = load_dataset(listing, image_size=sides, fit=fit, split_seed=dataset.split_seed, progress=progress)
        place = {name: number for number, name in enumerate(dataset.class_names)}
        mapping = np.array([place.get(name, -1) for name in self.run.class_names], np.int64)
        found, left_out = [], {}
        for split in JUDGED_SPLITS:
            if split in dataset.splits:
                rows = choose_unseen(dataset, split, history.known, listing.splits)
                left_out[split] = len(dataset.splits[split]) - len(rows)
                rows, places = find_again(rows, dataset.splits[split], earlier.splits.get(split))
                if not len(places):
                    continue
                before = predict_probabilities(self._network, earlier.splits[split].images.subset(places), progress)
                after = predict_probabilities(network, dataset.splits[split].images.subset(rows), progress)
                predictions = (mapping[before.argmax(1)], after.argmax(1).astype(np.int64))
                found.append(compare_networks(dataset, split, rows, predictions, self.run.class_names))
        return dataclasses.replace(
            self.find_growth(dataset),
            comparisons=tuple(one for one in found if one is not None),
            left_out=left_out,
        )

    @property
    def _network(self) -> tf_keras.Model:
        if self.network is None:
            raise ValueError("a grown start needs the network of its run")
        return self.network

    def _rebuild(self, base: tf_keras.Model, settings: NetworkSettings) -> tf_keras.Model:
        try:
            body = rebuild(base, settings, None)
            body.set_weights(base.get_weights())
        except ValueError as error:
            _, height, width, _ = self._network.inputs[0].shape
            raise InputError(
                f"the network of {self.origin} takes images of {width}×{height} pixels only, got "
                f"{describe_size(settings.image_size)}; leave --image-size out"
            ) from error
        freeze_scaling(body)
        return body


def find_again(rows: Rows, split: Split, loaded: Split | None) -> tuple[Rows, Rows]:
    """Find images of a split, by their content, where the same data were loaded once more.

    Photos may have gone or come since, which moves all that follow.

    Args:
        rows: int64[n], of the split.
        split: that they are in.
        loaded: the same split of the later load, at any size; None: there is none any more.

    Returns:
        int64[m] each: those of the rows that are there still, and where.
    """
    places = {content: number for number, content in enumerate(() if loaded is None else loaded.hashes)}
    kept = [row for row in rows.tolist() if split.hashes[row] in places]
    return np.array(kept, np.int64), np.array([places[split.hashes[row]] for row in kept], np.int64)


def find_grown_start(
    parent: ParentRun, *, trust_model: bool, earlier: Mapping[str, Any] | None = None
) -> StartingPoint:
    """Load the network of an earlier run as a start.

    Args:
        parent: the earlier run.
        trust_model: load it even if that runs code from the file.
        earlier: identity of what the run that is resumed began from; None: a run begins.

    Raises:
        InputError: the network has been replaced since the run that is resumed began.
        ModelError: it is not the network of that run.
    """
    path = parent.folder.path
    network = flatten(load_float_model(path, trust_model=trust_model))
    size = _check_network(network, parent)
    # what its first training chose: kernels whose batch normalizations were folded keep their scales; for other
    # optimizers there is no choice
    folded = parent.config.get("norm_rates") is False and (
        parent.config.get("optimizer") == "sgd" or _began_folded(parent)
    )
    start = GrownStart(network, parent.folder.name, str(parent.config["model"]), size, folded=folded, parent=parent)
    if earlier is not None and not start.is_start_of(earlier):
        raise InputError(
            f"the run began from {earlier.get('origin') or 'scratch'}, and its network or classes in {path} have "
            "changed; bring them back, or start again with --overwrite"
        )
    return start


def _began_folded(parent: ParentRun) -> bool:
    """Return whether a run began from a TFLite file, where batch normalizations are folded."""
    start = parent.folder.run_json.get("start") or {}
    return any(str(one).endswith(".tflite") for one in (parent.config.get("weights"), start.get("origin")))


def _check_network(network: tf_keras.Model, parent: ParentRun) -> int:
    """Refuse a network that `edgeclf train` cannot have made for this run; returns the side of its input, pixels."""
    path, classes = parent.folder.path, len(parent.class_names)
    shape = network.inputs[0].shape
    head = _find_head(network) if len(network.inputs) == len(network.outputs) == 1 else None
    if head is None or shape.rank != 4 or shape[1] is None or shape[3] != 3:
        raise ModelError(
            f"{path}: its model.keras is not a network of edgeclf train (expected one input [N, S, S, 3] and a dense "
            "softmax at the end); start from it with --weights"
        )
    if head.units != classes:
        raise ModelError(f"{path}: names {classes} classes, but its network has {head.units} outputs")
    if not scales_input(network):
        raise ModelError(
            f"{path}: its model.keras takes pixels of another normalization (expected raw pixels, scaled inside the "
            "network); start from it with --weights, which finds out which"
        )
    return int(shape[1])


def _find_head(network: tf_keras.Model) -> Any:
    """Return the dense layer with a softmax that gives the output; None where there is none."""
    layer = producer(network.outputs[0])
    is_head = isinstance(layer, tf_keras.layers.Dense) and layer.activation is tf_keras.activations.softmax
    return layer if is_head and layer.use_bias else None


def _copy_rows(
    old: list[npt.NDArray[Any]], new: list[npt.NDArray[Any]], old_names: tuple[str, ...], names: tuple[str, ...]
) -> list[npt.NDArray[Any]]:
    """Return kernel and bias of the new head with what the old one has for the classes that both have."""
    kernel, bias = new[0].copy(), new[1].copy()
    for place, name in enumerate(names):
        if name in old_names:
            kernel[:, place], bias[place] = old[0][:, old_names.index(name)], old[1][old_names.index(name)]
    return [kernel, bias]
