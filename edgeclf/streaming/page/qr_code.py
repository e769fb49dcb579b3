"""Draw an address as a QR code in the characters of a terminal, so that nobody types a token on a phone."""

from __future__ import annotations

from edgeclf.extras import installed

MARGIN = 2
"""Light modules around the code: half of what the standard asks for, which phones read, and terminals have room for."""


def draw_code(text: str) -> list[str] | None:
    """Draw `text` as rows of half blocks, each two modules high; full is dark, to be shown black on white.

    Returns:
        the rows; None where the package segno is not installed.
    """
    if not installed("segno"):
        return None
    import segno

    rows = [
        [bool(module) for module in row] for row in segno.make(text, error="l", micro=False).matrix_iter(border=MARGIN)
    ]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    blocks = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    return ["".join(blocks[pair] for pair in zip(*rows[i : i + 2], strict=True)) for i in range(0, len(rows), 2)]
