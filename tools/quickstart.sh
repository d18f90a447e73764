#!/usr/bin/env bash
# From a fresh clone to a leaderboard: set up, then run the demo suite on the built-in data.
#
#   bash tools/quickstart.sh [options of `mixpro-bench suite`]
#
# Paths are taken from the root of the repository. A second call runs only what is not done yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
exec .venv/bin/mixpro-bench suite configs/suites/demo.py --work-dir work_dirs/demo "$@"
