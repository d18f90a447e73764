# Sourced by the scripts beside it: starts `mixpro-bench ARGUMENTS` on one process or, with torchrun, on several.
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, as in OpenMMLab's dist_train.sh.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON=python
if [ -x "$ROOT/.venv/bin/python" ]; then PYTHON="$ROOT/.venv/bin/python"; fi
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

usage() {
    echo "usage: bash tools/$(basename "$0") $1" >&2
    exit 2
}

# launch GPUS ARGUMENTS...
launch() {
    local gpus="$1" machines="${NNODES:-1}"
    shift
    if [ "$gpus" -le 1 ] && [ "$machines" -le 1 ]; then
        exec "$PYTHON" -m mixpro_bench "$@"
    fi
    # One process says what is wrong in one line; several would bury it under torchrun's report.
    WORLD_SIZE=$((gpus * machines)) LOCAL_WORLD_SIZE="$gpus" "$PYTHON" -m mixpro_bench "$@" --check || exit $?
    exec "$PYTHON" -m torch.distributed.run \
        --nnodes="$machines" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
        -m mixpro_bench "$@" --launcher pytorch
}

# transfer CONFIG CHECKPOINT|--from-scratch [GPUS] [OPTIONS]
transfer() {
    if [ $# -lt 2 ]; then usage "CONFIG CHECKPOINT|--from-scratch [GPUS] [options]"; fi
    local config="$1" checkpoint="$2" gpus=1
    shift 2
    if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
        gpus="$1"
        shift
    fi
    launch "$gpus" transfer "$config" "$checkpoint" "$@"
}
