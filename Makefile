# Everything here runs on a machine with Go, make and git; nothing else is installed.

BIN := bin/pretrain
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: build quickstart test race lint fmt bench generate sample torchreference results clean

build: ## the program, as bin/pretrain
	@mkdir -p bin
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/pretrain

quickstart: build ## train, evaluate and extract on the sample inside the program, in about two minutes
	@tools/quickstart.sh $(BIN)

test: ## all tests that need nothing beyond Go
	go test ./...
	cd tools && go test ./...

race: ## the tests of everything concurrent, under the race detector
	go test -race -short ./data/... ./train/... ./internal/kernel/... ./metrics/... ./eval/...

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) ./...

STATICCHECK := v0.8.2

fmt:
	gofmt -w .

bench: ## benchmarks of the kernels and of whole steps
	go test -run '^$$' -bench . -benchtime 5x ./internal/kernel ./train

generate: ## assembly kernels from their generator
	go generate ./internal/kernel

clean:
	rm -rf bin runs
