#!/bin/sh
# Installs the meshctl agent on this host, and takes it away again: sh FILE --help
# Below these lines is a zip archive with the installer itself, which this Python runs.
set -eu

payload=@NAME@
pythons='@PYTHONS@'

refuse() {
    printf 'error: %s\n  %s\n  hint: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

# Whether a program is a Python that the payload is for.
fits() {
    found=$("$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    case " $pythons " in *" $found "*) return 0 ;; *) return 1 ;; esac
}

[ "$(uname -s)" = Linux ] || refuse unsupported-system "this is $(uname -s)" 'the agent needs Linux'

case "${1:-}" in
--python=*)
    python=${1#--python=}
    shift
    fits "$python" || refuse unsupported-python "$python is none of Python $pythons" \
        'name one of them, with its path'
    ;;
*)
    python=
    for each in python3 $(printf 'python%s ' $pythons); do
        if command -v "$each" >/dev/null 2>&1 && fits "$each"; then
            python=$(command -v "$each")
            break
        fi
    done
    [ -n "$python" ] || refuse unsupported-python "this host has none of Python $pythons" \
        'install one, such as with `apt-get install python3` or `dnf install python3.11`, or name it with --python=PATH'
    ;;
esac

exec "$python" -IB "$0" "$payload" "$@"
exit 1
