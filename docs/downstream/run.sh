#!/usr/bin/env bash
# run.sh RUN PICTURES: the recipes of docs/downstream.md, in their order. PICTURES has the folders train and test.
set -euo pipefail
cd "$(dirname "$0")/../.."
run=$1 pictures=$2 out=runs/downstream
address=127.0.0.1:9467

rm -rf "$out"
mkdir -p "$out"
bin/pretrain extract "$run" --data "$pictures/train" --out "$out/train.parquet" --layer best
bin/pretrain extract "$run" --data "$pictures/test" --out "$out/test.parquet" --layer best
bin/pretrain extract "$run" --data "$pictures/test" --out "$out/all.parquet" --layer all

echo "== DuckDB"
node docs/downstream/duckdb.mjs docs/downstream/pictures.sql

echo "== pandas and scikit-learn"
bin/pretrain extract "$run" --data "$pictures/train" --out "$out/train.npy" --layer best
bin/pretrain extract "$run" --data "$pictures/test" --out "$out/test.npy" --layer best
/usr/bin/python3 docs/downstream/classify.py "$out/train" "$out/test"

echo "== polars"
node docs/downstream/polars.mjs "$out/test"

echo "== ONNX Runtime"
bin/pretrain export "$run" --format onnx --uint8 --layers best --out "$out/network.onnx"
node docs/downstream/embed.mjs "$out/network.onnx" "$out/test.parquet" 100

echo "== PyTorch"
bin/pretrain export "$run" --format timm --out "$out/weights.safetensors"
/usr/bin/python3 docs/downstream/finetune.py "$out/weights.safetensors" "$pictures/train" "$pictures/test"

echo "== HTTP"
go build -o "$out/service" ./docs/downstream/service
"$out/service" "$run" "$address" &
service=$!
trap 'kill $service' EXIT
picture=$(sed -n 2p "$out/test.paths.csv" | cut -d, -f1)
until curl -s -o "$out/ready.txt" "http://$address/"; do kill -0 $service; sleep 0.1; done
curl -sSf --data-binary "@$picture" "http://$address/embed" >"$out/vector.json"
/usr/bin/python3 - "$out/vector.json" "$out/test.npy" <<'END'
import json, sys
import numpy as np
vector, extracted = np.array(json.load(open(sys.argv[1])), np.float32), np.load(sys.argv[2])[0]
difference = np.linalg.norm(vector - extracted) / np.linalg.norm(extracted)
print(f"{len(vector)} features: {vector[:3].round(4)} …; relative difference from pretrain extract {difference:.1e}")
assert difference < 1e-4
END
status=$(curl -sS -o "$out/refused.txt" -w '%{http_code}' --data-binary @go.mod "http://$address/embed")
echo "a text file: $status, $(cat "$out/refused.txt")"
test "$status" = 400
