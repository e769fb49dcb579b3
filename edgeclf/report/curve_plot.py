"""Draws a learning curve with its forecast."""

from __future__ import annotations

from matplotlib.ticker import NullFormatter, NullLocator

from edgeclf.dataset.deep_audit import LearningCurve
from edgeclf.report.plots import FAINT, INK, make_canvas, name_drawing, write_svg


def draw_curve(curve: LearningCurve) -> str:
    """Draw the measured errors over the number of photos, and the forecast for twice as many, for both screens."""
    wide, narrow = _draw(curve, narrow=False), _draw(curve, narrow=True)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def _draw(curve: LearningCurve, *, narrow: bool) -> str:
    figure, axes = make_canvas(7.5, 3.7, narrow)
    photos, errors = [p.photos for p in curve.points], [100 * p.error for p in curve.points]
    low, high = (100 * bound for bound in curve.interval_twice)
    ahead = [photos[-1], curve.photos, 2 * curve.photos]
    colour = "#0a0b10"
    axes.plot(photos, errors, "o-", color=colour, linewidth=1.6, markersize=6)
    expected = [errors[-1], 100 * curve.error_now, 100 * curve.error_twice]
    axes.plot(ahead, expected, linestyle=(0, (5, 3)), color=FAINT, linewidth=1.4)
    axes.plot([ahead[-1], ahead[-1]], [low, high], color=colour, linewidth=1.6, alpha=0.65)
    axes.plot([ahead[-1]], [expected[-1]], "o", color=colour, markersize=7, markerfacecolor="none", markeredgewidth=1.6)
    axes.set_xscale("log")
    ticks = [photos[0], *([] if narrow else [photos[len(photos) // 2]]), curve.photos, 2 * curve.photos]
    axes.set_xticks(ticks, [f"{round(tick):,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("photos (hollow: forecast, with its 95 % interval)", color=INK)
    axes.set_ylabel("error, %", color=INK)
    return write_svg(figure, name_drawing("curve", narrow), "Error against the number of photos")
