#!/usr/bin/env bash
# The quick start: train on the pictures inside the program, measure what was learned, extract features.
set -euo pipefail
pretrain=$1
pictures=runs/sample
run=runs/quickstart

"$pretrain" sample "$pictures"
"$pretrain" train quickstart --data "$pictures/train" --out "$run" --overwrite
"$pretrain" eval "$run" --train "$pictures/train" --test "$pictures/test" --json "$run/eval/eval.json" >"$run/eval.txt"
"$pretrain" extract "$run" --data "$pictures/train" --out "$run/features/train.npy" --overwrite
"$pretrain" extract "$run" --data "$pictures/test" --out "$run/features/test.npy" --overwrite
