#!/usr/bin/env bash
#SBATCH --job-name=stvg
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=8
#SBATCH --output=%x-%j.log
# One stage on the GPUs of one node; submit from the checkout's root. Not run on GPUs yet.
#
#   sbatch launch/slurm/one_node.sh sft my/sft.yaml --learning_rate 1e-5
#   VENV=.venv-vllm sbatch launch/slurm/one_node.sh grpo my/grpo.yaml --use_vllm true --vllm_mode colocate
#
# ACCELERATE_CONFIG chooses another file of launch/accelerate than zero2.yaml.
set -euo pipefail
stage=${1:?stage: cpt, sft or grpo} config=${2:?YAML of the stage}
shift 2
source launch/env.sh
accelerate launch --config_file "${ACCELERATE_CONFIG:-launch/accelerate/zero2.yaml}" \
  --num_processes "${SLURM_GPUS_ON_NODE:-8}" -m "recipe.$stage" --config "$config" "$@"
