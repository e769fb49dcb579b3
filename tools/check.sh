#!/bin/sh
# README's second command: installs what is missing and runs every check. `--fast` leaves out the slow tests and those that
# need an environment of their own. Other arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
. tools/environment.sh

# The tests start hundreds of processes: each would compile edgeclf's modules anew.
unset PYTHONDONTWRITEBYTECODE

fast=
if [ "${1:-}" = --fast ]; then
    fast=yes
    shift
fi

base_packages
system_packages libegl1 libgles2
# What the live tests are tried with: a browser, a display in memory, a broker, pipelines, systemd. Without, they skip.
system_packages chromium xvfb xdotool mosquitto gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    python3-gi gir1.2-gst-rtsp-server-1.0 systemd openssl shellcheck || [ "$(id -u)" != 0 ]

# A device's environment: the wheel as users get it, and nothing of the host side. The older runtime wants older packages
# around it. An independent client of the emitted models pins what edgeclf does not, so it lives apart.
more_environments() {
    # shellcheck disable=SC2046 # a list of names
    environment .venv-edge -c constraints.txt $(edge_packages)
    quietly .venv-edge/bin/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir "$wheel" .
    quietly .venv-edge/bin/python -m pip install --disable-pip-version-check -c constraints.txt --force-reinstall --no-deps \
        "$wheel"/edgeclf-*.whl
    .venv-edge/bin/python -m pip check >&2

    # shellcheck disable=SC2046 # a list of names
    environment .venv-tflite-runtime -c constraints-tflite-runtime.txt $(edge_packages) tflite-runtime
    quietly .venv-tflite-runtime/bin/python -m pip install --disable-pip-version-check -c constraints-tflite-runtime.txt \
        --force-reinstall --no-deps "$wheel"/edgeclf-*.whl
    .venv-tflite-runtime/bin/python -m pip check >&2

    environment .venv-mediapipe mediapipe==1.2.2
}
making=
if [ -z "$fast" ]; then
    wheel=$(mktemp -d)
    trap 'kill $making 2>/dev/null || :; rm -rf "$wheel"' EXIT
    more_environments & # beside the large one: an installation has one core only
    making=$!
fi

environment .venv -c constraints.txt -e '.[train,web,mqtt,dev,heic,imagenet,onnx,docs,litert-quantizer,3d]'
bin=.venv/bin

say "style, types, layers"
"$bin/ruff" check --quiet .
"$bin/ruff" format --check --quiet .
"$bin/mypy"
"$bin/lint-imports" >/dev/null || "$bin/lint-imports"

say "the guide: warnings and broken links are errors"
"$bin/sphinx-build" -q -W --keep-going -n docs build/guide

if [ -z "$fast" ]; then
    wait "$making"
    making=
    EDGECLF_EDGE_PYTHON=$PWD/.venv-edge/bin/python
    EDGECLF_TFLITE_RUNTIME_PYTHON=$PWD/.venv-tflite-runtime/bin/python
    EDGECLF_MEDIAPIPE_PYTHON=$PWD/.venv-mediapipe/bin/python
    export EDGECLF_EDGE_PYTHON EDGECLF_TFLITE_RUNTIME_PYTHON EDGECLF_MEDIAPIPE_PYTHON
fi

say "tests"
# Two at a time, a file at a time, so that a file's networks are trained once; then, alone, what measures time or load.
run_tests() {
    kind=$1
    shift
    if [ -n "$fast" ]; then
        kind="$kind and not slow"
    fi
    status=0
    "$bin/python" -m pytest -q --durations=15 -m "$kind" "$@" || status=$?
    # 5: no test of this kind among those that were named
    [ "$status" = 0 ] || [ "$status" = 5 ] || failed=yes
}
failed=
run_tests "not alone" -n 2 --dist loadfile --no-loadscope-reorder "$@"
run_tests "alone" "$@"

# Not where tests were named: whoever tries a few wants no five minutes of situations.
if [ -z "$fast" ] && [ $# = 0 ]; then
    say "what strangers bring"
    "$bin/python" tools/strangers.py >&2 || failed=yes
fi
[ -z "$failed" ]
