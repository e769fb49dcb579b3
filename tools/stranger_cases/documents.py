"""README against the cards and the model files, and what a new user types first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from stranger_cases.case import ROOT, Finding, case, run_command


def _figures(text: str, size: int) -> list[float]:
    """Top-1 in percent (float, int8), difference and its interval in points, bytes."""
    text = text.replace("−", "-").replace("±", "").replace(",", "")
    percent = [float(found) for found in re.findall(r"([\d.]+) %", text)[:2]]
    points = re.search(r"([-+]?[\d.]+) points \(([-+][\d.]+) to ([-+][\d.]+)", text)
    if points is None or str(size) not in text:
        return []
    return [*percent, *map(float, points.groups()), size]


@case("documents", "README's table, the cards and the model files: the same accuracy and size?")
def figures(folder: Path) -> Finding:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {}
    for name in ("digits", "cifar10"):
        row = re.search(rf"^\| `{name}`.*$", readme, re.MULTILINE)
        card = (ROOT / "models" / name / "README.md").read_text(encoding="utf-8")
        size = (ROOT / "models" / name / f"{name}-int8.tflite").stat().st_size
        wanted, got = _figures(card, size), _figures(row[0] if row else "", size)
        found[name] = len(wanted) == 6 and wanted == got
    agree = [name for name, equal in found.items() if equal]
    return Finding("digits, cifar10 agree", f"{', '.join(agree) or 'none'} agree", all(found.values()))


@case("documents", "examples/own_photos.py --help, edgeclf --help")
def first_commands(folder: Path) -> Finding:
    """Does the example say what it takes, and does the help name every command that README and the guide use?"""
    command = [sys.executable, str(ROOT / "examples" / "own_photos.py"), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
    used = set(re.findall(r"^edgeclf ([a-z]+)", pages, re.MULTILINE))
    shown = run_command("--help").stdout
    missing = sorted(name for name in used if not re.search(rf"\b{name}\b", shown))
    said = done.returncode == 0 and "photos" in done.stdout.lower() and "--" in done.stdout
    got = f"example {'helps' if said else 'fails'}; {', '.join(missing) or 'none'} missing"
    return Finding("example helps; none missing", got, said and len(used) > 5 and not missing)
