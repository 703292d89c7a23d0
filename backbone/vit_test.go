package backbone_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/nn"
)

// tinyViT has 4×4 tokens on its plain views of 16 pixels.
func tinyViT() *backbone.ViTConfig {
	return &backbone.ViTConfig{Patch: 4, Width: 24, Depth: 2, Heads: 3, MLPRatio: 2, ClassToken: true, Pooling: "mean", Positions: "learned"}
}

const tokens = 16

// tokenPass applies a ViT to two views of 16 pixels with chosen tokens and positions, nil for none, and returns the
// last map and the class token. The first call with a store must give positions if any call does.
func tokenPass(t *testing.T, engine *kernel.Engine, store *nn.Store, config *backbone.ViTConfig, kept, positions []float32) (last, class []float32) {
	t.Helper()
	const views = 2
	c := nn.NewCtx(store, false)
	in := backbone.Input{Views: views, Side: 16, Kept: len(kept) / views}
	input := func(name string, numbers []float32) *G.Node {
		if numbers == nil {
			return nil
		}
		return c.Input(name, len(numbers), 1)
	}
	in.Tokens, in.Positions = input("tokens", kept), input("positions", positions)
	f := forward(t, c, newBackbone(t, "vit", config, 16), in)
	program := compile(t, c, engine, nil, f.Map.Node, f.Class, f.Pooled)
	program.Bind(f.images, pictures("images", views, 16))
	for node, numbers := range map[*G.Node][]float32{in.Tokens: kept, in.Positions: positions} {
		if node != nil {
			program.Bind(node, numbers)
		}
	}
	run(t, program)
	if in.Kept > 0 && (f.Map.Height != 1 || f.Map.Width != in.Kept) {
		t.Errorf("the map of %d kept tokens is %d×%d", in.Kept, f.Map.Height, f.Map.Width)
	}
	return slices.Clone(program.Value(f.Map.Node)), slices.Clone(program.Value(f.Class))
}

// positionStore is a store whose parameters, the unknown position among them, are far from zero.
func positionStore(t *testing.T, engine *kernel.Engine, config *backbone.ViTConfig) *nn.Store {
	store := nn.NewStore(1)
	tokenPass(t, engine, store, config, nil, repeat(ascending(tokens)))
	setNumbers(store)
	return store
}

func ascending(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i)
	}
	return x
}

// repeat gives both views the same numbers.
func repeat(x []float32) []float32 { return append(slices.Clone(x), x...) }

func same(x float32) []float32 { return slices.Repeat([]float32{x}, 2*tokens) }

func TestAllTokensInOrderAreTheDensePass(t *testing.T) {
	engine := newEngine(t)
	store := positionStore(t, engine, tinyViT())
	want, wantClass := tokenPass(t, engine, store, tinyViT(), nil, nil)
	all := repeat(ascending(tokens))
	for name, options := range map[string][2][]float32{
		"all tokens kept":             {all, nil},
		"own positions given":         {nil, all},
		"all kept with own positions": {all, all},
	} {
		got, class := tokenPass(t, engine, store, tinyViT(), options[0], options[1])
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(class) != fmt.Sprint(wantClass) {
			t.Errorf("%s: features differ from the dense pass", name)
		}
	}
}

// TestOrderOfTokensDoesNotMatter: a shuffled choice of tokens gives shuffled features, since attention has no order.
func TestOrderOfTokensDoesNotMatter(t *testing.T) {
	engine := newEngine(t)
	store := positionStore(t, engine, tinyViT())
	want, wantClass := tokenPass(t, engine, store, tinyViT(), nil, nil)
	order := random.New(1, "order").Perm(tokens)
	kept := make([]float32, tokens)
	for i, token := range order {
		kept[i] = float32(token)
	}
	got, class := tokenPass(t, engine, store, tinyViT(), repeat(kept), nil)
	width := len(got) / (2 * tokens)
	for i, token := range order {
		near(t, fmt.Sprintf("token %d", token), got[i*width:(i+1)*width], want[token*width:(token+1)*width], 1e-5)
	}
	near(t, "class token", class, wantClass, 1e-5)
}

// TestDroppedTokensAreNotSeen: changing what is dropped changes nothing, and dropping changes what is left.
func TestDroppedTokensAreNotSeen(t *testing.T) {
	engine := newEngine(t)
	store := positionStore(t, engine, tinyViT())
	dense, _ := tokenPass(t, engine, store, tinyViT(), nil, nil)
	few, class := tokenPass(t, engine, store, tinyViT(), repeat([]float32{5, 0, 9}), nil)
	again, againClass := tokenPass(t, engine, store, tinyViT(), repeat([]float32{5, 0, 9}), repeat([]float32{5, 0, 9}))
	if fmt.Sprint(few, class) != fmt.Sprint(again, againClass) {
		t.Error("kept tokens with their own positions given differ from kept tokens")
	}
	width := len(dense) / (2 * tokens)
	if fmt.Sprint(few[width:2*width]) == fmt.Sprint(dense[:width]) {
		t.Error("token 0 still sees the tokens that were dropped")
	}
}

// TestPositions: without positions equal patches cannot be told apart; each kind of position differs from the others.
func TestPositions(t *testing.T) {
	engine := newEngine(t)
	store := positionStore(t, engine, tinyViT())
	seen := map[string]string{}
	for name, positions := range map[string][]float32{
		"own": nil, "none": same(nn.NoPosition), "unknown": same(nn.UnknownPosition), "the first": same(0),
	} {
		got, _ := tokenPass(t, engine, store, tinyViT(), nil, positions)
		if other, twice := seen[fmt.Sprint(got)]; twice {
			t.Errorf("positions %s and %s give the same features", name, other)
		}
		seen[fmt.Sprint(got)] = name
	}
	first, _ := tokenPass(t, engine, store, tinyViT(), nil, same(nn.UnknownPosition))
	unknown := store.Lookup("backbone." + backbone.UnknownPosition)
	table := store.Lookup("backbone.pos_embed")
	copy(unknown.Value, table.Value[24:48]) // row 0 is the class token's, row 1 that of the first patch
	second, _ := tokenPass(t, engine, store, tinyViT(), nil, same(nn.UnknownPosition))
	third, _ := tokenPass(t, engine, store, tinyViT(), nil, same(0))
	if fmt.Sprint(second) != fmt.Sprint(third) || fmt.Sprint(first) == fmt.Sprint(second) {
		t.Error("the unknown position is not the learned vector")
	}
}

func TestUnknownPositionIsDeclaredOnDemand(t *testing.T) {
	engine := newEngine(t)
	store := nn.NewStore(1)
	tokenPass(t, engine, store, tinyViT(), repeat(ascending(tokens)), nil)
	if store.Lookup("backbone."+backbone.UnknownPosition) != nil {
		t.Error("a pass without given positions declares the unknown position")
	}
	p := positionStore(t, engine, tinyViT()).Lookup("backbone." + backbone.UnknownPosition)
	if p == nil || p.Kind != nn.Position || fmt.Sprint(p.Shape) != "[1 1 24]" {
		t.Errorf("a pass with given positions declares %+v", p)
	}
}

func TestPositionBeyondTheTableFailsTheRun(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), false)
	in := backbone.Input{Views: 1, Side: 16, Positions: c.Input("positions", tokens, 1)}
	f := forward(t, c, newBackbone(t, "vit", tinyViT(), 16), in)
	program := compile(t, c, newEngine(t), nil, f.Pooled)
	program.Bind(f.images, pictures("images", 1, 16))
	program.Bind(in.Positions, append(ascending(tokens-1), 99))
	if err := program.Run(); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("error is %v: it must name the position 99", err)
	}
}

// TestInterpolatedPositionsLearn: views of another side move the position table of plain ones, and fixed tables stay.
func TestInterpolatedPositionsLearn(t *testing.T) {
	for _, positions := range []string{"learned", "sincos"} {
		config := tinyViT()
		config.Positions = positions
		store := nn.NewStore(1)
		c := nn.NewCtx(store, true)
		f := forward(t, c, newBackbone(t, "vit", config, 16), backbone.Input{Views: 1, Side: 24})
		program := compile(t, c, newEngine(t), nn.Sum(c, nn.Multiply(c, f.Pooled, f.Pooled)))
		program.Bind(f.images, pictures("images", 1, 24))
		setNumbers(store)
		run(t, program)
		table := store.Lookup("backbone.pos_embed")
		if positions == "sincos" {
			if table.Kind != nn.Statistic || table.Gradient != nil || slices.Contains(store.Parameters(), table) {
				t.Errorf("the fixed table is trained: %v", table.Kind)
			}
			continue
		}
		still := 0
		for _, g := range table.Gradient {
			if g == 0 {
				still++
			}
		}
		if still > 0 {
			t.Errorf("%d of %d numbers of the table have no gradient", still, len(table.Gradient))
		}
	}
}

// TestAttentionInputs: the weights that are drawn from them are distributions over all tokens.
func TestAttentionInputs(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), false)
	f := forward(t, c, newBackbone(t, "vit", tinyViT(), 16), backbone.Input{Views: 1, Side: 16})
	if len(f.Attention) != 2 || f.Attention[1].Tokens != tokens+1 || f.Attention[1].Heads != 3 {
		t.Fatalf("attention inputs are %+v", f.Attention)
	}
	a := f.Attention[1]
	weights := nn.AttentionWeights(c, a.QKV, a.Tokens, a.Heads)
	program := compile(t, c, newEngine(t), nil, weights)
	program.Bind(f.images, pictures("images", 1, 16))
	run(t, program)
	for i, row := range slices.Collect(slices.Chunk(program.Value(weights), a.Tokens)) {
		sum := 0.0
		for _, w := range row {
			sum += float64(w)
		}
		near(t, fmt.Sprintf("sum of row %d", i), []float32{float32(sum)}, []float32{1}, 1e-5)
	}
}

func TestClassPooling(t *testing.T) {
	config := tinyViT()
	config.Pooling = "class"
	f := forward(t, nn.NewCtx(nn.NewStore(1), false), newBackbone(t, "vit", config, 16), backbone.Input{Views: 1, Side: 16})
	if f.Pooled != f.Class || f.Class == nil {
		t.Error("the pooled features are not the class token")
	}
}

// TestOnlyWhatIsReadIsComputed: with the class token alone the last block costs its keys and values and one token a view,
// and gives what it gives beside all the others; beside views of which it is all that is read, others may need their map.
func TestOnlyWhatIsReadIsComputed(t *testing.T) {
	const views = 3
	engine, config := newEngine(t), tinyViT()
	config.Pooling = "class"
	store, network := nn.NewStore(1), newBackbone(t, "vit", config, 16)
	pass := func(read func(c *nn.Ctx, f backbone.Features) []*G.Node) (values [][]float32, flops float64) {
		c := nn.NewCtx(store, false)
		f := forward(t, c, network, backbone.Input{Views: views, Side: 16})
		nodes := read(c, f.Features)
		program := compile(t, c, engine, nil, nodes...)
		program.Bind(f.images, pictures("images", views, 16))
		setNumbers(store)
		run(t, program)
		for _, node := range nodes {
			values = append(values, slices.Clone(program.Value(node)))
		}
		return values, program.Cost().FLOPs
	}
	class, few := pass(func(_ *nn.Ctx, f backbone.Features) []*G.Node { return []*G.Node{f.Class} })
	both, all := pass(func(_ *nn.Ctx, f backbone.Features) []*G.Node { return []*G.Node{f.Class, f.Map.Node} })
	mixed, some := pass(func(c *nn.Ctx, f backbone.Features) []*G.Node {
		return []*G.Node{f.Rows(c, 0, 2).Pooled, f.Rows(c, 2, 3).Map.Node, f.Rows(c, 2, 3).Pooled}
	})
	near(t, "the class token beside all others", both[0], class[0], 1e-6)
	near(t, "the class tokens of the first views", mixed[0], class[0][:2*config.Width], 1e-6)
	near(t, "the map of the last view", mixed[1], both[1][2*tokens*config.Width:], 1e-6)
	near(t, "the class token of the last view", mixed[2], class[0][2*config.Width:], 1e-6)

	width, dense := float64(config.Width), float64(tokens+1)
	rest := func(asking float64) float64 { // what a block computes of one view after its queries, keys and values
		return asking * (2*width*width*(1+2*config.MLPRatio) + 4*dense*width)
	}
	for _, test := range []struct {
		what      string
		got, want float64
	}{
		{"the class token and not the map", all - few, views * rest(dense)},
		{"the map of one view and not of three", all - some, 2 * rest(dense)},
	} {
		if test.got != test.want {
			t.Errorf("reading %s saves %v FLOPs, want %v", test.what, test.got, test.want)
		}
	}
}

// TestViTRefuses checks that errors name the key or field, its value, the limit and a remedy.
func TestViTRefuses(t *testing.T) {
	for _, test := range []struct {
		change func(c *backbone.ViTConfig)
		side   int
		want   []string
	}{
		{func(c *backbone.ViTConfig) { c.Heads = 5 }, 16, []string{"backbone.vit.heads is 5", "divide backbone.vit.width (24)", "change"}},
		{func(c *backbone.ViTConfig) { c.Width = 0 }, 16, []string{"backbone.vit.width is 0", "at least 1", "set it"}},
		{func(c *backbone.ViTConfig) { c.Patch = -4 }, 16, []string{"backbone.vit.patch is -4", "at least 1"}},
		{func(c *backbone.ViTConfig) { c.MLPRatio = 0.01 }, 16, []string{"backbone.vit.mlp_ratio is 0.01", "at least 1"}},
		{func(c *backbone.ViTConfig) { c.Pooling = "max" }, 16, []string{`backbone.vit.pooling is "max"`, "mean or class"}},
		{func(c *backbone.ViTConfig) { c.Positions = "fourier" }, 16, []string{`backbone.vit.positions is "fourier"`, "learned or sincos"}},
		{func(c *backbone.ViTConfig) { c.Pooling, c.ClassToken = "class", false }, 16, []string{"backbone.vit.class_token is false", "set class_token"}},
		{func(c *backbone.ViTConfig) { c.Positions, c.Width = "sincos", 6 }, 16, []string{"backbone.vit.width is 6", "multiple of 4"}},
		{func(c *backbone.ViTConfig) {}, 18, []string{"data.size is 18", "multiple of backbone.vit.patch (4)", "take 16"}},
		{func(c *backbone.ViTConfig) {}, 3, []string{"data.size is 3", "multiple of backbone.vit.patch (4)", "take 4"}},
	} {
		config := tinyViT()
		test.change(config)
		family, err := backbone.Find("vit")
		if err != nil {
			t.Fatal(err)
		}
		_, err = family.New("vit", config, test.side)
		wantError(t, err, test.want)
	}
}

func TestViTRefusesInputs(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), false)
	images, index := c.Input("images", 2*16*16, 3), c.Input("index", 2*3, 1)
	b := newBackbone(t, "vit", tinyViT(), 16)
	for _, test := range []struct {
		in   backbone.Input
		want []string
	}{
		{backbone.Input{Views: 2, Side: 16}, []string{"Images is nil", "512×3"}},
		{backbone.Input{Images: images, Side: 16}, []string{"0 views of side 16", "positive"}},
		{backbone.Input{Images: images, Views: 2, Side: 20}, []string{"(512, 3)", "2 views of side 20", "800 rows"}},
		{backbone.Input{Images: c.Input("odd", 2*18*18, 3), Views: 2, Side: 18}, []string{"view is 18", "patch (4)", "take 16"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Kept: 3}, []string{"Kept is 3", "Tokens", "both"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Tokens: index}, []string{"Kept is 0", "Tokens", "both"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Kept: 17, Tokens: index}, []string{"Kept is 17", "16 tokens", "1 to 16"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Kept: 4, Tokens: index}, []string{"GatherTokens", "(6, 1)", "8×1"}},
	} {
		_, err := b.Forward(c, test.in)
		wantError(t, err, test.want)
	}
}

// TestFailedGraph: the error that is reported is the one that came first.
func TestFailedGraph(t *testing.T) {
	for _, r := range references {
		c := nn.NewCtx(nn.NewStore(1), true)
		c.Fail(errors.New("the first error"))
		_, err := newBackbone(t, r.architecture, r.params, r.side).Forward(c, backbone.Input{Images: c.Input("images", 3, 3), Views: 1, Side: r.side})
		wantError(t, err, []string{"the first error"})
	}
}

func wantError(t *testing.T, err error, want []string) {
	t.Helper()
	for _, part := range want {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error is %q: it must say %q", err, part)
		}
	}
}
