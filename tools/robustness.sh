#!/usr/bin/env bash
# What else pretrained weights are good for: CONFIG CHECKPOINT [GPUS] [options such as --parts, --limit, --work-dir]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
if [ $# -lt 2 ]; then usage "CONFIG CHECKPOINT [GPUS] [options]"; fi
config="$1" checkpoint="$2" gpus=1
shift 2
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    gpus="$1"
    shift
fi
launch "$gpus" robustness "$config" "$checkpoint" "$@"
