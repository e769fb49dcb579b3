"""Traces the channels of a tf-keras network from its input to its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from edgeclf.errors import ModelError
from edgeclf.graph.channel_rules import RULES, UnknownUseError
from edgeclf.graph.channels import ChannelGraph, Coupling, Cut, Ids, Product, Role, Setting, find_groups
from edgeclf.graph.fixed_products import count_products
from edgeclf.graph.inner_scaling import is_input_scaling
from edgeclf.graph.private_apis import calls_in_order, has_graph, producer


def trace_channels(model: Any) -> ChannelGraph:
    """Find which channels of a network can be removed, which of them go together, and what they cost.

    What the network takes and returns stays as it is, and so do channels that enter or leave a layer without a rule.

    Args:
        model: flat functional tf-keras network with an input of fixed size.

    Raises:
        ModelError: it has no graph, or an input of any size.
    """
    if not has_graph(model):
        raise ModelError(f"a flat functional network was expected, got {type(model).__name__}")
    if any(size is None for tensor in model.inputs for size in tensor.shape[1:]):
        raise ModelError("channels are counted for a fixed input size, and the network takes images of any size")
    return _Tracer().run(model)


class _Tracer:
    """Collects what the rules report."""

    def __init__(self) -> None:
        self.coupling = Coupling()
        self.cuts: dict[tuple[str, int, int], Cut] = {}
        self.settings: dict[tuple[str, str], Setting] = {}
        self.products: list[Product] = []
        self.made: dict[str, Ids] = {}
        self.blocked: dict[str, str] = {}

    def run(self, model: Any) -> ChannelGraph:
        tensors: dict[int, Ids] = {}
        for node in calls_in_order(model):
            outputs = tf.nest.flatten(node.outputs)
            if node.is_input:
                for tensor in outputs:
                    tensors[id(tensor)] = self._make_fixed(tensor)
                continue
            inputs = [tensors[id(tensor)] for tensor in node.keras_inputs]
            made = self._follow(node, inputs, outputs)
            tensors.update(zip(map(id, outputs), made, strict=True))
        for tensor in model.outputs:
            self.coupling.fix(tensors[id(tensor)])
            # a softmax at the end keeps nothing that would not stay anyway
            self.blocked.pop(producer(tensor).name, None)
        return self._finish()

    def _follow(self, node: Any, inputs: Sequence[Ids], outputs: Sequence[Any]) -> list[Ids]:
        layer = node.layer
        rule = RULES.get(type(layer))
        reason = "shrinking knows no rule for it"
        if rule is not None and len(outputs) == 1 and None not in outputs[0].shape[1:]:
            try:
                made = rule(_Call(self, layer, tuple(outputs[0].shape[1:])), layer, inputs)
                if is_input_scaling(layer):  # colors are no channels that could go
                    self.coupling.fix(made)
                return [made]
            except UnknownUseError as error:
                reason = str(error)
        self.blocked[layer.name] = f"{type(layer).__name__}: {reason}"
        for channels in inputs:
            self.coupling.fix(channels)
        results = [self._make_fixed(tensor) for tensor in outputs]
        shapes = [tuple(tensor.shape[1:]) for tensor in node.keras_inputs]
        if len(outputs) == 1 and inputs:
            products = count_products(layer, inputs, shapes, results[0], tuple(outputs[0].shape[1:]))
            known = any(product.layer == layer.name for product in self.products)
            self.products += [replace(one, places=0) for one in products] if known else products
        return results

    def _make_fixed(self, tensor: Any) -> Ids:
        size = tensor.shape[-1] if tensor.shape.rank else None
        made = self.coupling.make(size or 1)
        self.coupling.fix(made)
        return made

    def _finish(self) -> ChannelGraph:
        numbers, fixed = self.coupling.number_sets()
        cuts = tuple(replace(cut, channels=numbers[cut.channels]) for cut in self.cuts.values())
        settings = tuple(replace(one, channels=numbers[one.channels]) for one in self.settings.values())
        products = tuple(replace(one, takes=numbers[one.takes], makes=numbers[one.makes]) for one in self.products)
        groups, blocked = find_groups(cuts, fixed), MappingProxyType(dict(self.blocked))
        return ChannelGraph(len(fixed), cuts, settings, products, groups, blocked)


class _Call:
    """One call of a layer, for its rule."""

    def __init__(self, tracer: _Tracer, layer: Any, output_shape: tuple[int, ...]) -> None:
        self._tracer, self._layer, self._output_shape = tracer, layer, output_shape
        self._first = all(product.layer != layer.name for product in tracer.products)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._output_shape

    def make(self, count: int) -> Ids:
        name = self._layer.name
        if name not in self._tracer.made:
            self._tracer.made[name] = self._tracer.coupling.make(count)
        return self._tracer.made[name]

    def cut(self, weight: int, axis: int, role: Role, channels: Ids) -> None:
        key = (self._layer.name, weight, axis)
        known = self._tracer.cuts.setdefault(key, Cut(*key, role, channels))
        if known.channels is not channels:
            # another call of the same layer
            self._tracer.coupling.join(known.channels, channels)

    def set(self, key: str, channels: Ids) -> None:
        known = self._tracer.settings.setdefault((self._layer.name, key), Setting(self._layer.name, key, channels))
        if known.channels is not channels:
            self._tracer.coupling.join(known.channels, channels)

    def multiply(self, positions: int, places: int, takes: Ids, makes: Ids) -> None:
        kept_once = places if self._first else 0
        self._tracer.products.append(Product(self._layer.name, positions, positions * places, kept_once, takes, makes))

    def join(self, first: Ids, second: Ids) -> None:
        self._tracer.coupling.join(first, second)

    def fix(self, channels: Ids, reason: str) -> None:
        self._tracer.blocked[self._layer.name] = f"{type(self._layer).__name__}: {reason}"
        self._tracer.coupling.fix(channels)
