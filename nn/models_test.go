package nn_test

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/random"
	"pretrain/nn"
)

// transformer is a small ViT-like graph with what the planner finds hard: a residual stream, two slices of one trunk
// output with a head each, and a sum of both losses.
func transformer(c *nn.Ctx, depth int) (cost *G.Node) {
	const views, tokens, dim, heads = 4, 6, 12, 3
	images := nn.Map{Node: c.Input("images", views*6*4, 3), Views: views, Height: 6, Width: 4}
	x := nn.AddBias(c, "patch.bias", nn.Conv(c, "patch", images, dim, 2, 2, 0).Node)
	x = nn.AddPositions(c, c.Parameter("positions", []int{tokens, dim}, nn.Position, nn.TruncatedNormal(0.02)), x, tokens, nil)
	x = nn.PrependToken(c, "class", x, tokens)
	for i := range depth {
		x = transformerBlock(c.Scope(fmt.Sprintf("blocks.%d", i)), x, tokens+1, heads)
	}
	x = nn.LayerNorm(c, "norm", x)
	first := nn.SliceTokens(c, nn.Rows(c, x, 0, 2*(tokens+1)), tokens+1, 0, 1)
	second := nn.MeanPool(c, nn.Rows(c, x, 2*(tokens+1), views*(tokens+1)), 2)
	a := nn.CrossEntropy(c, nn.Linear(c, "head.a", first, 5, true), c.Input("a", 2, 1))
	b := nn.CrossEntropy(c, nn.Linear(c, "head.b", second, 3, true), c.Input("b", 2, 1))
	return nn.WeightedSum(c, []*G.Node{a, b}, c.Input("weights", 1, 2))
}

// transformerBlock is a pre-norm block.
func transformerBlock(c *nn.Ctx, x *G.Node, tokens, heads int) *G.Node {
	dim := x.Shape()[1]
	init := nn.XavierUniform(dim, dim)
	h := nn.LinearInit(c, "qkv", nn.LayerNorm(c, "norm1", x), 3*dim, true, init)
	x = nn.Add(c, x, nn.LinearInit(c, "proj", nn.Attention(c, h, tokens, heads), dim, true, init))
	h = nn.GELU(c, nn.LinearInit(c, "fc1", nn.LayerNorm(c, "norm2", x), 4*dim, true, init))
	return nn.Add(c, x, nn.LinearInit(c, "fc2", h, dim, true, init))
}

func transformerInputs() map[string][]float32 {
	return map[string][]float32{"images": noise("images", 4*6*4*3), "a": {1, 4}, "b": {-1, 2}, "weights": {0.75, 0.5}}
}

// residualNetwork is a small ResNet: a stem, max pooling, a plain block, a block that changes the size, and a head. The
// trunk is applied to two batches with the same parameters.
func residualNetwork(c *nn.Ctx) (cost *G.Node) {
	var losses []*G.Node
	for _, name := range []string{"first", "second"} {
		x := nn.Map{Node: c.Input(name, 3*8*8, 3), Views: 3, Height: 8, Width: 8, Groups: []int{1, 2}}
		x = nn.BatchNorm(c, "bn1", nn.Conv(c, "conv1", x, 6, 3, 1, 1), nil, true)
		x = nn.MaxPool(c, x, 3, 2, 1)
		x = residualBlock(c.Scope("layer1"), x, 6, 1)
		x = residualBlock(c.Scope("layer2"), x, 9, 2)
		logits := nn.Linear(c, "head", nn.MeanPool(c, x.Node, 3), 4, true)
		losses = append(losses, nn.CrossEntropy(c, logits, c.Input(name+".labels", 3, 1)))
	}
	return nn.WeightedSum(c, losses, nn.Constant(c, []float32{1, 0.5}, 1, 2))
}

func residualBlock(c *nn.Ctx, x nn.Map, filters, stride int) nn.Map {
	shortcut := x
	if stride > 1 {
		shortcut = nn.BatchNorm(c, "downsample.1", nn.Conv(c, "downsample.0", x, filters, 1, stride, 0), nil, false)
	}
	y := nn.BatchNorm(c, "bn1", nn.Conv(c, "conv1", x, filters, 3, stride, 1), nil, true)
	return nn.BatchNorm(c, "bn2", nn.Conv(c, "conv2", y, filters, 3, 1, 1), &shortcut, true)
}

func residualInputs() map[string][]float32 {
	return map[string][]float32{
		"first": noise("first", 3*8*8*3), "second": noise("second", 3*8*8*3),
		"first.labels": {0, 3, 1}, "second.labels": {2, 2, 0},
	}
}

// models are the graphs that whole-program tests walk through.
var models = []struct {
	name   string
	build  func(c *nn.Ctx) *G.Node
	inputs map[string][]float32
}{
	{"transformer", func(c *nn.Ctx) *G.Node { return transformer(c, 2) }, transformerInputs()},
	{"residual network", residualNetwork, residualInputs()},
}

func noise(name string, size int) []float32 {
	r := random.New(4, name)
	data := make([]float32, size)
	for i := range data {
		data[i] = float32(r.NormFloat64())
	}
	return data
}
