#!/usr/bin/env bash
# Check a machine with a GPU in at most nine minutes and without a network: the tests marked `gpu`, the step benchmark in
# bf16, the image operations, and a short chain from pretraining to transfer. Results are left as JSON in DIR.
#
#   bash tools/accelerator_check.sh --out DIR                  on a machine with a GPU
#   bash tools/accelerator_check.sh --out DIR --device cpu     a much reduced dry run, about a minute
#   bash tools/accelerator_check.sh --out DIR --wheels DIR     packages that this Python lacks, as wheels
#   PYTHON=/path/to/python bash tools/accelerator_check.sh ... this Python instead of .venv's or python3
#
# MIXPRO_DATA_ROOT may name the folder of configs/suites/real_small.py's photographs; without it the built-in digits serve.
# Exit status: 0 every part succeeded, 1 some did not (see DIR/summary.json), 2 it cannot be run here.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if [ -x "$root/.venv/bin/python" ]; then python="$root/.venv/bin/python"; fi
fi
command -v "$python" >/dev/null || {
    echo "accelerator_check: there is no '$python': name a Python with PYTHON=/path/to/python." >&2
    exit 2
}

arguments=()
wheels=""
while [ $# -gt 0 ]; do
    case "$1" in
        --wheels) wheels="${2:-}"; shift 2 || { echo "accelerator_check: --wheels needs a folder." >&2; exit 2; } ;;
        *) arguments+=("$1"); shift ;;
    esac
done

export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "$wheels" ]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl >&2 || {
        echo "accelerator_check: the wheels in '$wheels' cannot be installed, see pip's message above." >&2
        exit 2
    }
    PYTHONPATH="$PYTHONPATH:$site"
fi
status=0
"$python" -m mixpro_bench.benchmark.accelerator "${arguments[@]}" || status=$?
exit "$status"
