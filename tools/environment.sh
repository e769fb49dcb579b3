# Read by try.sh and check.sh: makes the environments they need. POSIX sh; run from the repository's root.

python=${PYTHON:-python3.11}

began=$(date +%s)

# Head what comes next, with the time since the script began.
say() {
    seconds=$(($(date +%s) - began))
    printf '\n== %s (%d:%02d)\n' "$*" $((seconds / 60)) $((seconds % 60)) >&2
}

# Run a command without its output, which is shown when it fails (without pip's notes about index locations).
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
    else
        status=$?
        grep -v 'is ignored' "$log" >&2 || : # a command may have printed nothing
        rm -f "$log"
        echo "failed: $*" >&2
        return "$status"
    fi
}

# Install what is missing of the named Debian packages; say what to run where that is not ours to do.
system_packages() {
    command -v dpkg-query >/dev/null || return 0
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        say "installing system packages:$missing"
        quietly apt-get update
        # shellcheck disable=SC2086 # a list of names
        quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    else
        echo "these system packages are missing; as root: apt-get install$missing" >&2
        return 2
    fi
}

# The packages without which OpenCV does not import, and, where Python comes from Debian, the one that makes environments.
base_packages() {
    if ! command -v "$python" >/dev/null; then
        system_packages python3.11 python3.11-venv
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        system_packages python3.11-venv
    fi
    system_packages libgl1 libglib2.0-0 libxcb1
}

# Print the names of what edgeclf needs on a device: the dependencies without an extra.
edge_packages() {
    sed -n '/^dependencies = \[/,/^\]/s/^ *"\([A-Za-z0-9_.-]*\).*/\1/p' pyproject.toml | tr '\n' ' '
}

# environment FOLDER WHAT...: a virtual environment with `pip install WHAT...`, made again only when something changed.
environment() {
    folder=$1
    shift
    wanted="$* $("$python" -V) $(cat pyproject.toml constraints*.txt | cksum)"
    [ "$(cat "$folder/.installed" 2>/dev/null)" = "$wanted" ] && return 0
    say "installing into $folder: $*"
    [ "$("$folder/bin/python" -V 2>/dev/null)" = "$("$python" -V)" ] || quietly "$python" -m venv --clear "$folder"
    rm -f "$folder/.installed"
    quietly "$folder/bin/python" -m pip install --disable-pip-version-check "$@"
    printf '%s' "$wanted" >"$folder/.installed"
}
