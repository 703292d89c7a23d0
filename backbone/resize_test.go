package backbone_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pretrain/backbone"
	"pretrain/internal/pythontest"
	"pretrain/internal/tensorfile"
)

// resizer is a transformer of 8 channels for grid×grid patches of the side.
func resizer(t *testing.T, grid, patch int, class bool) backbone.Resizer {
	t.Helper()
	config := backbone.ViTConfig{Patch: patch, Width: 8, Depth: 1, Heads: 2, MLPRatio: 2, ClassToken: class, Pooling: "mean", Positions: "learned"}
	network, ok := newBackbone(t, "vit", &config, grid*patch).(backbone.Resizer)
	if !ok {
		t.Fatal("a vit cannot resize")
	}
	return network
}

func tensor(name string, shape ...int) tensorfile.Tensor {
	count := 1
	for _, size := range shape {
		count *= size
	}
	data := make([]float32, count)
	for i, u := range numbers(name, count) {
		data[i] = float32(u)
	}
	return tensorfile.Tensor{Name: name, Shape: shape, Data: data}
}

// TestResizeIsTimms: larger and smaller grids and kernels equal what PyTorch makes of them in timm's way.
func TestResizeIsTimms(t *testing.T) {
	cases := []struct{ from, to, prefix int }{{4, 7, 1}, {7, 4, 0}, {16, 6, 1}, {5, 4, 0}}
	var arguments []string
	for _, test := range cases {
		arguments = append(arguments, fmt.Sprintf("%d,%d,%d,8", test.from, test.to, test.prefix))
	}
	var want []struct{ Positions, Kernels []float32 }
	pythontest.Run(t, []string{"python3-numpy", "python3-torch"}, filepath.Join("testdata", "resize.py"), &want, arguments...)
	for i, test := range cases {
		network := resizer(t, test.to, test.to, test.prefix == 1)
		positions, said := network.Resize(tensor("pos_embed", 1, test.prefix+test.from*test.from, 8))
		near(t, "positions", positions.Data, want[i].Positions, 1e-6)
		if !strings.Contains(said, fmt.Sprintf("from %d×%d to %d×%d patches", test.from, test.from, test.to, test.to)) {
			t.Errorf("said %q", said)
		}
		kernels, said := network.Resize(tensor("patch_embed.proj.weight", 8, 3, test.from, test.from))
		near(t, "kernels", kernels.Data, want[i].Kernels, 1e-5)
		if !strings.Contains(said, "pseudoinverse") {
			t.Errorf("said %q", said)
		}
	}
}

// TestResizeKeepsWhatATokenSays: kernels for larger patches give the enlarged patch the token that the patch had.
func TestResizeKeepsWhatATokenSays(t *testing.T) {
	const from = 4
	original := tensor("patch_embed.proj.weight", 8, 3, from, from)
	up, _ := resizer(t, 2, 2*from, true).Resize(original)
	again, _ := resizer(t, 2, from, true).Resize(up)
	if fmt.Sprint(up.Shape, again.Shape) != "[8 3 8 8] [8 3 4 4]" {
		t.Fatalf("shapes %v, %v", up.Shape, again.Shape)
	}
	// A flat patch is enlarged to a flat one: the sums of the kernels must stay.
	for filter := range 8 * 3 {
		before, after := 0.0, 0.0
		for _, value := range original.Data[filter*from*from:][:from*from] {
			before += float64(value)
		}
		for _, value := range up.Data[filter*4*from*from:][:4*from*from] {
			after += float64(value)
		}
		if diff := before - after; diff > 1e-5 || diff < -1e-5 {
			t.Errorf("filter %d answers a flat patch with %g, resized with %g", filter, before, after)
		}
	}
}

// TestResizeLeavesTheRest: what fits, or cannot be made to, comes back untouched and unsaid.
func TestResizeLeavesTheRest(t *testing.T) {
	network := resizer(t, 4, 4, true)
	for _, given := range []tensorfile.Tensor{
		tensor("pos_embed", 1, 17, 8), tensor("pos_embed", 1, 12, 8), tensor("pos_embed", 1, 10, 6), tensor("pos_embed", 10, 8), tensor("pos_embed", 1, 1, 8),
		tensor("patch_embed.proj.weight", 8, 3, 4, 4), tensor("patch_embed.proj.weight", 8, 3, 4, 5), tensor("patch_embed.proj.weight", 8, 48),
		tensor("patch_embed.proj.bias", 9),
	} {
		got, said := network.Resize(given)
		if said != "" || fmt.Sprint(got) != fmt.Sprint(given) {
			t.Errorf("%s %v became %v: %q", given.Name, given.Shape, got.Shape, said)
		}
	}
}
