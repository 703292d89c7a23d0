package nn_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// TestBuildErrors checks that every misuse is named with its place, the values and the rule, and that the graph then
// stays failed.
func TestBuildErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		build func(c *nn.Ctx, x *G.Node) // x is 6×4
		want  string
	}{
		{"nil input", func(c *nn.Ctx, x *G.Node) { nn.Linear(c, "fc", nil, 3, true) }, "Linear task.fc: input 0 is nil: pass the node that an earlier operation returned"},
		{"input size", func(c *nn.Ctx, x *G.Node) { c.Input("y", 0, 4) }, "input y is 0×4: rows and columns must be positive"},
		{"input twice", func(c *nn.Ctx, x *G.Node) { c.Input("x", 6, 4) }, "input x is declared twice: give each input its own name"},
		{"constant", func(c *nn.Ctx, x *G.Node) { nn.Constant(c, make([]float32, 5), 2, 3) }, "Constant task: 5 values for a 2×3 matrix: pass rows·columns of them"},
		{"parameter shape", func(c *nn.Ctx, x *G.Node) { nn.Linear(c, "fc", x, 0, true) }, "parameter task.fc.weight has shape [0 4]: every dimension must be positive"},
		{"parameter again", func(c *nn.Ctx, x *G.Node) { nn.Linear(c, "fc", x, 2, true); nn.Linear(c, "fc", x, 3, true) },
			"parameter task.fc.weight is declared as weight [2 4] and as weight [3 4]: use another name"},
		{"parameter values", func(c *nn.Ctx, x *G.Node) {
			c.Parameter("p", []int{2, 3}, nn.Weight, nn.Values(func() []float32 { return nil }))
		}, "parameter task.p [2 3]: the initial values are 0 numbers: 6 are needed"},
		{"add", func(c *nn.Ctx, x *G.Node) { nn.Add(c, x, nn.Rows(c, x, 0, 3)) }, "Add task: shapes (6, 4) and (3, 4): they must be equal"},
		{"matmul", func(c *nn.Ctx, x *G.Node) { nn.MatMul(c, x, x) },
			"MatMul task: shapes (6, 4) and (6, 4): the columns of the first must be as many as the rows of the second"},
		{"rows", func(c *nn.Ctx, x *G.Node) { nn.Rows(c, x, 2, 7) }, "Rows task: rows [2, 7) of 6: need 0 ≤ from < to ≤ rows"},
		{"columns", func(c *nn.Ctx, x *G.Node) { nn.Columns(c, x, 3, 3) }, "Columns task: columns [3, 3) of 4: need 0 ≤ from < to ≤ columns"},
		{"join nothing", func(c *nn.Ctx, x *G.Node) { nn.ConcatRows(c) }, "ConcatRows task: no matrices: pass at least one"},
		{"join rows", func(c *nn.Ctx, x *G.Node) { nn.ConcatRows(c, x, c.Input("y", 6, 5)) }, "ConcatRows task: matrix 1 has 5 columns and matrix 0 has 4: they must be equal"},
		{"join columns", func(c *nn.Ctx, x *G.Node) { nn.ConcatColumns(c, x, c.Input("y", 5, 4)) }, "ConcatColumns task: matrix 1 has 5 rows and matrix 0 has 6: they must be equal"},
		{"attention tokens", func(c *nn.Ctx, x *G.Node) { nn.Attention(c, x, 4, 1) }, "Attention task: 6 rows for views of 4 tokens: rows must be a multiple of tokens"},
		{"pair classes", func(c *nn.Ctx, x *G.Node) { nn.PairScores(c, x, x, 3, 3) }, "PairScores task: 4 columns for 3 classes: columns must be a multiple of classes"},
		{"map", func(c *nn.Ctx, x *G.Node) {
			nn.Conv(c, "conv", nn.Map{Node: x, Views: 2, Height: 2, Width: 2}, 3, 1, 1, 0)
		},
			"Conv task.conv: the map claims 2 views of 2×2 and has 6 rows: rows must be their product"},
		{"window", func(c *nn.Ctx, x *G.Node) { nn.Conv(c, "conv", testMapOf(x), 3, 5, 1, 1) },
			"Conv task.conv: kernel 5 on a map of 3×2 padded by 1: use larger views or fewer strides before it"},
		{"padding", func(c *nn.Ctx, x *G.Node) { nn.MaxPool(c, testMapOf(x), 1, 1, 1) }, "MaxPool task: pad 1 with kernel 1: windows would see padding only; lower pad"},
		{"stride", func(c *nn.Ctx, x *G.Node) { nn.MaxPool(c, testMapOf(x), 2, 0, 0) }, "MaxPool task: kernel 2, stride 0, pad 0: kernel and stride must be positive, pad not negative"},
		{"groups", func(c *nn.Ctx, x *G.Node) {
			m := testMapOf(x)
			m.Groups = []int{1, 1}
			nn.BatchNorm(c, "bn", m, nil, false)
		}, "BatchNorm task.bn: groups [1 1] hold 2 views and the map has 1: they must be equal"},
		{"mean pool", func(c *nn.Ctx, x *G.Node) { nn.MeanPool(c, x, 4) }, "MeanPool task: 6 rows for 4 views: every view must have the same number of rows"},
		{"upsample", func(c *nn.Ctx, x *G.Node) { nn.Upsample(c, testMapOf(x), 0) }, "Upsample task: factor is 0: it must be positive"},
		{"slice tokens", func(c *nn.Ctx, x *G.Node) { nn.SliceTokens(c, x, 3, 1, 4) }, "SliceTokens task: tokens [1, 4) of 3: need 0 ≤ from < to ≤ tokens"},
		{"prepended row", func(c *nn.Ctx, x *G.Node) { nn.PrependRow(c, x, x, 3) }, "PrependRow task: a row of shape (6, 4) for 4 columns: it must be 1×4"},
		{"position table", func(c *nn.Ctx, x *G.Node) { nn.AddPositions(c, c.Input("t", 2, 4), x, 3, nil) },
			"AddPositions task: a table of 2 rows for 3 tokens: they must be equal unless an index is given"},
		{"position columns", func(c *nn.Ctx, x *G.Node) { nn.AddPositions(c, c.Input("t", 3, 5), x, 3, nil) }, "AddPositions task: a table of 5 columns for 4 channels: they must be equal"},
		{"position index", func(c *nn.Ctx, x *G.Node) { nn.AddPositions(c, c.Input("t", 2, 4), x, 3, x) }, "AddPositions task: an index of shape (6, 4): it must be 6×1"},
		{"gather", func(c *nn.Ctx, x *G.Node) { nn.GatherTokens(c, x, 3, c.Input("i", 2, 1), 0) }, "GatherTokens task: 0 tokens kept: keep at least one"},
		{"labels", func(c *nn.Ctx, x *G.Node) { nn.CrossEntropy(c, x, x) }, "CrossEntropy task: an index of shape (6, 4): it must be 6×1"},
		{"loss weights", func(c *nn.Ctx, x *G.Node) { nn.WeightedSum(c, []*G.Node{nn.Sum(c, x)}, x) }, "WeightedSum task: a row of shape (6, 4) for 1 columns: it must be 1×1"},
		{"loss shape", func(c *nn.Ctx, x *G.Node) { nn.WeightedSum(c, []*G.Node{x}, c.Input("w", 1, 1)) }, "WeightedSum task: loss 0 has shape (6, 4): it must be a scalar"},
		{"measure nothing", func(c *nn.Ctx, x *G.Node) { nn.Measure(c, "m", nil) }, "Measure task.m: no inputs: pass the nodes to measure"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := nn.NewCtx(nn.NewStore(1), true)
			x := c.Input("x", 6, 4)
			test.build(c.Scope("task"), x)
			if c.Err() == nil || c.Err().Error() != test.want {
				t.Fatalf("error %v\nwant  %s", c.Err(), test.want)
			}
			if node := nn.Add(c, x, x); node != nil {
				t.Error("a failed graph still grows")
			}
			if m := nn.MaxPool(c, nn.Conv(c, "conv", testMapOf(nil), 1, 1, 1, 0), 1, 1, 0); m.Node != nil || m.Channels() != 0 {
				t.Error("a failed graph still makes maps")
			}
			if c.Err().Error() != test.want {
				t.Errorf("a later failure replaced the first: %v", c.Err())
			}
		})
	}
}

func testMapOf(x *G.Node) nn.Map { return nn.Map{Node: x, Views: 1, Height: 3, Width: 2} }

func TestFailKeepsTheFirstError(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), true)
	first := errors.New("first")
	c.Scope("a").Fail(first)
	c.Fail(errors.New("second"))
	if !errors.Is(c.Err(), first) {
		t.Errorf("error %v, want the first", c.Err())
	}
	if c.Input("x", 1, 1) != nil || nn.Constant(c, []float32{1}, 1, 1) != nil || c.Parameter("p", []int{1}, nn.Bias, nn.Zeros()) != nil {
		t.Error("a failed graph still makes leaves")
	}
}

func TestParametersAreSharedWithinAGraph(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), true)
	a, b := c.Scope("s").Parameter("p", []int{2}, nn.Bias, nn.Zeros()), c.Parameter("s.p", []int{2}, nn.Bias, nn.Zeros())
	if a == nil || a != b {
		t.Errorf("two nodes for one parameter: %v", c.Err())
	}
}

// TestParameterNodesAreMatrices checks how tensors of other ranks become rows and columns.
func TestParameterNodesAreMatrices(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), true)
	for name, test := range map[string]struct{ shape, want []int }{
		"vector":   {[]int{5}, []int{1, 5}},
		"matrix":   {[]int{3, 5}, []int{3, 5}},
		"table":    {[]int{1, 3, 5}, []int{3, 5}},
		"filters":  {[]int{4, 3, 2, 5}, []int{4, 30}},
		"one view": {[]int{1, 1, 5}, []int{1, 5}},
	} {
		node := c.Parameter(name, test.shape, nn.Weight, nn.Zeros())
		if diff := cmp.Diff(test.want, []int(node.Shape())); diff != "" {
			t.Errorf("%s %v: %s", name, test.shape, diff)
		}
	}
}
