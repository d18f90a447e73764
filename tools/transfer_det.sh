#!/usr/bin/env bash
# Train Mask R-CNN on pretrained weights: CONFIG CHECKPOINT|--from-scratch [GPUS] [options such as --work-dir, --cfg-options, --resume]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
transfer "$@"
