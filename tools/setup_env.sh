#!/usr/bin/env bash
# Make .venv from the lock of its Python version. The other tools call this first; a complete .venv costs nothing.
#
#   bash tools/setup_env.sh                 first of python3.11, 3.12, 3.10, python3 that fits
#   PYTHON=/path/to/python bash tools/...   this Python instead (it matters only while there is no .venv)
#
# Exit status: 0 complete, 2 something the user has to change, other: what pip or venv said.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv="$root/.venv"
stamp="$venv/mixpro-bench-setup"

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 2; }

# Prints e.g. 311 where the Python can be used, nothing where it cannot.
minor_of() {
    "$1" -c 'import sys; v = sys.version_info[:2]; print("%d%d" % v if (3, 10) <= v <= (3, 12) else "")' 2>/dev/null || true
}

has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

no_venv_advice() {
    echo "$1 cannot make virtual environments: install its venv module (Debian and Ubuntu: apt-get install $2-venv)," \
        "or name another Python 3.10-3.12 with PYTHON=/path/to/python, and run the command again."
}

find_python() {
    local candidate minor without_venv=""
    if [ -n "${PYTHON:-}" ]; then
        [ -n "$(minor_of "$PYTHON")" ] ||
            die "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12: name one that is, or leave PYTHON unset."
        has_venv "$PYTHON" || die "$(no_venv_advice "$PYTHON" python3)"
        echo "$PYTHON"
        return
    fi
    # 3.11 first: it is the version the set of packages was run on most.
    for candidate in python3.11 python3.12 python3.10 python3; do
        minor=$(minor_of "$candidate")
        [ -n "$minor" ] || continue
        if has_venv "$candidate"; then
            echo "$candidate"
            return
        fi
        [ -n "$without_venv" ] || without_venv=$candidate
    done
    [ -z "$without_venv" ] || die "$(no_venv_advice "$without_venv" "$without_venv")"
    die "no Python 3.10, 3.11 or 3.12 on PATH: install one (Debian and Ubuntu: apt-get install python3 python3-venv)" \
        "or name one with PYTHON=/path/to/python, and run the command again."
}

# What a complete .venv was made from. Its place counts too: scripts in a virtual environment hold absolute paths.
fingerprint() {
    {
        echo "$root"
        cat "$1" "$root/setup.py" "$root/pyproject.toml" "${BASH_SOURCE[0]}"
    } | sha256sum
}

# The lock is chosen by the folder name lib/python3.X, so that a complete .venv is recognised without starting Python.
lock_of_venv() {
    local library
    for library in "$venv"/lib/python3.*; do
        [ -d "$library" ] && echo "$root/requirements/lock-py3${library##*/python3.}.txt" && return
    done
}

complete() {
    local lock
    [ -f "$stamp" ] && [ -x "$venv/bin/python" ] || return 1
    lock=$(lock_of_venv)
    [ -f "$lock" ] && [ "$(cat "$stamp")" = "$(fingerprint "$lock")" ]
}

if complete; then exit 0; fi

# One set-up at a time; who waited finds the other's work done.
exec 9>"$root/.setup.lock"
if command -v flock >/dev/null && ! flock -n 9; then
    say "another set-up of this folder is running; waiting for it."
    flock 9
    if complete; then exit 0; fi
fi

unset PYTHONHOME PYTHONPATH
export PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_REQUIRE_VIRTUALENV=0

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    if [ -e "$venv" ]; then
        say "$venv is unfinished or its Python is gone; making it anew with $python."
    else
        say "making $venv with $python."
    fi
    "$python" -m venv --clear "$venv"
fi
minor=$(minor_of "$venv/bin/python")
[ -n "$minor" ] || die "$venv is not a Python 3.10, 3.11 or 3.12: remove that folder and run the command again."
lock="$root/requirements/lock-py$minor.txt"
[ -f "$lock" ] || die "$lock is missing: restore it with git, or make it with 'bash tools/lock.sh'."
rm -f "$stamp"

# The last thing pip does for a package is to replace its RECORD by one that lists INSTALLER. Where that did not happen
# the package is half installed, yet pip would take it for complete: without its metadata it is installed again.
for info in "$venv"/lib/python3.*/site-packages/*.dist-info; do
    [ ! -d "$info" ] || grep -qs '/INSTALLER,' "$info/RECORD" || rm -r "$info"
done

say "installing $(grep -c '^[a-z]' "$lock" || true) pinned packages from ${lock#"$root"/}:" \
    "the first time about 3 GB to download, 6 GB on disk and 3 to 10 minutes."
started=$SECONDS
quiet=-qq               # errors only
[ ! -t 2 ] || quiet=""  # on a terminal pip shows how far its downloads are
pip() {
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install $quiet --no-deps "$@" >&2 || {
        status=$?
        say "not finished, see pip's message above; the same command goes on from here" \
            "(with 'No space left on device', also set TMPDIR to a folder with 6 GB free)."
        exit "$status"
    }
}
pip --only-binary=:all: -r "$lock"
pip --no-build-isolation --editable "$root"

fingerprint "$lock" >"$stamp.new"
mv "$stamp.new" "$stamp"
say "complete after $((SECONDS - started)) s: $venv"
