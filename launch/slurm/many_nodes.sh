#!/usr/bin/env bash
#SBATCH --job-name=stvg
#SBATCH --nodes=3
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --output=%x-%j.log
# One stage on several nodes; submit from the checkout's root. Not run on GPUs yet.
#
#   sbatch launch/slurm/many_nodes.sh sft my/sft.yaml
#   VENV=.venv-vllm MODEL=runs/my/sft sbatch launch/slurm/many_nodes.sh grpo my/grpo.yaml
#
# For grpo the first node serves rollouts with vLLM, of the checkpoint in MODEL, and the others train; else all train.
# TENSOR_PARALLEL is how many GPUs serve, all of the node by default; it must divide the language model's heads. The vision
# tower is copied and not split: GLM-4.1V's has 12 heads.
# ACCELERATE_CONFIG chooses another file of launch/accelerate than zero3.yaml.
set -euo pipefail
stage=${1:?stage: cpt, sft or grpo} config=${2:?YAML of the stage}
shift 2
source launch/env.sh
export GPUS=${SLURM_GPUS_ON_NODE:-8}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
extra=()
if [ "$stage" = grpo ]; then
  : "${MODEL:?the checkpoint to start from}" "${nodes[1]:?grpo needs two nodes or more: one serves, the others train}"
  server=${nodes[0]}
  nodes=("${nodes[@]:1}")
  srun --nodes=1 --ntasks=1 --cpu-bind=none --nodelist="$server" \
    trl vllm-serve --model "$MODEL" --tensor_parallel_size "${TENSOR_PARALLEL:-$GPUS}" --mm-encoder-tp-mode data &
  trap 'kill %1 2>/dev/null || true' EXIT
  # A large model takes longer to load than the four minutes that TRL waits by default.
  extra=(--use_vllm true --vllm_mode server --vllm_server_host "$server" --vllm_server_timeout 1800
    --model_name_or_path "$MODEL")
fi
export MAIN=${nodes[0]} COUNT=${#nodes[@]}
srun --nodes="$COUNT" --ntasks="$COUNT" --cpu-bind=none --nodelist="$(IFS=,; echo "${nodes[*]}")" bash -c '
  accelerate launch --config_file "${ACCELERATE_CONFIG:-launch/accelerate/zero3.yaml}" \
    --num_machines "$COUNT" --num_processes "$((COUNT * GPUS))" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$MAIN" --main_process_port 29500 -m "recipe.$0" --config "$@"
' "$stage" "$config" "${extra[@]}" "$@"
