# Everything here runs on a machine with Go, make and git; nothing else is installed.

BIN := bin/pretrain
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: build quickstart test race lint fmt bench bench-peers scaling generate sample torchreference sklearnreference results clean generate-onnx onnxruntime agreement bench-onnx downstream

build: ## the program, as bin/pretrain
	@mkdir -p bin
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/pretrain

quickstart: build ## train, evaluate and extract on the sample inside the program, in about two minutes
	@tools/quickstart.sh $(BIN)

test: ## all tests that need nothing beyond Go; says which outside programs were missing
	go test ./...
	cd tools && go test ./...
	@go test -run TestEveryFamilyIsNamed -v ./internal/kernel | grep -o "not tested: kernels.*" || true
	@command -v promtool >/dev/null || echo "not tested: metrics, rules and dashboards against Prometheus (Debian package prometheus)"
	@command -v prometheus-pushgateway >/dev/null || echo "not tested: pushing to a real Pushgateway (Debian package prometheus-pushgateway)"
	@/usr/bin/python3 -c 'import numpy' 2>/dev/null || echo "not tested: the features against NumPy (Debian package python3-numpy)"
	@/usr/bin/python3 -c 'import onnx, torchvision' 2>/dev/null || echo "not tested: exported networks against ONNX and PyTorch (Debian packages python3-onnx, python3-torchvision)"
	@test -d tools/onnxruntime/node_modules || echo "not tested: exported networks against ONNX Runtime (make onnxruntime)"
	@command -v chromium >/dev/null || echo "not tested: the pages in a browser (Debian package chromium)"
	@test -n "$$SLOW_TESTS" || echo "not tested: killing a run ten times (set SLOW_TESTS=1)"

race: ## the tests of everything concurrent, under the race detector
	go test -race -short ./data/... ./train/... ./metrics/... ./page/... ./eval/...
	go test -race -short -run 'Worker|Parallel|Engine|MatMul|Follow|Convert|Attention$$|LayerNorm|BatchNorm' ./internal/kernel -rapid.checks=5

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) ./...
	cd tools && go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) ./...

STATICCHECK := v0.8.2

fmt:
	gofmt -w .

bench: ## benchmarks of the kernels and of whole steps
	go test -run '^$$' -bench . -benchtime 5x ./internal/kernel ./train

MODELS := vit_t4_32,vit_t16_96,vit_s16_224,resnet18_c,resnet50,pretext
MODES := train,features
PRECISIONS := fp32,bf16
REPETITIONS := 2
SECONDS := 10

bench-peers: build ## pretrain against PyTorch, alternately, as a table of ratios: half an hour (needs Debian's python3-torch)
	cd tools && go run ./benchpeers -pretrain ../bin/pretrain -models $(MODELS) -modes $(MODES) -precisions $(PRECISIONS) \
		-repetitions $(REPETITIONS) -seconds $(SECONDS)

scaling: build ## cost against picture size, width, depth, batch and tasks: docs/pictures/scaling.svg and tables, in five minutes
	@mkdir -p runs
	bin/pretrain bench --scaling --seconds 3 --json runs/scaling.json
	cd tools && go run ./scaling -json ../runs/scaling.json -out ../docs/pictures/scaling.svg

generate: ## assembly kernels, dashboards and rules for Kubernetes from their generators
	go generate ./internal/kernel ./internal/pixel
	cd tools && go run ./monitoring ../deploy

PROTOC_GEN_GO := v1.36.12

generate-onnx: ## the messages of ONNX files from onnx.proto (needs Debian's protobuf-compiler)
	@mkdir -p bin
	GOBIN=$(abspath bin) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO)
	protoc --plugin=bin/protoc-gen-go -I internal/onnx --go_out=internal/onnx --go_opt=paths=source_relative \
		--go_opt=Monnx.proto=pretrain/internal/onnx onnx.proto

onnxruntime: ## ONNX Runtime for the proofs, into tools/onnxruntime (needs Node and npm)
	cd tools/onnxruntime && npm install --ignore-scripts --no-package-lock --no-audit --no-fund

RUN := runs/quickstart
SAMPLE := runs/sample

downstream: build onnxruntime ## the recipes of docs/downstream.md on what make quickstart left, in a minute (needs its packages)
	cd docs/downstream && npm install --ignore-scripts --no-package-lock --no-audit --no-fund
	docs/downstream/run.sh $(RUN) $(SAMPLE)

RUNS :=
PICTURES :=

agreement: onnxruntime ## the tables of docs/agreement.md (needs Debian's python3-torchvision, libturbojpeg0-dev); RUNS, PICTURES as there
	cd tools && go run ./agreement $(if $(PICTURES),-pictures $(abspath $(PICTURES))) $(abspath $(RUNS))
	$(if $(PICTURES),cd tools && go run -tags turbojpeg ./agreement -pictures $(abspath $(PICTURES)) $(abspath $(RUNS)))

bench-onnx: build onnxruntime ## pictures a second of ONNX Runtime beside ours, for RUNS: about a minute each
	@mkdir -p runs/onnx
	@for run in $(RUNS); do \
		name=runs/onnx/$$(basename $$run).onnx; \
		bin/pretrain export $$run --format onnx --out $$name --overwrite && node tools/onnxruntime/bench.mjs $$name || exit 1; \
	done

WALLPAPERS := lomiri-wallpapers-16.04 lomiri-wallpapers-20.04

sample: ## the embedded pictures, from Debian packages (needs apt-get and dpkg-deb)
	rm -rf runs/wallpapers && mkdir -p runs/wallpapers
	cd runs/wallpapers && apt-get download $(WALLPAPERS) && for p in *.deb; do dpkg-deb -x $$p .; done
	cd tools && go run ./sample ../runs/wallpapers ../sample/sample.zip

torchreference: ## values of PyTorch that the backbones are held against (needs Debian's python3-torch, python3-torchvision)
	/usr/bin/python3 tools/torchreference/reference.py backbone/testdata

sklearnreference: ## values of scikit-learn that measures of features are held against (needs Debian's python3-sklearn)
	/usr/bin/python3 tools/sklearnreference/reference.py > eval/testdata/sklearn.json

DATA :=

results: build ## the tables of docs/results.md: hours; DATA names the folder with train, val and test
	cd tools && go run ./results -pretrain ../bin/pretrain -data $(abspath $(DATA)) -out ../runs/results

clean:
	rm -rf bin runs
