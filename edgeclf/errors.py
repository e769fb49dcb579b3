"""Every error that edgeclf raises on purpose.

    EdgeclfError                 exit code 1: failed while running
    ├── RunFailedError           1: disk full, a worker died, a measurement that could not be made
    │   └── ReaderLeftError      the reader of a stream of results closed its end
    └── InputError               2: bad input or usage
        ├── DataError            a data set that cannot be used
        ├── ImageError           an image that cannot be read
        ├── ModelError           a model that cannot be used
        │   ├── DamagedModelError    a cut file, a flipped bit
        │   └── UntrustedModelError  a file that would run foreign code when loaded
        ├── OutputError          exists already, or cannot be written
        ├── UnknownNameError     a misspelt name; carries the nearest known one
        └── MissingExtraError    an extra is not installed; carries the install command

The message of each is one line: what is wrong, expected and got, what to do. The command line prints that line and
exits with `exit_code`. An error that only one module raises and catches derives from one of these and stands there.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgeclf.aliases import find_nearest

LISTED = 12
"""So many known names are listed beside the nearest one."""


class EdgeclfError(Exception):
    """Base of all errors that edgeclf raises on purpose."""

    exit_code = 1


class RunFailedError(EdgeclfError):
    """The input was valid, but the work could not be finished."""


class ReaderLeftError(RunFailedError):
    """The reader of the JSON lines closed its end of the pipe."""

    def __init__(self) -> None:
        super().__init__("the reader of the JSON lines closed its end of the pipe")


class InputError(EdgeclfError, ValueError):
    """Bad input or usage."""

    exit_code = 2


class DataError(InputError):
    """A data set that cannot be used."""


class ImageError(InputError):
    """An image that cannot be read. The message is the reason alone, without the path."""


class ModelError(InputError):
    """A model that cannot be used."""


class DamagedModelError(ModelError):
    """A model file that differs from what was written: cut, or with changed bits."""


class UntrustedModelError(ModelError):
    """A model file that would run foreign code when loaded."""


class OutputError(InputError):
    """An output that exists already, or a place that cannot be written."""


class UnknownNameError(InputError):
    """A misspelt or unknown name.

    Attributes:
        nearest: the known name that is most like it; None: none is.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        self.nearest = find_nearest(kind, name, choices)
        listed = f"known: {', '.join(choices)}"
        hint = listed
        if self.nearest is not None:
            hint = f"did you mean {self.nearest!r}?" + (f" ({listed})" if len(choices) <= LISTED else "")
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class MissingExtraError(InputError):
    """An optional part of edgeclf is not installed.

    Attributes:
        extra: the extra that installs it.
    """

    def __init__(self, what: str, extra: str, missing: str) -> None:
        super().__init__(f'{what} needs {missing}, which is not installed; run: pip install "edgeclf[{extra}]"')
        self.extra = extra


def one_line(error: BaseException) -> str:
    """Return the message of an error without line breaks, or the name of its class where it has no message."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror.lower()}"
    return " ".join(str(error).split()) or type(error).__name__
