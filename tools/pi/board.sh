#!/bin/sh
# Run a command on the emulated board that emulate.sh has built: Debian arm64, which 64-bit Raspberry Pi OS is.
#
#     sh tools/pi/board.sh COMMAND...
#
# PI=4|5            whose processor: Cortex-A72 (default) or Cortex-A76. It is always named: with qemu's own "max" model
#                   int8 results are those of no board.
# SUITE=bookworm    or trixie.
# WORK=FOLDER       seen on the board as /board, for reading and writing.
# EDGECLF_PI_CACHE  where the root lies; default ~/.cache/edgeclf-pi.
#
# Nothing outside is changed: a user and mount namespace of its own holds the mounts and the registration of qemu. Where the kernel
# does not allow that, proot does the same, slower. Neither needs root.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${EDGECLF_PI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edgeclf-pi}
root=$cache/root-${SUITE:-bookworm}
work=${WORK:-$cache/work}
case ${PI:-4} in
4) cpu=cortex-a72 ;;
5) cpu=cortex-a76 ;;
*)
    echo "PI must be 4 or 5, got $PI" >&2
    exit 2
    ;;
esac
[ -e "$root/.built" ] || {
    echo "$root: no board there; build it with tools/pi/emulate.sh" >&2
    exit 2
}
mkdir -p "$work" "$root/board"

# Inside the namespace: bind what the board needs, and become it.
if [ "${1:-}" = --inside ]; then
    shift
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
    # Without /sys the runtime leaves its fast kernels (XNNPACK) out without a word.
    for folder in proc dev sys; do mount --rbind "/$folder" "$root/$folder"; done
    # With this machine's own cpuinfo the runtime looks for x86 features on Arm, and crashes.
    mount --bind "$here/cpuinfo.pi${PI:-4}" "$root/proc/cpuinfo"
    mount --bind "$work" "$root/board"
    exec chroot "$root" /usr/bin/env -i -C /board PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU=$cpu "$@"
fi

if [ "${ENGINE:-namespace}" = namespace ] && unshare --user --map-root-user --mount --propagation private \
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null; then
    exec unshare --user --map-root-user --mount --propagation private sh "$here/board.sh" --inside "$@"
fi
exec proot -0 -q qemu-aarch64-static -r "$root" -b /proc -b /dev -b /sys -b "$here/cpuinfo.pi${PI:-4}:/proc/cpuinfo" \
    -b "$work:/board" -w /board /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU=$cpu "$@"
