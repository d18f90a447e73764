#!/usr/bin/env bash
# Set up, then run the tests in two processes.
#
#   bash tools/test.sh [pytest arguments]      e.g. tests/mixing, -m "not mm", -n 0 --pdb
#
# Paths are taken from the root of the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
# One thread per process: two processes with a thread per core each would be slower than one.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -n 2 --dist loadscope "$@"
