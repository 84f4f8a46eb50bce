# Environment of every launch, in one place: `source launch/env.sh` from anywhere. VENV=.venv-vllm takes that one.
export TOKENIZERS_PARALLELISM=false
export HF_HUB_DISABLE_TELEMETRY=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-8}"
# Python finds recipe/ and data_prep/ from the checkout's root; -m keeps it first on the path.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || return 1
if [ -f "${VENV:=.venv}/bin/activate" ]; then source "$VENV/bin/activate"; fi
