#!/bin/sh
# Make a 64-bit Raspberry Pi OS (Bookworm or Trixie) label what its camera sees, from the start of the board on.
#
#     sudo sh install.sh [--csi] WHEEL
#
# --csi   for a camera on the ribbon cable: installs picamera2, and lets the virtual environment see it.
# WHEEL   the edgeclf-*.whl to install (README.md, step 3); no package index has edgeclf yet.
#
# Run it again to update: settings in /etc/edgeclf/live.env stay as they are. README.md explains each step.
set -eu
called_from=$PWD
cd "$(dirname "$0")"

fail() {
    echo "install.sh: $*" >&2
    exit 2
}

csi=
wheel=
for argument in "$@"; do
    case $argument in
    --csi) csi=yes ;;
    /*.whl) wheel=$argument ;;
    *.whl) wheel=$called_from/$argument ;;
    *) fail "unknown argument $argument; usage: sudo sh install.sh [--csi] WHEEL" ;;
    esac
done

# A 32-bit system may run on a 64-bit kernel; Python's packages are those of the system.
machine=$(uname -m)
bits=$(getconf LONG_BIT)
[ "$machine $bits" = "aarch64 64" ] ||
    fail "this is a $bits-bit system on $machine; edgeclf needs a 64-bit Raspberry Pi OS: write one to the card (README.md, step 1)"
# Of a package index the name might one day be somebody else's, whose code would run as root.
[ -n "$wheel" ] || fail "name the wheel to install: sudo sh install.sh [--csi] edgeclf-VERSION-py3-none-any.whl (README.md, step 3)"
[ -f "$wheel" ] || fail "$wheel: no such file"
# DESTDIR, for packagers and tests: where files go instead of /.
root=${DESTDIR:-}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "run it as root: sudo sh install.sh $*"

# An update of what was installed for the ribbon cable is for it as well.
! grep -q '^EDGECLF_CAMERA=picamera2' "$root/etc/edgeclf/live.env" 2>/dev/null || csi=yes

apt-get update
apt-get install -y --no-install-recommends python3-venv libgl1 libglib2.0-0 libxcb1 ${csi:+python3-picamera2}

id edgeclf >/dev/null 2>&1 ||
    useradd --system --user-group --groups video --home-dir /var/lib/edgeclf --shell /usr/sbin/nologin edgeclf

python3 -m venv ${csi:+--system-site-packages} "$root/opt/edgeclf"
set -- "${wheel}[web]"
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ -n "$csi" ] && [ "$version" = 3.11 ]; then
    # Bookworm's picamera2 is made for numpy 1, which OpenCV from 4.12 on does not take.
    set -- "$@" 'numpy<2' 'opencv-python<4.12'
fi
"$root/opt/edgeclf/bin/pip" install --upgrade "$@"
# Another build of the same version counts as installed already.
"$root/opt/edgeclf/bin/pip" install --force-reinstall --no-deps "$wheel"

install -d -m 755 "$root/etc/edgeclf" "$root/etc/systemd/system"
if [ ! -e "$root/etc/edgeclf/live.env" ]; then
    camera=0
    [ -z "$csi" ] || camera=picamera2
    token=$(python3 -c 'import secrets; print(secrets.token_urlsafe(24))')
    # Nobody but root may read the token, at no moment.
    (
        umask 077
        sed -e "s/^EDGECLF_CAMERA=.*/EDGECLF_CAMERA=$camera/" -e "s/^EDGECLF_TOKEN=.*/EDGECLF_TOKEN=$token/" live.env \
            >"$root/etc/edgeclf/live.env"
    )
fi
install -m 644 edgeclf-live.service "$root/etc/systemd/system/edgeclf-live.service"
systemctl daemon-reload
systemctl enable edgeclf-live
if ! systemctl restart edgeclf-live; then
    journalctl --unit edgeclf-live --lines 5 --output cat --no-pager >&2
    echo "install.sh: installed, but it does not run yet (see above); it tries again every 10 seconds" >&2
    exit 1
fi

# What systemd takes of the settings: the last line of a name, without quotes.
set_to() {
    sed -n "s/^$1=//p" "$root/etc/edgeclf/live.env" | tail -n 1 | tr -d "\"'"
}
page=$(set_to EDGECLF_WEB)
page=${page:-127.0.0.1:8765}
port=${page##*:}
case $page in
127.* | localhost:* | "[::1]:"*)
    echo "Running. Its page is for this board alone; show it on another computer with"
    echo "    ssh -L $port:$page $(hostname).local"
    echo "and open http://127.0.0.1:$port/?token=$(set_to EDGECLF_TOKEN)"
    ;;
*)
    echo "Running. The page, for a browser in the same network:"
    echo "    http://$(hostname).local:$port/?token=$(set_to EDGECLF_TOKEN)"
    ;;
esac
