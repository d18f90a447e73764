#!/usr/bin/env bash
# Pretrain a backbone: CONFIG [GPUS] [options such as --work-dir, --cfg-options, --resume]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
if [ $# -lt 1 ]; then usage "CONFIG [GPUS] [options]"; fi
config="$1"
shift
gpus=1
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    gpus="$1"
    shift
fi
launch "$gpus" pretrain "$config" "$@"
