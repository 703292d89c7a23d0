package backbone

import (
	"fmt"
	"math"
)

// inferViT reads the patches off their kernels and the side off the positions; for the architecture without numbers of
// its own, width, depth and MLP too. The number of heads does not show in any shape.
func inferViT(architecture string, shapes map[string][]int) (params map[string]any, side int) {
	kernel, positions := shapes["patch_embed.proj.weight"], shapes["pos_embed"]
	_, class := shapes["cls_token"]
	params = map[string]any{"class_token": class}
	if len(kernel) != 4 || len(positions) != 3 {
		return params, 0
	}
	params["patch"] = kernel[3]
	patches := positions[1]
	if class {
		patches--
	}
	side = int(math.Sqrt(float64(max(0, patches)))) * kernel[3]
	if architecture != "vit" {
		return params, side
	}
	params["width"] = kernel[0]
	params["depth"] = count(func(i int) string { return fmt.Sprintf("blocks.%d.norm1.weight", i) }, shapes)
	if hidden := shapes["blocks.0.mlp.fc1.weight"]; len(hidden) == 2 && kernel[0] > 0 {
		params["mlp_ratio"] = float64(hidden[0]) / float64(kernel[0])
	}
	return params, side
}

// inferResNet reads stem and width off the first convolution. Any side will do.
func inferResNet(_ string, shapes map[string][]int) (params map[string]any, side int) {
	first := shapes["conv1.weight"]
	if len(first) != 4 {
		return nil, 0
	}
	params = map[string]any{"stem": "standard", "width": first[0]}
	if first[3] == 3 {
		params["stem"] = "small"
	}
	return params, 0
}

// count is the number of names, from that of 0, that are there without a gap.
func count(name func(int) string, shapes map[string][]int) int {
	n := 0
	for shapes[name(n)] != nil {
		n++
	}
	return n
}
