#!/usr/bin/env bash
#SBATCH --job-name=stvg
#SBATCH --nodes=1
#SBATCH --gpus-per-node=8
#SBATCH --output=%x-%j.log
# sbatch launch/slurm/one_node.sh STAGE CONFIG [settings of the stage]
set -euo pipefail
stage=${1:?stage: cpt, sft or grpo} config=${2:?YAML of the stage}
shift 2
source launch/env.sh
accelerate launch --config_file "${ACCELERATE_CONFIG:-launch/accelerate/zero2.yaml}" \
  --num_processes "${SLURM_GPUS_ON_NODE:-8}" -m "recipe.$stage" --config "$config" "$@"
