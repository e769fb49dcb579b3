"""One run of the command line: the global options, where output goes, what happens when it fails."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

import typer

from edgeclf.atomic import is_full_disk
from edgeclf.cli.streams import STDOUT, open_lossy, was_closed
from edgeclf.errors import EdgeclfError
from edgeclf.image.native_stderr import bounded_scratch_file
from edgeclf.json_text import write_json
from edgeclf.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

    from edgeclf.progress import Progress

_FULL = "the disk is full; free some space and run the command again"
_LAST_BYTES = 20_000
PIPED_WIDTH = 140  # columns of a table that goes into a file or a pipe, where there is no terminal to ask


@dataclass(frozen=True)
class Session:
    """The global options, and the streams of one command.

    While a command works, the process's descriptors 1 and 2 point away (see `working`), because TensorFlow, LiteRT and
    OpenCV write to them from C++ whenever they like. `stderr` and `stdout` are the real ones. `said` collects the lines
    that were logged on a terminal.
    """

    json: bool
    quiet: bool
    verbose: bool
    debug: bool
    stderr: IO[str]
    stdout: IO[str] = field(default_factory=lambda: sys.stdout)
    said: set[str] = field(default_factory=set)

    def progress(self) -> Progress:
        """Return bars on a terminal, lines elsewhere, nothing with --quiet."""
        from edgeclf.cli.progress_bars import ConsoleProgress, LineProgress
        from edgeclf.progress import SILENT

        if self.quiet:
            return SILENT
        return ConsoleProgress(self.stderr, self.said) if self.stderr.isatty() else LineProgress(self.stderr)

    def warn(self, line: str) -> None:
        """Print a line on stderr, also with --quiet: something was left out of the result."""
        print(one_line(line), file=self.stderr, flush=True)


class Outcome:
    """The result of a command: a JSON document, how it is printed for people, and the exit code.

    Args:
        document: written with --json; None: nothing is written, since nobody reads.
        render: prints it for people.
        exit_code: of the process.
    """

    def __init__(self, document: dict[str, Any] | None, render: Callable[[Console], None], exit_code: int = 0) -> None:
        self.document = document
        self.render = render
        self.exit_code = exit_code


def run(session: Session, work: Callable[[Session], Outcome], interrupted: str) -> None:
    """Run one command, print its outcome, and exit with its code (by `typer.Exit`)."""
    try:
        with terminated_like_interrupted(), working(session) as inner:
            outcome = work(inner)
        show(session, outcome)
    except EdgeclfError as error:
        code = fail(session, str(error), error.exit_code)
    except KeyboardInterrupt:
        code = fail(session, interrupted, 130)
    except BrokenPipeError:
        code = 1  # the reader of stdout closed its end: nobody would see a message
    except MemoryError:
        code = fail(session, "out of memory; smaller images, batches or models, or fewer other programs, need less", 1)
    except OSError as error:
        code = fail(session, explain(error), 2 if error.errno == errno.ENAMETOOLONG else 1)
    except typer.Exit as leaving:
        code = leaving.exit_code
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, with --debug the traceback
        full = is_full_disk(error)
        code = fail(session, _FULL if full else f"unexpected {type(error).__name__}: {error} (--debug shows where)", 1)
    else:
        code = outcome.exit_code
    raise typer.Exit(code)


def show(session: Session, outcome: Outcome) -> None:
    """Write the outcome to stdout, also while a command works."""
    if outcome.document is None:
        return
    if was_closed(STDOUT):
        session.warn("edgeclf: stdout is closed; the result is not shown")
        return
    stream = session.stdout
    if session.json:
        stream.write(_encodable(write_json(outcome.document)) + "\n")
    else:
        from edgeclf.cli.terminal import Terminal

        # what goes into a file or a pipe is complete
        terminal = Terminal(stream, said=session.said) if stream.isatty() else Terminal(stream, width=PIPED_WIDTH)
        outcome.render(terminal)
    stream.flush()


def fail(session: Session, message: str, code: int) -> int:
    """Print the failure as one line on stderr; with --json also as the one document on stdout."""
    if session.debug and sys.exc_info()[0] is not None:
        print(printable(traceback.format_exc(), keep="\n"), file=sys.stderr, end="")
    print(f"edgeclf: {one_line(message)}", file=sys.stderr, flush=True)
    if session.json:
        with contextlib.suppress(OSError):  # it is full, or its reader has left
            print(_encodable(write_json({"error": one_line(message), "exit_code": code})), flush=True)
    return code


def _encodable(document: str) -> str:
    """Return JSON that stdout can carry: where that is not UTF-8, with an escape for all that is not ASCII."""
    try:
        document.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in document)
    return document


def explain(error: OSError) -> str:
    """Return one line for an error of the operating system that the library did not catch."""
    place = f"{error.filename}: " if error.filename else ""
    if is_full_disk(error):
        return f"{place}{_FULL}"
    return f"{place}{(error.strerror or str(error)).lower()}"


@contextlib.contextmanager
def working(session: Session) -> Iterator[Session]:
    """Keep stdout for the result, and stderr for the lines of edgeclf itself, while a command works.

    Descriptor 1 becomes descriptor 2. Unless --verbose or --debug is given, descriptor 2 goes to a temporary file whose
    last lines are shown when something unexpected fails: TensorFlow, absl, LiteRT and OpenCV log missing GPUs
    and created delegates for every user, and no setting silences them all.
    """
    loud = session.verbose or session.debug
    if not loud:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    with contextlib.ExitStack() as stack:
        stderr = stack.enter_context(_own_stream(sys.stderr, open_lossy))
        stdout = stack.enter_context(_own_stream(sys.stdout))
        stack.enter_context(_redirected(1, 2))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        if not loud:
            chatter = stack.enter_context(bounded_scratch_file())
            stack.enter_context(_redirected(2, chatter.fileno()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            stack.push(lambda kind, error, trace: _replay(chatter, error, stderr))
        yield replace(session, stderr=stderr, stdout=stdout)


def _replay(chatter: IO[bytes], error: BaseException | None, stderr: IO[str]) -> None:
    expected = (EdgeclfError, KeyboardInterrupt, OSError, MemoryError, typer.Exit)
    if error is None or isinstance(error, expected) or is_full_disk(error):
        return
    size = chatter.seek(0, os.SEEK_END)
    chatter.seek(max(0, size - _LAST_BYTES))
    for line in chatter.read(_LAST_BYTES).decode(errors="replace").splitlines()[-10:]:
        print(printable(line), file=stderr)


def _open_text(descriptor: int) -> IO[str]:
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1)


@contextlib.contextmanager
def _own_stream(standard: IO[str], opener: Callable[[int], IO[str]] = _open_text) -> Iterator[IO[str]]:
    """Open a stream to where `standard` leads now, which later redirections of its descriptor do not affect."""
    try:
        standard.flush()
        descriptor = os.dup(standard.fileno())
    except (OSError, ValueError, AttributeError):
        yield standard  # a test's stand-in without a descriptor, or a daemon without one
        return
    with opener(descriptor) as stream:
        yield stream


@contextlib.contextmanager
def _redirected(descriptor: int, target: int) -> Iterator[None]:
    try:
        saved = os.dup(descriptor)
    except OSError:  # closed from the start: nothing can be written there anyway
        yield
        return
    _flush()
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        _flush()
        os.dup2(saved, descriptor)
        os.close(saved)


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM (systemd, `kill`, a container's stop) end the work as Ctrl-C does, with the state saved."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: a test, or an embedding program that has its own signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
