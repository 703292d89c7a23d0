package main

import (
	"math"
	"os"
	"os/exec"
	"testing"

	"pretrain/backbone"
)

// need skips the test where the programs are missing, or fails if REQUIRE_TOOLS is set, as in .ci/run.
func need(t *testing.T) {
	t.Helper()
	for _, command := range []*exec.Cmd{
		exec.Command("/usr/bin/python3", "-c", "import torch, torchvision"),
		exec.Command("node", "--input-type=module", "--eval", "import 'onnxruntime-node'"),
	} {
		command.Dir = "../onnxruntime"
		output, err := command.CombinedOutput()
		if err == nil {
			continue
		}
		const message = "needs Debian's python3-torchvision, and Node with tools/onnxruntime installed (make onnxruntime)"
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatalf("REQUIRE_TOOLS is set, but this test %s: %v %s", message, err, output)
		}
		t.Skipf("SKIPPED: %s: %v", message, err)
	}
}

// TestAgreement: ONNX Runtime and PyTorch compute what we compute, for every batch, from floats and from bytes; so do we
// with PyTorch's weights.
func TestAgreement(t *testing.T) {
	need(t)
	o := options{tools: "..", scratch: t.TempDir()}
	vit, err := o.randomRun("vit", &backbone.ViTConfig{Patch: 8, Width: 32, Depth: 3, Heads: 2, MLPRatio: 2.5, ClassToken: true, Pooling: "mean", Positions: "sincos"}, 32)
	if err != nil {
		t.Fatal(err)
	}
	resnet, err := o.randomRun("resnet18", &backbone.ResNetConfig{Stem: "small", Width: 64}, 9)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := o.tensors([]string{vit, resnet})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2*5+1 {
		t.Errorf("%d comparisons", len(rows))
	}
	for _, row := range rows {
		if row.difference > tolerance {
			t.Errorf("%+v", row)
		}
	}
}

// TestAgainst: the worst vector counts, and nothing passes for want of an output or a number.
func TestAgainst(t *testing.T) {
	vectors := func(change func(x []float32)) features {
		x := make([]float32, 2*batch)
		for i := range x {
			x[i] = 1
		}
		change(x)
		return features{"pooled": x}
	}
	same := vectors(func([]float32) {})
	for name, test := range map[string]struct {
		f    features
		want float64
	}{
		"equal":        {vectors(func([]float32) {}), 0},
		"one vector":   {vectors(func(x []float32) { x[6], x[7] = 1.1, 1.1 }), 0.1},
		"no number":    {vectors(func(x []float32) { x[0] = float32(math.NaN()) }), math.Inf(1)},
		"no output":    {features{"layer_1": same["pooled"]}, math.Inf(1)},
		"other length": {features{"pooled": {1}}, math.Inf(1)},
	} {
		if got := test.f.against(same, batch); got != test.want && !(math.Abs(got-test.want) < 1e-6) {
			t.Errorf("%s: %g, want %g", name, got, test.want)
		}
	}
	if got := cosine([]float32{1, 0}, []float32{1, 1}); math.Abs(got-math.Sqrt(0.5)) > 1e-9 {
		t.Errorf("cosine %g", got)
	}
}

func TestPlanes(t *testing.T) {
	if got := planes([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 2, 1); got[0] != 1 || got[1] != 4 || got[4] != 2 || got[11] != 12 {
		t.Errorf("%v", got)
	}
}
