#!/usr/bin/env bash
#SBATCH --job-name=stvg
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --output=%x-%j.log
# sbatch launch/slurm/many_nodes.sh STAGE CONFIG [settings of the stage]
# For grpo the first node serves rollouts (MODEL says of which checkpoint) and the others train; else all nodes train.
set -euo pipefail
stage=${1:?stage: cpt, sft or grpo} config=${2:?YAML of the stage}
shift 2
source launch/env.sh
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
extra=()
if [ "$stage" = grpo ]; then
  server=${nodes[0]}
  nodes=("${nodes[@]:1}")
  srun --nodes=1 --ntasks=1 --nodelist="$server" trl vllm-serve --model "${MODEL:?MODEL: the checkpoint to start from}" \
    --tensor_parallel_size "${SLURM_GPUS_ON_NODE:-8}" &
  trap 'kill %1 2>/dev/null || true' EXIT
  extra=(--use_vllm true --vllm_mode server --vllm_server_host "$server")
fi
export MAIN=${nodes[0]} COUNT=${#nodes[@]} GPUS=${SLURM_GPUS_ON_NODE:-8}
srun --nodes="$COUNT" --ntasks="$COUNT" --nodelist="$(IFS=,; echo "${nodes[*]}")" bash -c '
  accelerate launch --config_file "${ACCELERATE_CONFIG:-launch/accelerate/zero3.yaml}" \
    --num_machines "$COUNT" --num_processes "$((COUNT * GPUS))" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$MAIN" --main_process_port 29500 -m "recipe.$0" --config "$@"
' "$stage" "$config" "${extra[@]}" "$@"
