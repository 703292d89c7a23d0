package train

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBlockOf(t *testing.T) {
	for parameter, want := range map[string]string{
		"backbone.blocks.11.attn.qkv.weight":    "blocks.11",
		"backbone.layer2.0.downsample.0.weight": "layer2.0",
		"backbone.patch_embed.proj.bias":        "patch_embed",
		"backbone.cls_token":                    "cls_token",
		"tasks.rotation.linear.weight":          "tasks.rotation",
		"losses.log_variance":                   "losses.log_variance",
	} {
		if got := blockOf(parameter); got != want {
			t.Errorf("blockOf(%q) = %q, want %q", parameter, got, want)
		}
	}
}

// TestUpdates moves every weight of a network by a hundredth of itself but those of one block, which stay.
func TestUpdates(t *testing.T) {
	network := newBackbone(t, "vit", 32)
	tasks := realTasks(t, network)
	store := newStepOf(t, network, tasks, filledBatch(t, network, tasks, nil, 2)).store
	u := newUpdates(store)
	u.before()
	squares := 0.0
	for _, p := range store.Parameters() {
		for i := range p.Value {
			if blockOf(p.Name) != "blocks.0" {
				p.Value[i] *= 1.01
			}
			squares += float64(p.Value[i]) * float64(p.Value[i])
		}
	}
	norm, moved := u.after()
	if math.Abs(norm/math.Sqrt(squares)-1) > 1e-9 {
		t.Errorf("norm %g, want %g", norm, math.Sqrt(squares))
	}
	seen := map[string]bool{}
	for _, block := range moved {
		want := 0.01 / 1.01
		if block.Block == "blocks.0" {
			want = 0
		}
		if !math.IsNaN(block.Ratio) && !cmp.Equal(block.Ratio, want, cmpopts.EquateApprox(1e-4, 1e-12)) {
			t.Errorf("block %s moved by %g, want %g", block.Block, block.Ratio, want)
		}
		if seen[block.Block] {
			t.Errorf("block %s twice", block.Block)
		}
		seen[block.Block] = true
	}
	for _, name := range []string{"blocks.0", "blocks.1", "patch_embed", "tasks.rotation"} {
		if !seen[name] {
			t.Errorf("no block %s among %v", name, moved)
		}
	}
}
