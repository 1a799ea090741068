#!/usr/bin/env bash
# Pin every distribution of every variant, with hashes, from the ranges in pyproject.toml. Needs uv (pip install uv).
#   image/lock.sh [options of uv pip compile, such as --upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
declare -A extras=([cpu]="serve" [cuda]="serve gpu" [train]="train")
# torch asks for triton to compile kernels, which serving never does; 0.7 GB, and without a C compiler it could not either.
declare -A without=([cuda]="triton")
for variant in "${!extras[@]}"; do
  arguments=(${without[$variant]:+--no-emit-package "${without[$variant]}"})
  for extra in ${extras[$variant]}; do arguments+=(--extra "$extra"); done
  uv pip compile pyproject.toml "${arguments[@]}" --generate-hashes --no-annotate --no-header --quiet "$@" \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 --output-file "image/requirements-$variant.txt"
  echo "image/requirements-$variant.txt: $(grep -c == "image/requirements-$variant.txt") distributions"
done
