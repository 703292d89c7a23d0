#!/usr/bin/env bash
# The quick start: train on the pictures inside the program, measure what was learned, extract features.
set -euo pipefail
pretrain=$1
pictures=runs/sample
run=runs/quickstart

"$pretrain" sample "$pictures"
"$pretrain" train quickstart --data "$pictures/train" --out "$run" --overwrite
echo
echo "Measuring every layer on $pictures/test (all of it in $run/eval/table.txt) …"
mkdir -p "$run/eval"
"$pretrain" eval "$run" --train "$pictures/train" --test "$pictures/test" >"$run/eval/table.txt"
"$pretrain" extract "$run" --data "$pictures/train" --out "$run/features/train.npy"
"$pretrain" extract "$run" --data "$pictures/test" --out "$run/features/test.npy"
echo
echo "From which photograph is a crop? A simple classifier on frozen features answers:"
echo
sed -n '/^FEATURES/h; /^FEATURES/!H; $!d; x; s/\n*written.*//; p' "$run/eval/table.txt"
echo
echo "Weights, as timm names them:   $run/exported/backbone.safetensors ($run/exported/model.json says how to use them)"
echo "Features, a row a picture:     $run/features/train.npy $run/features/test.npy"
echo "What happened:                 $run/metrics.jsonl"
