package backbone_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// small makes architectures small enough for a test; those that are not listed are taken with their defaults.
var small = map[string]any{
	"vit":       &backbone.ViTConfig{Patch: 8, Width: 16, Depth: 3, Heads: 2, MLPRatio: 2, Pooling: "mean", Positions: "sincos"},
	"vit_tiny":  &backbone.ViTConfig{Patch: 8, Depth: 2, MLPRatio: 4, ClassToken: true, Pooling: "mean", Positions: "learned"},
	"vit_small": &backbone.ViTConfig{Patch: 8, Depth: 1, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"},
	"vit_base":  &backbone.ViTConfig{Patch: 16, Depth: 1, MLPRatio: 0.5, ClassToken: true, Pooling: "mean", Positions: "learned"},
	"resnet18":  &backbone.ResNetConfig{Stem: "standard", Width: 16},
	"resnet34":  &backbone.ResNetConfig{Stem: "small", Width: 8},
	"resnet50":  &backbone.ResNetConfig{Stem: "standard", Width: 8},
}

// TestEveryArchitectureKeepsItsWord walks the registry.
func TestEveryArchitectureKeepsItsWord(t *testing.T) {
	engine := newEngine(t)
	for _, family := range backbone.Families() {
		for _, architecture := range family.Architectures {
			t.Run(architecture.Name, func(t *testing.T) {
				if architecture.Summary == "" || architecture.Citation == "" {
					t.Error("the summary or citation is missing")
				}
				params := small[architecture.Name]
				if params == nil {
					params = family.Defaults()
				}
				checkWord(t, engine, newBackbone(t, architecture.Name, params, 32))
			})
		}
	}
}

// checkWord compares features with what the backbone says about itself, on views of two sides.
func checkWord(t *testing.T, engine *kernel.Engine, b backbone.Backbone) {
	const views = 2
	for _, side := range []int{32, 64} {
		c := nn.NewCtx(nn.NewStore(1), false)
		f := forward(t, c, b, backbone.Input{Views: views, Side: side, Groups: []int{views}})
		if len(f.Layers) != b.Depth() || f.Layers[b.Depth()-1].Node != f.Map.Node {
			t.Fatalf("%d layers, want %d, of which the last is Map", len(f.Layers), b.Depth())
		}
		if grid := side / b.Stride(); f.Map.Height != grid || f.Map.Width != grid || f.Map.Channels() != b.Dim() {
			t.Errorf("the last map of side %d is %d×%d×%d, want %d×%d×%d", side, f.Map.Height, f.Map.Width, f.Map.Channels(), grid, grid, b.Dim())
		}
		for i, layer := range f.Layers {
			if layer.Views != views || layer.Node.Shape()[0] != views*layer.Positions() {
				t.Errorf("layer %d claims %d views of %d positions and has shape %v", i+1, layer.Views, layer.Positions(), layer.Node.Shape())
			}
		}
		if shape := f.Pooled.Shape(); shape[0] != views || shape[1] != b.Dim() {
			t.Errorf("pooled features have shape %v, want [%d %d]", shape, views, b.Dim())
		}
		program := compile(t, c, engine, nil, f.Pooled)
		program.Bind(f.images, pictures("images", views, side))
		run(t, program)
		checkAlive(t, program.Value(f.Pooled), views)
	}
	checkPrivateParameters(t, b)
}

// checkAlive wants finite features that differ between views.
func checkAlive(t *testing.T, features []float32, views int) {
	differ := false
	dim := len(features) / views
	for i, x := range features {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			t.Fatalf("feature %d is %v", i, x)
		}
		differ = differ || x != features[i%dim]
	}
	if !differ {
		t.Error("different pictures have the same features")
	}
}

// checkPrivateParameters wants a map that belongs to the caller.
func checkPrivateParameters(t *testing.T, b backbone.Backbone) {
	before := fmt.Sprint(b.Parameters())
	for key := range b.Parameters() {
		b.Parameters()[key] = "changed"
		if key != strings.ToLower(key) {
			t.Errorf("parameter %q is not a YAML key", key)
		}
	}
	if after := fmt.Sprint(b.Parameters()); after != before {
		t.Errorf("a caller changed the parameters from %s to %s", before, after)
	}
}

func TestNumbersOfArchitectures(t *testing.T) {
	for _, test := range []struct {
		name               string
		dim, depth, stride int
		tokens, statistics bool
	}{
		{"vit_tiny", 192, 12, 8, true, false},
		{"vit_small", 384, 12, 8, true, false},
		{"vit_base", 768, 12, 8, true, false},
		{"resnet18", 512, 4, 32, false, true},
		{"resnet34", 512, 4, 32, false, true},
		{"resnet50", 2048, 4, 32, false, true},
	} {
		family, err := backbone.Find(test.name)
		if err != nil {
			t.Fatal(err)
		}
		b := newBackbone(t, test.name, family.Defaults(), 64)
		if b.Name() != test.name || b.Family() != family.Name || b.Side() != 64 ||
			b.Dim() != test.dim || b.Depth() != test.depth || b.Stride() != test.stride ||
			b.UsesTokens() != test.tokens || b.UsesBatchStatistics() != test.statistics {
			t.Errorf("%s is %+v", test.name, b)
		}
	}
}

// TestKeyNames compares names and shapes with those of timm and torchvision.
func TestKeyNames(t *testing.T) {
	for _, test := range []struct {
		name   string
		params any
	}{
		{"resnet18", &backbone.ResNetConfig{Stem: "standard", Width: 64}},
		{"resnet34", &backbone.ResNetConfig{Stem: "standard", Width: 64}},
		{"resnet50", &backbone.ResNetConfig{Stem: "standard", Width: 64}},
		{"vit_tiny", &backbone.ViTConfig{Patch: 16, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}},
		{"vit_tiny", &backbone.ViTConfig{Patch: 16, MLPRatio: 4, ClassToken: true, Pooling: "mean", Positions: "sincos"}},
	} {
		store := nn.NewStore(1)
		b := newBackbone(t, test.name, test.params, 224)
		forward(t, nn.NewCtx(store, false), b, backbone.Input{Views: 1, Side: 224})
		want := readKeys(t, test.name, b.Depth())
		got := map[string]string{}
		for _, p := range append(store.Parameters(), store.Buffers()...) {
			got[publicName(p)] = publicShape(p)
		}
		for name, shape := range want {
			if got[name] != shape {
				t.Errorf("%s: %s has shape %q, want %q", test.name, name, got[name], shape)
			}
			delete(got, name)
		}
		for name := range got {
			t.Errorf("%s: %s is not in the list", test.name, name)
		}
	}
}

func publicShape(p *nn.Parameter) string {
	shape := p.Shape
	if p.Layout == nn.OHWI {
		shape = []int{shape[0], shape[3], shape[1], shape[2]}
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", "x")
}

// readKeys reads a list of names and shapes; a * stands for every number below depth.
func readKeys(t *testing.T, name string, depth int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".keys"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, shape, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || name == "#" {
			continue
		}
		for i := range depth {
			keys[strings.Replace(name, "*", fmt.Sprint(i), 1)] = shape
		}
	}
	return keys
}

func TestFind(t *testing.T) {
	if _, err := backbone.Find("vit_tyni"); err == nil || !strings.Contains(err.Error(), `"vit_tyni"`) || !strings.Contains(err.Error(), `did you mean "vit_tiny"`) {
		t.Errorf("error is %v: it must name the value and the nearest architecture", err)
	}
	for _, family := range backbone.Families() {
		if _, err := family.New(family.Architectures[0].Name, struct{}{}, 32); err == nil {
			t.Errorf("%s takes the parameters of another family", family.Name)
		}
		if _, err := family.New("alexnet", family.Defaults(), 32); err == nil {
			t.Errorf("%s makes an alexnet", family.Name)
		}
	}
}

func TestRegisterRefusesTakenNames(t *testing.T) {
	for _, family := range []backbone.Family{
		{Name: "vit"},
		{Name: "other", Architectures: []backbone.Architecture{{Name: "resnet18"}}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was registered", family)
				}
			}()
			backbone.Register(family)
		}()
	}
}

// TestRows checks that slices of features are the features of these views.
func TestRows(t *testing.T) {
	engine, byClass := newEngine(t), tinyViT()
	byClass.Pooling = "class"
	for _, r := range append(references, reference{file: "class token", architecture: "vit", params: byClass, side: 16}) {
		b := newBackbone(t, r.architecture, r.params, r.side)
		c := nn.NewCtx(nn.NewStore(1), false)
		f := forward(t, c, b, backbone.Input{Views: 3, Side: r.side, Groups: []int{1, 2}})
		part := f.Rows(c, 1, 3)
		whole, sliced := everyNode(f.Features), everyNode(part)
		program := compile(t, c, engine, nil, append(whole, sliced...)...)
		program.Bind(f.images, pictures("images", 3, r.side))
		run(t, program)
		for i, node := range whole {
			all := program.Value(node)
			if got := program.Value(sliced[i]); fmt.Sprint(got) != fmt.Sprint(all[len(all)/3:]) {
				t.Errorf("%s: node %d of the slice is not rows 1 and 2", r.file, i)
			}
		}
		if part.Map.Views != 2 || part.Map.Height != f.Map.Height || part.Map.Groups != nil {
			t.Errorf("%s: the slice's map is %+v", r.file, part.Map)
		}
		if part := f.Rows(c, 2, 4); c.Err() == nil || part.Pooled != nil {
			t.Errorf("%s: rows beyond the last are accepted", r.file)
		}
	}
}

func everyNode(f backbone.Features) []*G.Node {
	nodes := []*G.Node{f.Map.Node, f.Pooled}
	for _, layer := range f.Layers {
		nodes = append(nodes, layer.Node)
	}
	if f.Class != nil {
		nodes = append(nodes, f.Class)
	}
	for _, a := range f.Attention {
		nodes = append(nodes, a.QKV)
	}
	return nodes
}

func newEngine(t *testing.T) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

func newBackbone(t *testing.T, architecture string, params any, side int) backbone.Backbone {
	t.Helper()
	family, err := backbone.Find(architecture)
	if err != nil {
		t.Fatal(err)
	}
	b, err := family.New(architecture, params, side)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// applied is a backbone in a graph: its features and the input for its pictures.
type applied struct {
	backbone.Features
	images *G.Node
}

// forward applies b in the scope "backbone" to images, which are an input of the graph unless in has them already.
func forward(t *testing.T, c *nn.Ctx, b backbone.Backbone, in backbone.Input) applied {
	t.Helper()
	if in.Images == nil {
		in.Images = c.Input("images", in.Views*in.Side*in.Side, 3)
	}
	f, err := b.Forward(c.Scope("backbone"), in)
	if err != nil {
		t.Fatal(err)
	}
	return applied{f, in.Images}
}

func compile(t *testing.T, c *nn.Ctx, engine *kernel.Engine, cost *G.Node, keep ...*G.Node) *nn.Program {
	t.Helper()
	program, err := nn.Compile(c, engine, cost, keep...)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func run(t *testing.T, program *nn.Program) {
	t.Helper()
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
}

// near fails where got is further from want than the tolerance, relative to the size of want's largest number, or to
// 0.01 for what is nearly zero.
func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s has %d numbers, want %d, and at least one", what, len(got), len(want))
	}
	scale, worst, at := 1e-2, 0.0, 0
	for i, w := range want {
		scale = math.Max(scale, math.Abs(float64(w)))
		if off := math.Abs(float64(got[i]) - float64(w)); !(off <= worst) {
			worst, at = off, i
		}
	}
	if !(worst <= tolerance*scale) {
		t.Errorf("%s[%d] is %v, want %v: off by %.1e of the largest, %v", what, at, got[at], want[at], worst/scale, scale)
	}
}
