package nn_test

import (
	"math"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/nn"
)

// halfModel is a small network with every kind of layer that stores bf16, ending in a loss.
func halfModel(c *nn.Ctx) (loss, images, labels *G.Node) {
	const views, side = 4, 8
	images, labels = c.Input("images", views*side*side, 3), c.Input("labels", views, 1)
	m := nn.Map{Node: images, Views: views, Height: side, Width: side, Groups: []int{1, 3}}
	stem := nn.MaxPool(c, nn.BatchNorm(c, "norm1", nn.Conv(c, "conv1", m, 16, 3, 1, 1), nil, true), 3, 2, 1)
	block := nn.BatchNorm(c, "norm2", nn.Conv(c, "conv2", stem, 16, 3, 1, 1), &stem, true)
	tokens := nn.AddPositions(c, c.Parameter("positions", []int{16, 16}, nn.Position, nn.TruncatedNormal(0.02)), block.Node, 16, nil)
	tokens = nn.PrependToken(c, "token", tokens, 16)
	qkv := nn.Linear(c, "qkv", nn.LayerNorm(c, "norm3", tokens), 48, true)
	tokens = nn.Add(c, tokens, nn.Linear(c, "proj", nn.Attention(c, qkv, 17, 2), 16, true))
	tokens = nn.Add(c, tokens, nn.Linear(c, "fc2", nn.GELU(c, nn.Linear(c, "fc1", nn.LayerNorm(c, "norm4", tokens), 32, true)), 16, true))
	first, rest := nn.SliceTokens(c, tokens, 17, 0, 1), nn.SliceTokens(c, tokens, 17, 1, 17)
	pooled := nn.ConcatColumns(c, first, nn.MeanPool(c, rest, views))
	halves := nn.ConcatRows(c, nn.Rows(c, pooled, 2, 4), nn.Rows(c, pooled, 0, 2))
	return nn.CrossEntropy(c, nn.Linear(c, "head", halves, 5, true), labels), images, labels
}

// runHalfModel returns the loss and all gradients in one precision.
func runHalfModel(t *testing.T, precision nn.Precision, separate bool) (float64, []float32, int) {
	t.Helper()
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	c.SetPrecision(precision)
	loss, images, labels := halfModel(c)
	compile := nn.Compile
	if separate {
		compile = nn.CompileSeparate
	}
	program, err := compile(c, newEngine(t), loss, loss)
	if err != nil {
		t.Fatal(err)
	}
	pixels, r := make([]float32, images.Shape().TotalSize()), random.New(1, "pixels")
	for i := range pixels {
		pixels[i] = float32(r.NormFloat64())
	}
	program.Bind(images, pixels)
	program.Bind(labels, []float32{0, 4, 2, 1})
	program.Dirty(float32(math.NaN()))
	run(t, program)
	return float64(program.Value(loss)[0]), append([]float32(nil), store.Gradients()...), program.ArenaBytes()
}

// TestBFloat16Trains compares a network in bf16 with itself in float32: gradients point the same way, to the precision
// of their storage, and sharing memory changes no bit.
func TestBFloat16Trains(t *testing.T) {
	loss, gradients, _ := runHalfModel(t, nn.Float32, false)
	halfLoss, halfGradients, _ := runHalfModel(t, nn.BFloat16, false)
	if math.Abs(loss-halfLoss) > 0.01*loss {
		t.Errorf("the loss is %g in bf16 and %g in float32", halfLoss, loss)
	}
	var product, square, halfSquare float64
	for i, g := range gradients {
		product += float64(g) * float64(halfGradients[i])
		square += float64(g) * float64(g)
		halfSquare += float64(halfGradients[i]) * float64(halfGradients[i])
	}
	if cosine := product / math.Sqrt(square*halfSquare); !(cosine > 0.999) {
		t.Errorf("the cosine between the gradients is %g", cosine)
	}
	_, separate, _ := runHalfModel(t, nn.BFloat16, true)
	for i, g := range separate {
		if math.Float32bits(g) != math.Float32bits(halfGradients[i]) {
			t.Fatalf("gradient %d is %g with and %g without shared memory", i, halfGradients[i], g)
		}
	}
}

// TestBFloat16IsSmaller holds the arena of a wide layer to about half.
func TestBFloat16IsSmaller(t *testing.T) {
	arena := func(precision nn.Precision) int {
		c := nn.NewCtx(nn.NewStore(1), true)
		c.SetPrecision(precision)
		x := c.Input("x", 256, 64)
		y := nn.GELU(c, nn.Linear(c, "fc1", x, 256, true))
		program, err := nn.Compile(c, newEngine(t), nn.Sum(c, nn.Linear(c, "fc2", y, 64, true)))
		if err != nil {
			t.Fatal(err)
		}
		return program.ArenaBytes()
	}
	if wide, half := arena(nn.Float32), arena(nn.BFloat16); float64(half) > 0.7*float64(wide) {
		t.Errorf("the arena is %d bytes in bf16 and %d in float32", half, wide)
	}
}

// TestKeptBFloat16IsRead: Value widens what is stored as bf16.
func TestKeptBFloat16IsRead(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), false)
	c.SetPrecision(nn.BFloat16)
	x := c.Input("x", 3, 4)
	y := nn.Linear(c, "fc", x, 2, false)
	program, err := nn.Compile(c, newEngine(t), nil, y)
	if err != nil {
		t.Fatal(err)
	}
	program.Bind(x, []float32{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0})
	run(t, program)
	weights := c.Parameter("fc.weight", []int{2, 4}, nn.Weight, nil)
	w := program.Value(weights)
	for i, got := range program.Value(y) {
		half := []kernel.BFloat16{kernel.RoundBFloat16(w[i%2*4+i/2])}
		want := make([]float32, 1)
		kernel.Copy(kernel.F32(want), kernel.BF16(half))
		if got != want[0] {
			t.Errorf("value %d is %g, want the weight %g in bf16", i, got, want[0])
		}
	}
}

func TestUnknownPrecision(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), false)
	c.SetPrecision("fp64")
	if c.Err() == nil {
		t.Error("fp64 was accepted")
	}
}

// TestRecompute: computing cheap results again changes no bit and keeps less.
func TestRecompute(t *testing.T) {
	for name, build := range map[string]func(*nn.Ctx, *G.Node) *G.Node{"transformer": tokenBlocks, "residual network": residualBlocks} {
		for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
			once, onceArena := runRecomputing(t, build, precision, false)
			again, againArena := runRecomputing(t, build, precision, true)
			for i, g := range once {
				if math.Float32bits(g) != math.Float32bits(again[i]) {
					t.Fatalf("%s, %s: gradient %d is %g, recomputed %g", name, precision, i, g, again[i])
				}
			}
			if againArena > onceArena*9/10 {
				t.Errorf("%s, %s: the arena is %d bytes, recomputed %d", name, precision, onceArena, againArena)
			}
		}
	}
}

// tokenBlocks is four blocks, without attention, on rows of 16 numbers.
func tokenBlocks(c *nn.Ctx, x *G.Node) *G.Node {
	y := nn.Linear(c, "embed", x, 16, true)
	for i := range 4 {
		block := c.Scope(string(rune('a' + i)))
		y = nn.Add(c, y, nn.Linear(block, "fc2", nn.GELU(c, nn.Linear(block, "fc1", nn.LayerNorm(block, "norm", y), 64, true)), 16, true))
	}
	return y
}

// residualBlocks is a stem and six blocks on four maps of 4×4 positions.
func residualBlocks(c *nn.Ctx, x *G.Node) *G.Node {
	y := nn.BatchNorm(c, "stem", nn.Conv(c, "conv", nn.Map{Node: x, Views: 4, Height: 4, Width: 4}, 16, 3, 1, 1), nil, true)
	for i := range 6 {
		block, shortcut := c.Scope(string(rune('a'+i))), y
		y = nn.BatchNorm(block, "bn1", nn.Conv(block, "conv1", y, 8, 1, 1, 0), nil, true)
		y = nn.BatchNorm(block, "bn2", nn.Conv(block, "conv2", y, 16, 3, 1, 1), &shortcut, true)
	}
	return y.Node
}

// runRecomputing returns the gradients of a model on 64 rows of 16 numbers, and the size of the arena.
func runRecomputing(t *testing.T, build func(*nn.Ctx, *G.Node) *G.Node, precision nn.Precision, recompute bool) ([]float32, int) {
	t.Helper()
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	c.SetPrecision(precision)
	c.SetRecompute(recompute)
	x := c.Input("x", 64, 16)
	y := build(c, x)
	program, err := nn.Compile(c, newEngine(t), nn.Sum(c, nn.Multiply(c, y, y)))
	if err != nil {
		t.Fatal(err)
	}
	values, r := make([]float32, 64*16), random.New(1, "x")
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	program.Bind(x, values)
	program.Dirty(float32(math.NaN()))
	run(t, program)
	return append([]float32(nil), store.Gradients()...), program.ArenaBytes()
}
