"""Makes the environment in which the pages' templates are rendered; needs jinja2 alone, no package that draws."""

from __future__ import annotations

import jinja2

from edgeclf.measure import formatting


def make_environment() -> jinja2.Environment:
    """Make the templates' environment: everything is escaped, and numbers are written as in the terminal."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgeclf.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    writers = (
        formatting.percent,
        formatting.points,
        formatting.interval,
        formatting.size,
        formatting.milliseconds,
        formatting.number,
        formatting.counted,
        formatting.exact,
        formatting.p_value,
        formatting.ratio,
        formatting.threads,
        formatting.celsius,
        formatting.duration,
        formatting.megahertz,
        formatting.throttling,
    )
    environment.filters.update({write.__name__: write for write in writers})
    return environment
