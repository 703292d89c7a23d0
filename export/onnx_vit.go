package export

import (
	"fmt"
	"math"

	"pretrain/nn"
)

// onnxTransformer is a vision transformer under translation. Tokens are [batch, tokens, width].
type onnxTransformer struct {
	*onnxGraph
	width, heads, grid int
	class              bool // token 0 is the class token
}

// onnxViT is the transformer that backbone/vit.go builds. Position tables, learned or not, are weights.
func onnxViT(g *onnxGraph, m Model, pixels string) onnxFeatures {
	heads, err := m.number("heads")
	if err != nil {
		g.fail(err)
	}
	v := onnxTransformer{onnxGraph: g, width: m.Dim, heads: max(1, heads), grid: m.InputSide / m.Stride, class: g.has("cls_token")}
	x, patches := v.embed(pixels, m.Stride), ""
	f := onnxFeatures{side: v.grid}
	for i := range m.Depth {
		scope := fmt.Sprintf("blocks.%d.", i)
		x = v.block(scope, x)
		if i == m.Depth-1 {
			x = v.norm("norm", x)
		}
		patches = v.patches(scope, x)
		f.layers = append(f.layers, g.add("ReduceMean", scope+"mean", []string{patches}, list("axes", 1), integer("keepdims", 0)))
		f.dims = append(f.dims, m.Dim)
	}
	if m.Pooling == "class" {
		f.layers[m.Depth-1] = g.add("Gather", "class", []string{x, g.index(0)}, integer("axis", 1))
	}
	columns := g.add("Transpose", "map.columns", []string{patches}, list("perm", 0, 2, 1))
	f.maps = v.reshape("map.planes", columns, 0, v.width, v.grid, v.grid)
	return f
}

// embed makes the tokens of every picture, the class token first if there is one, and adds their positions.
func (v onnxTransformer) embed(pixels string, patch int) string {
	x := v.add("Conv", "patch_embed.proj", []string{pixels, v.weight("patch_embed.proj.weight"), v.weight("patch_embed.proj.bias")},
		list("kernel_shape", patch, patch), list("strides", patch, patch))
	x = v.reshape("patch_embed.columns", x, 0, v.width, v.grid*v.grid)
	x = v.add("Transpose", "patch_embed", []string{x}, list("perm", 0, 2, 1))
	if v.class {
		batch := v.add("Shape", "batch", []string{pixels}, integer("start", 0), integer("end", 1))
		shape := v.add("Concat", "cls_token.shape", []string{batch, v.integers(1, v.width)}, integer("axis", 0))
		token := v.add("Expand", "cls_token.batch", []string{v.weight("cls_token"), shape})
		x = v.add("Concat", "tokens", []string{token, x}, integer("axis", 1))
	}
	return v.add("Add", "positions", []string{x, v.weight("pos_embed")})
}

// block is one pre-norm block, as backbone.TransformerBlock.
func (v onnxTransformer) block(scope, x string) string {
	attended := v.linear(scope+"attn.proj", v.attention(scope+"attn.", v.linear(scope+"attn.qkv", v.norm(scope+"norm1", x))))
	x = v.add("Add", scope+"attn.sum", []string{x, attended})
	inner := v.gelu(scope+"mlp.gelu", v.linear(scope+"mlp.fc1", v.norm(scope+"norm2", x)))
	return v.add("Add", scope+"mlp.sum", []string{x, v.linear(scope+"mlp.fc2", inner)})
}

// attention is softmax(q·kᵀ/√d)·v of every head; qkv is [batch, tokens, 3·width] in the order q, k, v.
func (v onnxTransformer) attention(scope, qkv string) string {
	dim := v.width / v.heads
	heads := func(part string, from int, order ...int) string {
		x := v.slice(scope+part+".columns", qkv, 2, from*v.width, (from+1)*v.width)
		x = v.reshape(scope+part+".heads", x, 0, 0, v.heads, dim)
		return v.add("Transpose", scope+part, []string{x}, list("perm", order...))
	}
	query := v.add("Mul", scope+"scaled", []string{heads("q", 0, 0, 2, 1, 3), v.number(1 / math.Sqrt(float64(dim)))})
	scores := v.add("MatMul", scope+"scores", []string{query, heads("k", 1, 0, 2, 3, 1)})
	weights := v.add("Softmax", scope+"softmax", []string{scores}, integer("axis", -1))
	x := v.add("MatMul", scope+"heads", []string{weights, heads("v", 2, 0, 2, 1, 3)})
	x = v.add("Transpose", scope+"tokens", []string{x}, list("perm", 0, 2, 1, 3))
	return v.reshape(scope+"joined", x, 0, 0, v.width)
}

// patches is x without the class token.
func (v onnxTransformer) patches(scope, x string) string {
	if !v.class {
		return x
	}
	return v.slice(scope+"patches", x, 1, 1, 1+v.grid*v.grid)
}

func (v onnxTransformer) norm(name, x string) string {
	return v.add("LayerNormalization", name, []string{x, v.weight(name + ".weight"), v.weight(name + ".bias")},
		integer("axis", -1), float("epsilon", nn.LayerNormEpsilon))
}

func (v onnxTransformer) linear(name, x string) string {
	product := v.add("MatMul", name+".product", []string{x, v.transposed(name + ".weight")})
	return v.add("Add", name, []string{product, v.weight(name + ".bias")})
}

// gelu is x·(1 + erf(x/√2))/2, the exact one, in the order of operations that runtimes know how to fuse.
func (v onnxTransformer) gelu(name, x string) string {
	y := v.add("Erf", name+".erf", []string{v.add("Div", name+".argument", []string{x, v.number(math.Sqrt2)})})
	y = v.add("Mul", name+".product", []string{x, v.add("Add", name+".sum", []string{y, v.number(1)})})
	return v.add("Mul", name, []string{y, v.number(0.5)})
}
