#!/usr/bin/env bash
# Make the locks requirements/lock-py3*.txt from requirements/*.in, for Linux x86_64 and wheels only.
#
#   bash tools/lock.sh              keep the pins that still fit
#   bash tools/lock.sh --upgrade    newest versions that fit (arguments go through to `uv pip compile`)
#
# uv resolves for every Python minor from any one of them. The index is uv's default: a lock names no host.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

uv=$(command -v uv || true)
[ -n "$uv" ] || uv=.venv/bin/uv
if [ ! -x "$uv" ]; then
    echo "lock.sh: uv is not installed: run '.venv/bin/python -m pip install uv' and then this command again." >&2
    exit 2
fi

for minor in 10 11 12; do
    echo "lock.sh: Python 3.$minor"
    UV_PYTHON_DOWNLOADS=never "$uv" pip compile requirements/runtime.in requirements/tests.in \
        --overrides requirements/overrides.in \
        --python-version "3.$minor" --python-platform x86_64-manylinux_2_28 --only-binary :all: \
        --no-config --no-emit-index-url --no-emit-find-links \
        --custom-compile-command "bash tools/lock.sh" --quiet \
        --output-file "requirements/lock-py3$minor.txt" "$@"
done
