#!/bin/sh
# The board without the board: install the wheel on an emulated Raspberry Pi and compare all it says with this machine.
#
#     sh tools/pi/emulate.sh [--images FOLDER] [--frames N]
#
# Builds, once, a Debian arm64 root that qemu runs; then, each time, builds the wheel, installs it there into a new environment,
# and runs `verify`, `predict` and `live` on both machines (compare.py). Ends with one JSON document on stdout, and exit code 0
# where every label is equal or explained, else 1. It proves that edgeclf installs, runs and computes the same on a board; it
# says nothing about speed.
#
# PI="4 5"          boards to compare: Cortex-A72, Cortex-A76.
# SUITE=bookworm    the system: bookworm (Debian 12, Python 3.11, as 64-bit Raspberry Pi OS Bookworm) or trixie (Debian 13, 3.13).
# EDGECLF_PI_CACHE  where root, wheels and environments are kept; default ~/.cache/edgeclf-pi (0.8 GB).
#
# Needs qemu-user-static and debootstrap, and proot where the kernel has no binfmt_misc in namespaces (before 6.7): installed when
# run as root, named otherwise. Nothing else needs root. Linux on x86-64.
set -eu
called_from=$PWD
cd "$(dirname "$0")/../.."
. tools/environment.sh

cache=${EDGECLF_PI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edgeclf-pi}
export EDGECLF_PI_CACHE="$cache"
boards=${PI:-4 5}
SUITE=${SUITE:-bookworm}
export SUITE
case $SUITE in
bookworm) glib=libglib2.0-0 python_version=3.11 ;;
trixie) glib=libglib2.0-0t64 python_version=3.13 ;;
*)
    echo "SUITE must be bookworm or trixie, got $SUITE" >&2
    exit 2
    ;;
esac
root=$cache/root-$SUITE
wheels=$cache/wheels-$SUITE
export PI=4 # for what is done on one board only
edge=$(edge_packages)
mkdir -p "$cache"

base_packages
system_packages qemu-user-static debootstrap proot

# The packages are only unpacked: what their scripts would configure is not needed, and would be slow under emulation.
build_root() {
    say "building the arm64 root of $SUITE in $cache (once)"
    rm -rf "$root" "$root.new" "$cache/debs"
    mkdir -p "$root.new/usr/bin" "$root.new/usr/sbin" "$root.new/usr/lib"
    for folder in bin sbin lib; do ln -s "usr/$folder" "$root.new/$folder"; done
    quietly env PATH="$PATH:/usr/sbin" debootstrap --download-only --arch=arm64 --variant=minbase \
        --include="python3,python3-venv,libgl1,$glib,libxcb1" "$SUITE" "$cache/debs"
    for package in "$cache"/debs/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$root.new" -x --keep-directory-symlink --no-same-owner
    done
    for folder in proc dev sys root tmp; do mkdir -p "$root.new/$folder"; done
    chmod 1777 "$root.new/tmp"
    echo root:x:0:0:root:/root:/bin/sh >"$root.new/etc/passwd"
    echo root:x:0: >"$root.new/etc/group"
    # What the script of ca-certificates would do: pip looks for it, even when it fetches nothing.
    mkdir -p "$root.new/etc/ssl/certs"
    cat "$root.new"/usr/share/ca-certificates/mozilla/*.crt >"$root.new/etc/ssl/certs/ca-certificates.crt"
    touch "$root.new/.built"
    mv "$root.new" "$root"
    rm -rf "$cache/debs"
}
[ -e "$root/.built" ] || build_root

# This machine's side: the same wheel and the same versions.
# shellcheck disable=SC2086 # a list of names
environment "$cache/host" -c constraints.txt $edge
host=$cache/host/bin/python

# The board's wheels, chosen here and installed there without a network. pip takes a platform literally, so all are named.
platforms="--platform manylinux2014_aarch64"
for minor in 17 24 26 27 28 31 34 35 36; do platforms="$platforms --platform manylinux_2_${minor}_aarch64"; done
wanted="$edge $(cksum <constraints.txt)"
if [ "$(cat "$wheels/.fetched" 2>/dev/null)" != "$wanted" ]; then
    say "fetching the arm64 wheels of: $edge"
    rm -rf "$wheels"
    # shellcheck disable=SC2086 # lists of words
    quietly "$host" -m pip download --disable-pip-version-check --dest "$wheels" -c constraints.txt $platforms \
        --python-version "$python_version" --implementation cp --abi "cp${python_version%.*}${python_version#*.}" --abi abi3 --abi none --only-binary=:all: $edge
    printf '%s' "$wanted" >"$wheels/.fetched"
fi

WORK=$(mktemp -d "$cache/run.XXXXXX")
export WORK
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
say "building the wheel"
mkdir "$WORK/wheels"
cp "$wheels"/*.whl "$WORK/wheels"
quietly "$host" -m pip wheel --disable-pip-version-check --no-deps --wheel-dir "$WORK/wheels" .
quietly "$host" -m pip install --disable-pip-version-check --force-reinstall --no-deps "$WORK"/wheels/edgeclf-*.whl

# A user's install, but for the byte code, which an emulated processor is slow to compile.
say "installing it on the board, into a new environment"
quietly sh tools/pi/board.sh python3 -m venv /board/edge
quietly sh tools/pi/board.sh /board/edge/bin/pip install --disable-pip-version-check --no-compile --no-index \
    --find-links /board/wheels edgeclf
quietly sh tools/pi/board.sh /board/edge/bin/pip check

say "comparing the board with this machine"
status=0
# shellcheck disable=SC2086 # a list of numbers
"$host" tools/pi/compare.py --work "$WORK" --pi $boards --from "$called_from" "$@" || status=$?
exit "$status"
