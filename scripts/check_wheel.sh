#!/usr/bin/env bash
# Build the wheel and check that it holds only the leaf and imports in a bare environment.
#
#   scripts/check_wheel.sh python3 .venv/bin/python     # the Python of the bare environment, and the one that builds
set -euo pipefail
python=$1 builder=$2

rm -rf build dist  # an old build/ would put deleted files into the wheel
"$builder" -m build --wheel --quiet
"$builder" -m zipfile -l dist/*.whl |
  awk 'NR > 1 && $1 !~ /^stvg_rewards(-[0-9.]*[.]dist-info)?\// {print "not of the leaf: " $1; bad = 1} END {exit bad}'
"$python" -m venv --clear build/bare
build/bare/bin/python -m pip install --quiet --no-deps --no-index dist/*.whl
build/bare/bin/python -I -c 'import stvg_rewards as s; print("bare import of", s.__version__, "ok:", s.score_answer(s.parse_answer("{}"), None))'
build/bare/bin/python -m pip check
