"""A classifier for those who learn from its probabilities: what an 8-bit output rounds away is not shared out."""

from __future__ import annotations

from edgeclf.artifact.model_file import ModelFile
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.score_reader import ScoreReader


class FineClassifier(Classifier):
    """Computes probabilities from the logits inside of a graph, where its file names them, as fine as these are.

    A `Classifier` gives classes that tie in an 8-bit output one probability, which keeps their order that of any other
    client of the file. For most images several classes are 0 there, and a student would learn that they are all alike.
    """

    def _open(self, file: ModelFile, runtime: str, threads: int) -> ScoreReader:
        reader = super()._open(file, runtime, threads)
        reader.shares_ties = False
        return reader
