#!/usr/bin/env bash
# List runs/ with sizes and remove it after asking.
#
#   scripts/clean_runs.sh       # asks, so it needs a terminal
#   scripts/clean_runs.sh 1     # asks nothing
set -euo pipefail

[ -d runs ] || { echo "clean-runs: there is no runs/"; exit 0; }
du -h -d 1 runs
if [ "${1:-}" != 1 ]; then
  [ -t 0 ] || { echo "error: clean-runs asks before it removes, and there is no terminal; YES=1 asks nothing" >&2; exit 2; }
  read -r -p "Remove runs/ with every checkpoint and report in it? [y/N] " answer || answer=
  [ "$answer" = y ] || { echo "nothing was removed"; exit 0; }
fi
rm -rf runs
