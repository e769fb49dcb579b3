"""Searches over settings: one package over Optuna, for everything that tries candidates and keeps the results.

A study keeps its trials in a file, or in a database that several machines share. A worker that is killed loses no
finished trial, and what it was working on is worked on again.
"""

from edgeclf.search.asked import Asked
from edgeclf.search.space import Choice, Range, Space
from edgeclf.search.study import Study, open_study
from edgeclf.search.trials import Evaluation, Finished, RefusedTrialError

__all__ = ["Asked", "Choice", "Evaluation", "Finished", "Range", "RefusedTrialError", "Space", "Study", "open_study"]
