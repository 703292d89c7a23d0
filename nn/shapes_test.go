package nn_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/random"
	"pretrain/nn"
)

// TestOperationsOfAnyShape holds values and gradients of operations whose kernels cut their work by shape against the
// naive counterparts, for a few shapes drawn anew for each of them: the cases of TestOperations have one shape each.
func TestOperationsOfAnyShape(t *testing.T) {
	engine := newEngine(t)
	for kind, draw := range drawnCases {
		for number := range 4 {
			test := draw(random.New(uint64(number), kind))
			t.Run(fmt.Sprintf("%s %s", kind, test.name), func(t *testing.T) { checkOperation(t, engine, test) })
		}
	}
}

// drawnCases make a case of each kind.
var drawnCases = map[string]func(r *rand.Rand) operationCase{
	"linear": func(r *rand.Rand) operationCase {
		rows, in, out, bias := 1+r.IntN(20), 1+r.IntN(20), 1+r.IntN(12), r.IntN(2) == 0
		return operationCase{
			name:  fmt.Sprintf("%d×%d→%d, bias %v", rows, in, out, bias),
			build: func(c *nn.Ctx) *G.Node { return nn.Linear(c, "fc", param(c, "x", rows, in), out, bias) },
			naive: func(v values) mat { return refLinear(v.mat("x", in), v.mat("fc.weight", in), v["fc.bias"]) },
		}
	},
	"layer norm": func(r *rand.Rand) operationCase {
		rows, cols := 1+r.IntN(9), 3+r.IntN(30)
		return operationCase{
			name:  fmt.Sprintf("%d×%d", rows, cols),
			build: func(c *nn.Ctx) *G.Node { return nn.LayerNorm(c, "norm", param(c, "x", rows, cols)) },
			naive: func(v values) mat {
				return refLayerNorm(v.mat("x", cols), v["norm.weight"], v["norm.bias"], nn.LayerNormEpsilon)
			},
		}
	},
	"convolution": func(r *rand.Rand) operationCase {
		w := window{views: 1 + r.IntN(2), size: 1 + r.IntN(3), stride: 1 + r.IntN(2)}
		w.pad, w.height, w.width = r.IntN(w.size), w.size+r.IntN(4), w.size+r.IntN(4)
		channels, filters := 1+r.IntN(5), 1+r.IntN(5)
		return operationCase{
			name: fmt.Sprintf("%+v of %d→%d channels", w, channels, filters),
			build: func(c *nn.Ctx) *G.Node {
				return nn.Conv(c, "conv", testMap(c, "x", w.views, w.height, w.width, channels), filters, w.size, w.stride, w.pad).Node
			},
			naive: func(v values) mat {
				return refConv(w, v.mat("x", channels), v.mat("conv.weight", w.size*w.size*channels))
			},
		}
	},
	"batch norm": func(r *rand.Rand) operationCase {
		channels, height, width, relu := 1+r.IntN(6), 1+r.IntN(3), 2+r.IntN(2), r.IntN(2) == 0
		var groups, rows []int
		views := 0
		for range 1 + r.IntN(3) {
			n := 2 + r.IntN(2) // a group of two numbers has a gradient of rounding only
			groups, rows, views = append(groups, n), append(rows, n*height*width), views+n
		}
		return operationCase{
			name: fmt.Sprintf("%v views of %d×%d×%d, relu %v", groups, height, width, channels, relu),
			build: func(c *nn.Ctx) *G.Node {
				x := testMap(c, "x", views, height, width, channels)
				x.Groups = groups
				return nn.BatchNorm(c, "bn", x, nil, relu).Node
			},
			naive: func(v values) mat {
				return refBatchNorm(v.mat("x", channels), v["bn.weight"], v["bn.bias"], nil, rows, relu, nn.BatchNormEpsilon)
			},
		}
	},
	"attention": func(r *rand.Rand) operationCase {
		views, tokens, heads, size := 1+r.IntN(2), 1+r.IntN(6), 1+r.IntN(3), 1+r.IntN(4)
		cols := 3 * heads * size
		return operationCase{
			name:  fmt.Sprintf("%d views of %d tokens, %d heads of %d", views, tokens, heads, size),
			build: func(c *nn.Ctx) *G.Node { return nn.Attention(c, param(c, "qkv", views*tokens, cols), tokens, heads) },
			naive: func(v values) mat { out, _ := refAttention(v.mat("qkv", cols), tokens, heads); return out },
		}
	},
	"pair scores": func(r *rand.Rand) operationCase {
		views, tokens, classes, size := 1+r.IntN(2), 1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(4)
		cols := classes * size
		return operationCase{
			name: fmt.Sprintf("%d views of %d tokens, %d classes of %d", views, tokens, classes, size),
			build: func(c *nn.Ctx) *G.Node {
				return nn.PairScores(c, param(c, "q", views*tokens, cols), param(c, "k", views*tokens, cols), tokens, classes)
			},
			naive: func(v values) mat { return refPairScores(v.mat("q", cols), v.mat("k", cols), tokens, classes) },
		}
	},
	"tokens that are kept": func(r *rand.Rand) operationCase {
		views, tokens, cols := 1+r.IntN(3), 2+r.IntN(5), 1+r.IntN(5)
		kept := 1 + r.IntN(tokens)
		var index []float32
		for range views {
			for _, token := range r.Perm(tokens)[:kept] {
				index = append(index, float32(token))
			}
		}
		return operationCase{
			name: fmt.Sprintf("%d of %d, %d views", kept, tokens, views),
			build: func(c *nn.Ctx) *G.Node {
				return nn.GatherTokens(c, param(c, "x", views*tokens, cols), tokens, c.Input("index", views*kept, 1), kept)
			},
			naive: func(v values) mat {
				return each(views*kept, cols, func(i, j int) float64 { return v.mat("x", cols).at(i/kept*tokens+int(index[i]), j) })
			},
			inputs: map[string][]float32{"index": index},
		}
	},
	"positions": func(r *rand.Rand) operationCase {
		views, tokens, table, cols := 1+r.IntN(3), 1+r.IntN(5), 1+r.IntN(6), 1+r.IntN(5)
		index := make([]float32, views*tokens)
		for i := range index {
			index[i] = float32(r.IntN(table+2) + nn.UnknownPosition) // −2: the last row; −1: none
		}
		return operationCase{
			name: fmt.Sprintf("%v of %d", index, table),
			build: func(c *nn.Ctx) *G.Node {
				x := param(c, "x", views*tokens, cols)
				return nn.AddPositions(c, param(c, "table", table, cols), x, tokens, c.Input("index", views*tokens, 1))
			},
			naive: func(v values) mat {
				return each(views*tokens, cols, func(i, j int) float64 {
					sum, row := v.mat("x", cols).at(i, j), int(index[i])
					if row == nn.UnknownPosition {
						row = table - 1
					}
					if row != nn.NoPosition {
						sum += v.mat("table", cols).at(row, j)
					}
					return sum
				})
			},
			inputs: map[string][]float32{"index": index},
		}
	},
	"soft cross-entropy": func(r *rand.Rand) operationCase {
		rows, classes := 1+r.IntN(6), 1+r.IntN(7)
		targets, weights := make([]float32, rows*classes), make([]float32, rows)
		for i := range targets {
			targets[i] = r.Float32()
		}
		for i := range weights {
			weights[i] = r.Float32() * float32(r.IntN(2))
		}
		return operationCase{
			name: fmt.Sprintf("%d×%d, weights %v", rows, classes, weights),
			build: func(c *nn.Ctx) *G.Node {
				return nn.SoftCrossEntropy(c, param(c, "x", rows, classes), c.Input("targets", rows, classes), c.Input("weights", rows, 1))
			},
			naive: func(v values) mat {
				return mat{[]float64{refCrossEntropy(v.mat("x", classes), v.mat("targets", classes), v["weights"])}, 1}
			},
			inputs: map[string][]float32{"targets": targets, "weights": weights},
		}
	},
	"joins": func(r *rand.Rand) operationCase {
		var heights []int
		cols := 1 + r.IntN(4)
		for range 1 + r.IntN(4) {
			heights = append(heights, 1+r.IntN(4))
		}
		name := func(i int) string { return fmt.Sprintf("x%d", i) }
		return operationCase{
			name: fmt.Sprint(heights),
			build: func(c *nn.Ctx) *G.Node {
				var xs []*G.Node
				for i, height := range heights {
					xs = append(xs, param(c, name(i), height, cols))
				}
				return nn.ConcatRows(c, append(xs, xs[0])...)
			},
			naive: func(v values) mat {
				var all []float64
				for i := range heights {
					all = append(all, v[name(i)]...)
				}
				return mat{slices.Concat(all, v[name(0)]), cols}
			},
		}
	},
}
