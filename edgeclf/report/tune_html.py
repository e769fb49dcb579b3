"""Writes the page of `tune`: the trials, and the plots of Optuna."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgeclf import atomic
from edgeclf.printable import printable
from edgeclf.report.templating import make_environment
from edgeclf.search.view import ViewedTrial, make_view
from edgeclf.training.tuning.report import Trial, TuneReport
from edgeclf.training.tuning.wording import describe_network, describe_part, describe_state, describe_values, summarize

FEWEST = 5
"""Trials with values below which Optuna's plots of settings show nothing."""
_TARGET = "validation top-1"


def write_tuning(report: TuneReport, path: Path | str) -> Path:
    """Write `report` as one HTML page, atomically.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, render_tuning(report))
    return Path(path)


def render_tuning(report: TuneReport) -> str:
    """Render the page as text."""
    environment = make_environment()
    environment.filters.update(
        {"values": describe_values, "network": describe_network, "state": describe_state, "part": describe_part}
    )
    page = environment.get_template("tune.html.j2").render(
        report=report,
        summary=summarize(report),
        drawings=list(draw_study(report)),
        trials=sorted(report.trials, key=lambda one: (one.rank, -one.number), reverse=True),
        frontier=[one for number in report.frontier if (one := report.trial(number)) is not None],
        best=report.trial(report.best),
    )
    return printable(page, keep="\n")


def draw_study(report: TuneReport) -> Iterator[tuple[str, str]]:
    """Draw the plots of Optuna that the trials suffice for: titles, and SVG as addresses of the kind `data:`."""
    trained = [one for one in report.trials if one.trained is not None]
    if not trained:
        return
    from optuna.visualization import matplotlib as plots

    study = make_view(list(map(_view, trained)), report.space.parts)
    chosen = make_view([_view(one) for one in trained if one.values and one.state == "complete"], report.space.parts)
    yield "Trials in their order", _draw(lambda: plots.plot_optimization_history(study, target_name=_TARGET))
    if any(one.curve for one in trained):
        yield "Validation top-1 by tenth of the training", _draw(lambda: plots.plot_intermediate_values(study))
    values = [trial.value for trial in chosen.trials]
    if len(values) < FEWEST or len(set(values)) < 2:
        return
    yield "What each setting did", _draw(lambda: plots.plot_slice(chosen, target_name=_TARGET))
    yield "Settings together", _draw(lambda: plots.plot_parallel_coordinate(chosen, target_name=_TARGET))
    if set.intersection(*(set(trial.params) for trial in chosen.trials)):
        yield "Importance of the settings", _draw(lambda: _plot_importances(plots, chosen, report.seed))


def _plot_importances(plots: Any, study: Any, seed: int) -> Any:
    from optuna.importance import FanovaImportanceEvaluator

    evaluator = FanovaImportanceEvaluator(seed=seed)
    return plots.plot_param_importances(study, evaluator=evaluator, target_name=_TARGET)


def _view(one: Trial) -> ViewedTrial:
    assert one.trained is not None
    curve = {int(step): top1 for step, top1 in one.curve.items()}
    return ViewedTrial(one.values, one.trained.validation_top1, curve, one.state == "pruned")


def _draw(plot: Callable[[], Any]) -> str:
    import matplotlib.pyplot as plt

    others = set(plt.get_fignums())  # of a notebook or a script, which are not ours to close
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these plots are called experimental, and fit their labels by themselves
        try:
            plot()
            stream = io.BytesIO()
            plt.gcf().savefig(stream, format="svg", bbox_inches="tight")
        finally:
            for number in set(plt.get_fignums()) - others:
                plt.close(number)
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()
