package eval

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/backbone"
	"pretrain/export"
	"pretrain/nn"
)

// exported are the model's weights.
func exported(t *testing.T, m *Model) []export.Tensor {
	t.Helper()
	weights, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	return weights.Tensors
}

// TestLoadWeightsIsTheInverseOfWeights: a network of another seed gives the same vectors afterwards, bit for bit.
func TestLoadWeightsIsTheInverseOfWeights(t *testing.T) {
	for _, name := range []string{"vit", "resnet18", "resnet50"} {
		source := newModel(t, name, 2, 1)
		target, err := source.Random(99)
		if err != nil {
			t.Fatal(err)
		}
		input := pixels(newMemory(2, 2, 1), 0, 2)
		before := embed(t, target, input)
		tensors := append(exported(t, source),
			export.Tensor{Name: "fc.weight", Shape: []int{1}, Data: []float32{1}},
			export.Tensor{Name: "head.bias", Shape: []int{1}, Data: []float32{1}},
			export.Tensor{Name: "bn1.num_batches_tracked", Data: []float32{1}})
		loaded, err := target.LoadWeights(tensors)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Loaded{Ignored: []string{"fc.weight", "head.bias", "bn1.num_batches_tracked"}}); cmp.Diff(want, loaded) != "" {
			t.Error(cmp.Diff(want, loaded))
		}
		after, want := embed(t, target, input), embed(t, source, input)
		if diff := cmp.Diff(want, after); diff != "" || cmp.Diff(before, after) == "" {
			t.Error(name, diff)
		}
	}
}

// embed copies the vectors of all layers.
func embed(t *testing.T, m *Model, input []float32) [][]float32 {
	t.Helper()
	vectors, err := m.Embed(input)
	if err != nil {
		t.Fatal(err)
	}
	copied := make([][]float32, len(vectors))
	for i, vector := range vectors {
		copied[i] = slices.Clone(vector)
	}
	return copied
}

// TestLoadWeightsListsEverything: all that is wrong at once, and the network is untouched.
func TestLoadWeightsListsEverything(t *testing.T) {
	m := newModel(t, "vit", 2, 1)
	before := slices.Clone(m.store.Values())
	tensors := exported(t, m)
	for i := range tensors {
		switch tensors[i].Name {
		case "norm.bias":
			tensors[i].Name = "fc_norm.bias"
		case "blocks.1.mlp.fc1.weight":
			tensors[i].Shape = []int{16, 32}
		default:
			tensors[i].Data = make([]float32, len(tensors[i].Data))
		}
	}
	_, err := m.LoadWeights(tensors)
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) {
		t.Fatal(err)
	}
	want := MismatchError{
		Backbone: "vit", Missing: []string{"norm.bias [16]"}, Extra: []string{"fc_norm.bias [16]"},
		Misshapen: []string{"blocks.1.mlp.fc1.weight [16 32], expected [32 16]"},
	}
	if diff := cmp.Diff(want, *mismatch); diff != "" {
		t.Error(diff)
	}
	if text := err.Error(); strings.Count(text, "\n") != 3 || !strings.Contains(text, "extra (1): fc_norm.bias [16]") {
		t.Errorf("the error says %q", text)
	}
	if !slices.Equal(before, m.store.Values()) {
		t.Error("refused weights have changed the network")
	}
}

// TestLoadWeightsResizes: a network for finer patches of larger pictures takes the weights and says so.
func TestLoadWeightsResizes(t *testing.T) {
	config := backbone.ViTConfig{Patch: 4, Width: 16, Depth: 1, Heads: 2, MLPRatio: 2, ClassToken: true, Pooling: "mean", Positions: "learned"}
	tensors := exported(t, network(t, "vit", &config, 16))
	config.Patch = 6
	larger := network(t, "vit", &config, 36)
	loaded, err := larger.LoadWeights(tensors)
	if err != nil || len(loaded.Resized) != 2 {
		t.Errorf("%+v, %v", loaded, err)
	}
	if sum := sumOf(larger.store.Lookup("backbone.pos_embed")); sum == 0 {
		t.Error("the positions are zero")
	}
}

func sumOf(p *nn.Parameter) (sum float32) {
	for _, value := range p.Value {
		sum += value * value
	}
	return sum
}
