"""Fits tables to the width of the screen: the one way in which commands show them.

The first column names the row and is always there, whole: a name that is too long stands on several lines. Where the
rest is too wide, columns are left out in the order that each table states, and a line below names them. Numbers are
never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from edgeclf.printable import one_line

FIRST_COLUMN = 24
"""Characters that the first column keeps, or a third of the screen, before another column is left out."""
FOLDED = 20  # characters of a column of words, where there is no room for a line of them
_GAP = 2  # characters that the box puts between two columns


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        title: in the head.
        drop: its place in the order in which columns are left out, 1 is the first to go; None: it stays.
        text: whether it is aligned to the left, as text is; the first column always is.
        fold: whether its cells are words that may stand on several lines.
        name: in the line below the table, where the title alone would be unclear.
    """

    title: str
    drop: int | None = None
    text: bool = False
    fold: bool = False
    name: str = ""


Row = Sequence[str]


def print_table(
    console: Console, title: str, columns: Sequence[Column], rows: Sequence[Row], *, total: Row | None = None
) -> None:
    """Print rows of as many cells as there are columns, and below them what was left out for want of room.

    Args:
        console: where to; its width decides.
        title: above the head.
        columns: in order; those of which no row has a cell are left out without a word.
        rows: their cells.
        total: a row below a rule.
    """
    cells = [[one_line(cell) for cell in row] for row in (*rows, *([] if total is None else [total]))]
    widths = [max(map(cell_len, texts)) for texts in zip([c.title for c in columns], *cells, strict=True)]
    filled = [at for at in range(len(columns)) if at == 0 or any(row[at] for row in cells)]
    shown, widths = _fit(columns, filled, widths, console.width)
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for at in shown:
        left = at == 0 or columns[at].text
        # without a least width rich takes from the numbers
        made.add_column(columns[at].title, justify="left" if left else "right", no_wrap=True, min_width=widths[at])
    for row in cells:
        folded = {at: "\n".join(_fold(row[at], widths[at])) for at in shown if at == 0 or columns[at].fold}
        made.add_row(*(folded.get(at, row[at]) for at in shown))
    if total is not None and rows:
        made.rows[-2].end_section = True
    console.print(one_line(title), style="bold", soft_wrap=True)
    # a screen narrower than the columns that stay breaks the lines itself; no number is lost
    console.print(made, width=max(console.width, sum(widths) + _GAP * len(widths)), soft_wrap=True)
    left_out = ", ".join(columns[at].name or columns[at].title for at in filled if at not in shown)
    if left_out:
        note = f"Left out in {console.width} columns: {left_out} (a wider terminal or --json shows them)"
        console.print(note + "\n", style="dim", soft_wrap=True)


def _fit(
    columns: Sequence[Column], filled: Sequence[int], widths: Sequence[int], screen: int
) -> tuple[list[int], list[int]]:
    """Choose the columns that are shown, and the width of each."""
    shown, chosen = list(filled), list(widths)
    least = min(widths[0], max(FIRST_COLUMN, screen // 3))

    def room() -> int:
        return screen - sum(chosen[at] + _GAP for at in shown[1:]) - _GAP

    if room() < least:
        chosen = [min(wide, FOLDED) if column.fold else wide for column, wide in zip(columns, widths, strict=True)]
    for at in sorted((at for at in shown[1:] if columns[at].drop is not None), key=lambda at: columns[at].drop or 0):
        if room() < least:
            shown.remove(at)
    chosen[0] = min(widths[0], max(least, room()))
    return shown, chosen


def _fold(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` characters, behind a hyphen, slash or the like where one is near."""
    lines = []
    while cell_len(text) > width:
        cut = width
        while cell_len(text[:cut]) > width:
            cut -= 1
        near = max(text.rfind(mark, 0, cut) + 1 for mark in "-/_. ")
        cut = near if near > cut // 2 else max(cut, 1)
        lines.append(text[:cut])
        text = text[cut:]
    return [*lines, text]
