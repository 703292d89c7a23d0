package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/nn"
	"pretrain/run"

	"pretrain/backbone"
	"pretrain/data"
)

// onnxRuntime runs an ONNX file on count pictures: normalised [count, 3, side, side] or bytes [count, side, side, 3], as it
// wants them.
func (o options) onnxRuntime(network string, pixels any, count int) (features, error) {
	return o.program(pixels, func(input, out string) *exec.Cmd {
		return exec.Command("node", filepath.Join(o.tools, "onnxruntime", "features.mjs"), network, input, fmt.Sprint(count), out)
	})
}

// torch runs features.py in a mode that takes a tensor.
func (o options) torch(mode, weights string, pixels []float32, count int) (features, error) {
	return o.program(pixels, func(input, out string) *exec.Cmd { return o.python(mode, weights, input, count, out) })
}

// python is Debian's, which has Debian's PyTorch.
func (o options) python(mode, weights, input string, count int, out string) *exec.Cmd {
	return exec.Command("/usr/bin/python3", filepath.Join(o.tools, "agreement", "features.py"), mode, weights, input, fmt.Sprint(count), out)
}

// program hands a program its input, a slice of numbers, as a file and reads what it leaves in the folder out.
func (o options) program(pixels any, command func(input, out string) *exec.Cmd) (features, error) {
	out, err := o.folder("features")
	if err != nil {
		return nil, err
	}
	input := filepath.Join(out, "input")
	raw, err := binary.Append(nil, binary.LittleEndian, pixels)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(input, raw, 0o600); err != nil {
		return nil, err
	}
	return collect(command(input, out), out)
}

// collect runs a program and reads the vectors that it leaves.
func collect(command *exec.Cmd, out string) (features, error) {
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, output)
	}
	files, err := filepath.Glob(filepath.Join(out, "*.f32"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, fmt.Errorf("%s left no features", command.Path))
	}
	f := features{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		values := make([]float32, len(raw)/4)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		if name := strings.TrimSuffix(filepath.Base(file), ".f32"); name != "map" {
			f[name] = values
		}
	}
	return f, nil
}

// randomRuns makes runs of networks that were never trained.
func (o options) randomRuns() ([]string, error) {
	var runs []string
	for _, network := range []struct {
		name   string
		params any
		side   int
	}{
		{"vit_tiny", &backbone.ViTConfig{Patch: 16, MLPRatio: 4, ClassToken: true, Pooling: "mean", Positions: "learned"}, 96},
		{"vit_tiny", &backbone.ViTConfig{Patch: 8, Depth: 4, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "sincos"}, 64},
		{"resnet18", &backbone.ResNetConfig{Stem: "standard", Width: 64}, 64},
		{"resnet50", &backbone.ResNetConfig{Stem: "small", Width: 64}, 32},
	} {
		directory, err := o.randomRun(network.name, network.params, network.side)
		if err != nil {
			return nil, err
		}
		runs = append(runs, directory)
	}
	return runs, nil
}

// randomRun is one of them. Biases, scales and statistics are moved from the trivial values that they begin with.
func (o options) randomRun(name string, params any, side int) (string, error) {
	scratch, err := o.folder(name)
	if err != nil {
		return "", err
	}
	family, err := backbone.Find(name)
	if err != nil {
		return "", err
	}
	network, err := family.New(name, params, side)
	if err != nil {
		return "", err
	}
	engine, err := kernel.New(kernel.Options{})
	if err != nil {
		return "", err
	}
	defer engine.Close()
	store := nn.NewStore(1)
	model, err := eval.NewModel(network, store, engine, data.DefaultConfig().Normalization(), 1)
	if err != nil {
		return "", err
	}
	move(store)
	weights, err := model.Weights()
	if err != nil {
		return "", err
	}
	file, err := export.Backbone(scratch, weights)
	if err != nil {
		return "", err
	}
	directory := filepath.Join(scratch, name)
	_, err = run.Import(run.ImportOptions{File: file, Directory: directory})
	return directory, err
}

func move(store *nn.Store) {
	for _, p := range append(store.Parameters(), store.Buffers()...) {
		if len(p.Shape) > 1 {
			continue
		}
		r := random.New(1, p.Name)
		for i := range p.Value {
			p.Value[i] += float32(0.4 * (r.Float64() - 0.5))
		}
	}
}
