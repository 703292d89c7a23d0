package backbone_test

import (
	"fmt"
	"testing"

	"pretrain/backbone"
)

// TestInfer: what shapes tell, of whole files, of those that tell nothing, and of odd ones.
func TestInfer(t *testing.T) {
	vit := map[string][]int{
		"cls_token": {1, 1, 32}, "pos_embed": {1, 10, 32}, "patch_embed.proj.weight": {32, 3, 8, 8}, "blocks.0.mlp.fc1.weight": {80, 32},
		"blocks.0.norm1.weight": {32}, "blocks.1.norm1.weight": {32},
	}
	for _, test := range []struct {
		architecture string
		shapes       map[string][]int
		want         string
		side         int
	}{
		{"vit", vit, "map[class_token:true depth:2 mlp_ratio:2.5 patch:8 width:32]", 24},
		{"vit_tiny", vit, "map[class_token:true patch:8]", 24},
		{"vit_tiny", map[string][]int{"pos_embed": {1, 4, 192}, "patch_embed.proj.weight": {192, 3, 16, 16}}, "map[class_token:false patch:16]", 32},
		{"vit", map[string][]int{"pos_embed": {4}}, "map[class_token:false]", 0},
		{"vit", map[string][]int{"cls_token": {1}, "pos_embed": {1, 0, 0}, "patch_embed.proj.weight": {0, 0, 0, 0}}, "map[class_token:true depth:0 patch:0 width:0]", 0},
		{"resnet18", map[string][]int{"conv1.weight": {64, 3, 7, 7}}, "map[stem:standard width:64]", 0},
		{"resnet50", map[string][]int{"conv1.weight": {16, 3, 3, 3}}, "map[stem:small width:16]", 0},
		{"resnet50", vit, "map[]", 0},
	} {
		family, err := backbone.Find(test.architecture)
		if err != nil {
			t.Fatal(err)
		}
		params, side := family.Infer(test.architecture, test.shapes)
		if got := fmt.Sprint(params); got != test.want || side != test.side {
			t.Errorf("%s of %v: %s, side %d; want %s, side %d", test.architecture, test.shapes, got, side, test.want, test.side)
		}
	}
}
