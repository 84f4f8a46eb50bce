#!/usr/bin/env bash
# Copy a recipe under another name, to be changed: an overlay of recipe/configs/models, or a folder of recipe/configs.
#
#   scripts/new_recipe.sh qwen3-vl-2b mine
set -euo pipefail
from=$1 name=$2

fail() { echo "error: $*" >&2; exit 2; }
[[ $name =~ ^[a-z0-9][a-z0-9._-]*$ ]] || fail "NAME=$name: expected small letters, digits, '.', '-' and '_': make new-recipe NAME=mine"
for taken in "recipe/configs/$name" "recipe/configs/models/$name.yaml"; do
  [ ! -e "$taken" ] || fail "NAME=$name: $taken is there already; choose another name"
done
if [ -d "recipe/configs/$from" ]; then
  cp -r "recipe/configs/$from" "recipe/configs/$name"
  echo "recipe/configs/$name: copied from $from; make grpo RECIPE=$name"
elif [ -f "recipe/configs/models/$from.yaml" ]; then
  cp "recipe/configs/models/$from.yaml" "recipe/configs/models/$name.yaml"
  echo "recipe/configs/models/$name.yaml: copied from $from; make grpo RECIPE=$name"
else
  fail "RECIPE=$from: there is no such recipe in recipe/configs"
fi
