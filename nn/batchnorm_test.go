package nn_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestBatchNormInference normalises by the running statistics.
func TestBatchNormInference(t *testing.T) {
	engine := newEngine(t)
	for _, relu := range []bool{false, true} {
		store := nn.NewStore(1)
		c := nn.NewCtx(store, false)
		residual := testMap(c, "r", 2, 2, 3, 5)
		out := nn.BatchNorm(c, "bn", testMap(c, "x", 2, 2, 3, 5), &residual, relu).Node
		program, err := nn.Compile(c, engine, nil, out)
		if err != nil {
			t.Fatal(err)
		}
		spreadNorms(store)
		mean, variance := store.Lookup("bn.running_mean").Value, store.Lookup("bn.running_var").Value
		copy(mean, []float32{0.5, -1, 0, 2, 0.1})
		copy(variance, []float32{1, 0.25, 4, 2, 0.5})
		run(t, program)

		x, r := mat{float64s(store.Lookup("x").Value), 5}, mat{float64s(store.Lookup("r").Value), 5}
		gamma, beta := store.Lookup("bn.weight").Value, store.Lookup("bn.bias").Value
		want := each(12, 5, func(i, j int) float64 {
			v := (x.at(i, j) - float64(mean[j])) / math.Sqrt(float64(variance[j])+nn.BatchNormEpsilon)
			return tail(v*float64(gamma[j])+float64(beta[j]), &r, i, j, relu)
		})
		compare(t, "value", program.Value(out), want.data, 2e-6)
		if norms := program.BatchNorms(); norms != nil {
			t.Errorf("batch statistics of a graph built for evaluation: %v", norms)
		}
	}
}

// TestBatchNormStatistics reads mean and variance of two groups after a step, also when nothing else uses them.
func TestBatchNormStatistics(t *testing.T) {
	engine := newEngine(t)
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	x := testMap(c, "x", 3, 2, 2, 4)
	x.Groups = []int{1, 2}
	out := nn.GELU(c, nn.BatchNorm(c.Scope("layer"), "bn", x, nil, true).Node)
	program, err := nn.Compile(c, engine, nil, nn.Sum(c, out))
	if err != nil {
		t.Fatal(err)
	}
	run(t, program)
	norms := program.BatchNorms()
	if len(norms) != 1 {
		t.Fatalf("%d batch norms, want one", len(norms))
	}
	norm := norms[0]
	if norm.Name != "layer.bn" || norm.RunningMean != store.Lookup("layer.bn.running_mean") || norm.RunningVariance != store.Lookup("layer.bn.running_var") {
		t.Errorf("statistics of %s: not those of layer.bn", norm.Name)
	}
	if diff := cmp.Diff(kernel.NormGroups{4, 8}, norm.Groups); diff != "" {
		t.Error(diff)
	}
	input := mat{float64s(store.Lookup("x").Value), 4}
	from := 0
	for group, rows := range norm.Groups {
		wantMean, wantVariance := make([]float64, 4), make([]float64, 4)
		for j := range 4 {
			var column []float64
			for i := range rows {
				column = append(column, input.at(from+i, j))
			}
			wantMean[j], wantVariance[j] = moments(column)
		}
		variance := make([]float32, 4)
		norm.Variance(variance, group)
		compare(t, "mean", norm.Mean(group), wantMean, 1e-6)
		compare(t, "variance", variance, wantVariance, 1e-6)
		from += rows
	}
}

// TestConvBatchNormInference: a convolution that normalises its results itself gives the bits of one after the other, and
// is one call. An operation in between keeps the two apart.
func TestConvBatchNormInference(t *testing.T) {
	engine := newEngine(t)
	for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
		store := nn.NewStore(1)
		c := nn.NewCtx(store, false)
		c.SetPrecision(precision)
		x := nn.Map{Node: c.Input("x", 2*20*15, 4), Views: 2, Height: 20, Width: 15}
		shortcut := nn.Conv(c, "shortcut", x, 6, 1, 1, 0)
		y := nn.Conv(c, "conv", x, 6, 3, 1, 1)
		together := nn.BatchNorm(c, "bn", y, &shortcut, true).Node
		y.Node = nn.Scale(c, y.Node, 1)
		apart := nn.BatchNorm(c, "bn", y, &shortcut, true).Node
		program, err := nn.Compile(c, engine, nil, together, apart)
		if err != nil {
			t.Fatal(err)
		}
		spreadNorms(store)
		program.Bind(x.Node, noise("x", 2*20*15*4))
		run(t, program)
		if diff := cmp.Diff(program.Value(apart), program.Value(together)); diff != "" {
			t.Errorf("%s: apart and together differ:\n%s", precision, diff)
		}
		if diff := cmp.Diff([]string{"Conv", "Conv", "Conv", "Scale", "BatchNormInference"}, program.Kinds()); diff != "" {
			t.Errorf("%s: calls differ:\n%s", precision, diff)
		}
	}
}
