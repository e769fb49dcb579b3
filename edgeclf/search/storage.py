"""Where a study is kept: a journal file of one process at a time, or a database that several machines share."""

from __future__ import annotations

import os
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edgeclf.atomic import explained
from edgeclf.errors import InputError, RunFailedError, one_line

HEARTBEAT_SECONDS = 60
"""How often a worker on a shared study says that it lives."""
GRACE_HEARTBEATS = 3
"""After so many that were missed, what it works on is given to another one."""
MOST_RETRIES = 5
"""A trial during which the process died more often than this is not tried again."""
LARGEST_JOURNAL = 1 << 28
"""Bytes of a journal file that is read; a trial takes a few thousand."""
PATIENCE_SECONDS = 60.0
"""For a database that does not respond, before a worker ends."""
_FIRST_PAUSE = 0.1
_MOST_TRIES, _LONGEST_PAUSE = 5, 0.4
"""Of opening a database whose tables another worker makes, and seconds between two of them."""
T = TypeVar("T")
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
"""What reading a journal raises that is damaged."""


def open_storage(place: str | Path, heartbeat: int = HEARTBEAT_SECONDS) -> Any:
    """Open or create a storage.

    Args:
        place: a journal file as a `Path`, which this process alone uses; or the URL of a database as SQLAlchemy knows
            it, such as `postgresql+psycopg://user@host/studies`.
        heartbeat: seconds; see `HEARTBEAT_SECONDS`. Of databases alone.

    Returns:
        a storage of Optuna.

    Raises:
        InputError: the file is damaged or too large; the URL is none, its driver is not installed, or the database
            cannot be reached, or was made by another version of Optuna.
        OutputError: the file cannot be written.
    """
    if isinstance(place, Path):
        return _open_journal(place)
    return _open_database(place, heartbeat)


def _open_journal(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # what a killed process left: its lock, and a line that it began
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        _cut_unfinished_line(path)
        try:
            return JournalStorage(JournalFileBackend(str(path)))
        except _DAMAGE as error:
            raise InputError(
                f"{path}: is damaged ({one_line(error)}): expected the journal of a search; remove it, and the search "
                "begins anew"
            ) from error


def _cut_unfinished_line(path: Path) -> None:
    """Remove what follows the last line break; the next entry would become part of it, and neither could be read."""
    if not path.exists():
        return
    if path.stat().st_size > LARGEST_JOURNAL:
        raise InputError(
            f"{path}: expected the journal of a search with at most {LARGEST_JOURNAL:,} bytes, got "
            f"{path.stat().st_size:,}; remove it, and the search begins anew"
        )
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.truncate(path, end)


def _open_database(url: str, heartbeat: int) -> Any:
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    def connect() -> Any:
        if "@" in (make_url(url).host or ""):
            raise ValueError("a part of the password was taken for the host")
        return RDBStorage(
            url,
            heartbeat_interval=heartbeat,
            grace_period=GRACE_HEARTBEATS * heartbeat,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(MOST_RETRIES),
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are called experimental
        try:
            return _create_tables(connect)
        except ImportError as error:
            raise InputError(
                f"the database {show_url(url)} needs a driver that is not installed ({one_line(error)}); "
                'for PostgreSQL: pip install "psycopg[binary]", with a URL that begins with postgresql+psycopg://'
            ) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            # the first line names the reason, the others SQLAlchemy's background
            raise InputError(
                f"the database {show_url(url)} cannot be used: {str(error).splitlines()[0]}; expected a URL such as "
                "postgresql+psycopg://user@host/studies"
            ) from error
        except RuntimeError as error:  # its tables are those of another version of Optuna
            raise InputError(f"the database {show_url(url)} cannot be used: {one_line(error)}") from error
        except (ValueError, LookupError):
            # neither the message nor the URL is shown: both may have a part of the password
            raise InputError(
                "the URL of the database cannot be read: expected one such as "
                "postgresql+psycopg://user:password@host:5432/studies, whose port is a number; in a password each of "
                "@ : / ? # % { } must be percent-encoded, such as %40 for @"
            ) from None


def _create_tables(connect: Callable[[], T]) -> T:
    """Open a database, again where its tables are made by another worker at the same moment.

    Optuna looks which tables there are and makes the others: of workers that begin at once on an empty database, all
    but one fail, and find the tables the next time.

    Args:
        connect: opens it.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError

    for _ in range(_MOST_TRIES - 1):
        try:
            return connect()
        except DBAPIError as error:
            if error.statement is None:  # it was not reached at all
                raise
        except StorageInternalError:
            pass
        time.sleep(random.uniform(0, _LONGEST_PAUSE))
    return connect()


def patiently(call: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Call what reads or writes a database, again while that does not respond: a restart must not cost a training.

    Args:
        call: that may be made again.
        seconds: after which the last error stands.

    Raises:
        RunFailedError: the database did not come back.
    """
    from optuna.exceptions import StorageInternalError

    ends, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            return call()
        except StorageInternalError as error:
            if time.monotonic() + pause > ends:
                raise RunFailedError(
                    f"the database of the search did not respond for {seconds:g} s ({one_line(error)}); the same "
                    "command goes on when it is back"
                ) from error
        time.sleep(pause)
        pause *= 2


def show_url(url: str) -> str:
    """Return a URL of a database without its password, for messages and reports."""
    head, separator, rest = url.partition("://")
    place, _, query = rest.partition("?")
    if "@" in query and "@" not in place:  # the «?» may belong to the password
        return f"{head}{separator}..."
    user, at, host = place.rpartition("@")
    return f"{head}{separator}{user.partition(':')[0]}{at}{host}"
