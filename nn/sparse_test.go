package nn_test

import (
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

func TestSparseRows(t *testing.T) {
	checkOperation(t, newEngine(t), operationCase{
		build: func(c *nn.Ctx) *G.Node {
			return nn.SparseRows(c, c.Input("columns", 2, 2), c.Input("values", 2, 2), 4)
		},
		// The second row names column 2 twice: its values add up.
		naive:      func(values) mat { return mat{[]float64{0.25, 0, 0, 0.75, 0, 0, 1.5, 0}, 4} },
		inputs:     map[string][]float32{"columns": {0, 3, 2, 2}, "values": {0.25, 0.75, 0.5, 1}},
		noGradient: true,
	})
}

func TestSparseRowsErrors(t *testing.T) {
	for want, build := range map[string]func(c *nn.Ctx, x *G.Node){
		"width is 0":         func(c *nn.Ctx, x *G.Node) { nn.SparseRows(c, x, x, 0) },
		"they must be equal": func(c *nn.Ctx, x *G.Node) { nn.SparseRows(c, x, nn.Reshape(c, x, 3, 2), 4) },
	} {
		c := nn.NewCtx(nn.NewStore(1), true)
		build(c, c.Input("x", 2, 3))
		if c.Err() == nil || !strings.Contains(c.Err().Error(), want) {
			t.Errorf("got error %v, want one with %q", c.Err(), want)
		}
	}
	c := nn.NewCtx(nn.NewStore(1), true)
	x := c.Input("x", 1, 1)
	program, err := nn.Compile(c, newEngine(t), nil, nn.SparseRows(c, x, x, 4))
	if err != nil {
		t.Fatal(err)
	}
	program.Bind(x, []float32{4})
	if err := program.Run(); err == nil || !strings.Contains(err.Error(), "column 4 is outside 0 … 3") {
		t.Errorf("a column beyond the width: got error %v", err)
	}
}
