"""examples/raspberry-pi: systemd takes the unit, and it starts; the commands exist; the installer installs."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from presence import needed

from edgeclf.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "raspberry-pi"
UNIT = EXAMPLE / "edgeclf-live.service"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
INSTALLED = "/opt/edgeclf/bin/edgeclf"


def settings(section: str) -> dict[str, list[str]]:
    """The keys of one section of the unit, each with all its values."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def assignments(text: str) -> dict[str, str]:
    """NAME=VALUE lines of an environment file."""
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def unit_environment() -> dict[str, str]:
    """The variables that the unit itself sets."""
    words = " ".join(settings("Service")["Environment"]).split()
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def command_line(environment: Mapping[str, str]) -> list[str]:
    """ExecStart as systemd expands it: `${NAME}` is one argument, `$NAME` is split into words."""
    (line,) = settings("Service")["ExecStart"]
    arguments: list[str] = []
    for word in line.split():
        if re.fullmatch(r"\$\w+", word):
            arguments += environment[word[1:]].split()
        else:
            arguments.append(re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word))
    return arguments


# The unit


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = needed("systemd-analyze")
    text = UNIT.read_text(encoding="utf-8")
    assert INSTALLED in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(INSTALLED, sys.executable))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_may_do_little(tmp_path: Path) -> None:
    analyze = needed("systemd-analyze")
    # From 0, no exposure, to 10; threshold in tenths.
    command = [analyze, "security", "--offline=true", "--threshold=25", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "offline" in done.stderr and done.returncode:
        pytest.skip("this systemd is older than Debian 12's")
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_settings_and_unit_speak_of_the_same_variables() -> None:
    offered = assignments((EXAMPLE / "live.env").read_text(encoding="utf-8"))
    (line,) = settings("Service")["ExecStart"]
    used = set(re.findall(r"\$\{?(\w+)", line))
    assert used <= set(unit_environment()), "without the file the unit has a value for each"
    assert set(offered) == used | {"EDGECLF_TOKEN"}
    # A command line is seen by every user of the board.
    assert "TOKEN" not in line


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A minute of noise that changes every second, as a camera."""
    path = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    random = np.random.default_rng(0)
    for _ in range(60):
        scene = random.integers(0, 256, (64, 64, 3), np.uint8)
        for _ in range(10):
            writer.write(scene)
    writer.release()
    return path


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd listens on."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(0.1)
    yield listening
    listening.close()


def heard(manager: socket.socket, process: subprocess.Popen[str], message: str, seconds: float) -> list[str]:
    """Messages until `message` came."""
    messages: list[str] = []
    deadline = time.monotonic() + seconds
    while message not in messages:
        assert time.monotonic() < deadline, f"no {message} within {seconds} s, only {messages}"
        assert process.poll() is None or "STOPPING" in message, process.communicate()
        try:
            messages.append(manager.recv(4096).decode())
        except TimeoutError:
            continue
    return messages


@pytest.mark.parametrize("token", ["", "a-token-of-the-test"])
def test_the_unit_starts_feeds_its_watchdog_and_stops(
    tmp_path: Path, video: Path, manager: socket.socket, token: str
) -> None:
    pytest.importorskip("uvicorn")
    offered = assignments((EXAMPLE / "live.env").read_text(encoding="utf-8"))
    environment = {
        **os.environ,
        **unit_environment(),
        **offered,
        "EDGECLF_MODEL": "digits",
        "EDGECLF_CAMERA": str(video),
        "EDGECLF_WEB": "127.0.0.1:0",
        "EDGECLF_TOKEN": token,
        "EDGECLF_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "1500000",
    }
    program, *arguments = command_line(environment)
    assert program == INSTALLED
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeclf", *arguments],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        heard(manager, process, "READY=1", 60)
        if token:
            assert token not in Path(f"/proc/{process.pid}/cmdline").read_text()
        for _ in range(3):
            heard(manager, process, "WATCHDOG=1", 20)
        process.send_signal(signal.SIGTERM)
        heard(manager, process, "STOPPING=1", 5)
        out, err = process.communicate(timeout=5)
    finally:
        process.kill()
        process.wait()
    (success,) = settings("Service")["SuccessExitStatus"]
    assert process.returncode == int(success), err
    assert "Traceback" not in out + err


# The README


def blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def options_of(command: str) -> set[str]:
    parameters = COMMANDS[command].build().params
    return {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}


def test_every_block_is_shell() -> None:
    assert len(blocks()) > 10
    for block in blocks():
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_every_edgeclf_command_takes_its_options() -> None:
    started = shlex.join(command_line({**unit_environment(), "EDGECLF_OPTIONS": ""}))
    found = re.findall(r"bin/edgeclf (\w+)(.*)", "\n".join([*blocks(), started]))
    assert {command for command, _ in found} == {"live", "verify", "bench"}
    for command, arguments in found:
        used = {word.partition("=")[0] for word in shlex.split(arguments) if word.startswith("--")}
        assert used <= options_of(command), (command, arguments)


def test_options_named_in_the_text_exist() -> None:
    known = set().union(*(options_of(command) for command in ("live", "bench", "verify", "predict")))
    ours = {"--csi", "--system-site-packages", "--list-devices", "--list-cameras", "--list-ctrls"}
    ours |= {"--append", "--groups", "--unit", "--lines", "--help"}
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL) + (EXAMPLE / "live.env").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert {"--size", "--threshold", "--collect-quota"} <= named
    assert named - known <= ours, named - known - ours


def test_files_that_are_linked_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (EXAMPLE / target).exists(), target


# The installer


def test_the_installer_is_clean_shell() -> None:
    done = subprocess.run([needed("shellcheck"), str(EXAMPLE / "install.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


class Board:
    """A board made of stand-ins that write down what they were asked to do; files go below `root`."""

    def __init__(self, folder: Path, *, machine: str = "aarch64", bits: str = "64", python: str = "3.13") -> None:
        self.root, self.log, self.wheel = folder / "root", folder / "log", folder / "edgeclf-1-py3-none-any.whl"
        self.wheel.touch()
        self._bin = folder / "bin"
        for made in (self.root, self._bin):
            made.mkdir()
        self.log.touch()
        self.program("uname", f"echo {machine}")
        self.program("getconf", f"echo {bits}")
        self.program("id", "exit 1")
        self.program("hostname", "echo kitchen")
        for name in ("apt-get", "useradd", "systemctl", "journalctl"):
            self.program(name)
        # Makes an environment whose pip writes down its arguments; answers the version; draws a real token.
        pip = "mkdir -p $last/bin; cp " + shlex.quote(str(self._recorder("pip"))) + " $last/bin/pip"
        self.program(
            "python3",
            f'for last; do :; done\ncase "$*" in\n*version_info*) echo {python} ;;\n'
            f'*secrets*) exec {shlex.quote(sys.executable)} "$@" ;;\n*) {pip} ;;\nesac',
        )

    def _recorder(self, name: str, then: str = "") -> Path:
        path = self._bin / f".{name}"
        path.write_text(f'#!/bin/sh\necho {name} "$@" >>{shlex.quote(str(self.log))}\n{then}\n')
        path.chmod(0o755)
        return path

    def program(self, name: str, then: str = "") -> None:
        (self._bin / name).unlink(missing_ok=True)
        (self._bin / name).symlink_to(self._recorder(name, then))

    def install(self, *options: str, wheel: str | None = "", cwd: Path = EXAMPLE) -> subprocess.CompletedProcess[str]:
        """Run the installer with a wheel that exists, with another one, or with none."""
        arguments = [*options, *([] if wheel is None else [wheel or str(self.wheel)])]
        environment = {"PATH": f"{self._bin}:/usr/bin:/bin", "DESTDIR": str(self.root)}
        command = ["sh", str(EXAMPLE / "install.sh"), *arguments]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

    def asked(self, program: str) -> list[str]:
        return [line.partition(" ")[2] for line in self.log.read_text().splitlines() if line.split()[0] == program]

    def env(self) -> Path:
        return self.root / "etc" / "edgeclf" / "live.env"


def test_the_installer_does_what_the_readme_says(tmp_path: Path) -> None:
    board = Board(tmp_path)
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert board.asked("apt-get") == [
        "update",
        "install -y --no-install-recommends python3-venv libgl1 libglib2.0-0 libxcb1",
    ]
    assert board.asked("useradd")[0].endswith("edgeclf")
    assert board.asked("pip")[0] == f"install --upgrade {board.wheel}[web]"
    assert board.asked("systemctl") == ["daemon-reload", "enable edgeclf-live", "restart edgeclf-live"]
    unit = board.root / "etc" / "systemd" / "system" / UNIT.name
    assert unit.read_bytes() == UNIT.read_bytes()
    values = assignments(board.env().read_text())
    assert board.env().stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[\w-]{32}", values["EDGECLF_TOKEN"])
    assert values["EDGECLF_CAMERA"] == "0"
    assert done.stdout.endswith(f"http://kitchen.local:8765/?token={values['EDGECLF_TOKEN']}\n")


def test_the_installer_run_again_keeps_the_settings(tmp_path: Path) -> None:
    board = Board(tmp_path)
    assert board.install().returncode == 0
    board.env().write_text(board.env().read_text().replace("MODEL=cifar10", "MODEL=digits"))
    before = board.env().read_bytes()
    board.program("id")
    assert board.install().returncode == 0
    assert board.env().read_bytes() == before
    assert len(board.asked("useradd")) == 1


@pytest.mark.parametrize(
    ("web", "shown"),
    [
        ("0.0.0.0:9000", ["    http://kitchen.local:9000/?token={token}"]),
        ('"0.0.0.0:9000"', ["    http://kitchen.local:9000/?token={token}"]),
        (
            "127.0.0.1:9000",
            ["    ssh -L 9000:127.0.0.1:9000 kitchen.local", "and open http://127.0.0.1:9000/?token={token}"],
        ),
        (None, ["    ssh -L 8765:127.0.0.1:8765 kitchen.local", "and open http://127.0.0.1:8765/?token={token}"]),
    ],
    ids=["port", "quoted", "board alone", "not set"],
)
def test_the_installer_names_the_page_that_the_settings_ask_for(
    tmp_path: Path, web: str | None, shown: list[str]
) -> None:
    board = Board(tmp_path)
    assert board.install().returncode == 0
    line = "" if web is None else f"EDGECLF_WEB={web}"
    board.env().write_text(board.env().read_text().replace("EDGECLF_WEB=0.0.0.0:8765", line))
    done = board.install()
    token = assignments(board.env().read_text())["EDGECLF_TOKEN"]
    assert done.stdout.splitlines()[-len(shown) :] == [one.format(token=token) for one in shown]


def test_two_boards_have_two_tokens(tmp_path: Path) -> None:
    tokens = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        board = Board(tmp_path / name)
        board.install()
        tokens.add(assignments(board.env().read_text())["EDGECLF_TOKEN"])
    assert len(tokens) == 2


@pytest.mark.parametrize(
    ("python", "packages"),
    [("3.11", " numpy<2 opencv-python<4.12"), ("3.13", "")],
    ids=["bookworm", "trixie"],
)
def test_a_camera_on_the_ribbon_cable(tmp_path: Path, python: str, packages: str) -> None:
    board = Board(tmp_path, python=python)
    assert board.install("--csi").returncode == 0
    assert board.asked("apt-get")[1].endswith("python3-picamera2")
    assert board.asked("python3")[0].startswith("-m venv --system-site-packages ")
    assert board.asked("pip")[0] == f"install --upgrade {board.wheel}[web]{packages}"
    assert assignments(board.env().read_text())["EDGECLF_CAMERA"] == "picamera2"
    # an update keeps what the camera needs
    assert board.install().returncode == 0
    made = [asked for asked in board.asked("python3") if asked.startswith("-m venv ")]
    assert made == 2 * made[:1]


def test_a_wheel_of_ones_own(tmp_path: Path) -> None:
    board = Board(tmp_path)
    wheel = tmp_path / "edgeclf-9-py3-none-any.whl"
    wheel.touch()
    both = [f"install --upgrade {wheel}[web]", f"install --force-reinstall --no-deps {wheel}"]
    assert board.install(wheel=str(wheel)).returncode == 0
    assert board.asked("pip") == both
    # as README.md calls it, from the folder that the wheel was copied to
    done = board.install(wheel=wheel.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert board.asked("pip") == 2 * both


@pytest.mark.parametrize(
    ("machine", "bits", "arguments", "said"),
    [
        ("aarch64", "32", (), "this is a 32-bit system on aarch64"),
        ("armv7l", "32", (), "this is a 32-bit system on armv7l"),
        ("x86_64", "64", (), "this is a 64-bit system on x86_64"),
        ("aarch64", "64", ("--cis",), "unknown argument --cis"),
        ("aarch64", "64", ("no.whl",), "no.whl: no such file"),
        ("aarch64", "64", (), "name the wheel to install: sudo sh install.sh [--csi] edgeclf-VERSION"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_is_done(
    tmp_path: Path, machine: str, bits: str, arguments: tuple[str, ...], said: str
) -> None:
    board = Board(tmp_path, machine=machine, bits=bits)
    done = board.install(*arguments, wheel=None)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert board.asked("apt-get") == []
    assert list(board.root.iterdir()) == []


def test_a_service_that_does_not_start_is_told(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.program("systemctl", 'case "$1" in restart) exit 1 ;; esac')
    board.program("journalctl", "echo no such camera")
    done = board.install()
    assert done.returncode == 1
    assert "no such camera" in done.stderr
    assert "tries again" in done.stderr
