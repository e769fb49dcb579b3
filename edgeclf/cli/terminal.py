"""The console of the command line: what is printed on it is printable, whatever it was made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgeclf.printable import printable


class Terminal(Console):
    """A console that shows texts as they are, without markup, and escapes what is not printable (`edgeclf.printable`).

    Args:
        file: where to; None: stdout.
        width: in columns; None: that of the terminal.
        said: lines that stand above on the same screen already; reports do not repeat them.
    """

    def __init__(
        self, file: IO[str] | None = None, width: int | None = None, said: Collection[str] = frozenset()
    ) -> None:
        self.said = said
        super().__init__(file=file, width=width, highlight=False, emoji=False, markup=False)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Make a text of a string: here already, so that columns are as wide as what is shown."""
        return super().render_str(printable(text, keep="\n"), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render anything; Rich's own control codes pass, texts are escaped."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, keep="\n"), segment.style)
