"""What can be done to a float network before it is exported: a file each, and a line here."""

from edgeclf.compression.step import register_step
from edgeclf.compression.steps.cluster import Cluster
from edgeclf.compression.steps.prune import Prune
from edgeclf.compression.steps.quantize_aware import QuantizeAware
from edgeclf.compression.steps.shrink import Shrink

__all__ = ["Cluster", "Prune", "QuantizeAware", "Shrink"]

for _step in (Shrink, Prune, Cluster, QuantizeAware):
    register_step(_step)
