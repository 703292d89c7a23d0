package backbone_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/internal/tensorfile"
	"pretrain/nn"
)

// The values in testdata are PyTorch's; tools/torchreference/reference.py makes them and describes them. Weights,
// pictures and labels are computed from names on both sides.

// reference is a small network that PyTorch has computed too.
type reference struct {
	file, architecture string
	params             any
	side, views        int
	groups             []int
	resized            int // side of a larger view, 0 = none
	gradient           float64
}

// The last number is the tolerance of gradients and losses. Batch normalisation over few positions magnifies
// rounding: PyTorch's own float32 is off by 6e-5 there, and by 1e-6 for the transformer.
var references = []reference{
	{"vit", "vit", &backbone.ViTConfig{Patch: 4, Width: 32, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "mean", Positions: "learned"}, 16, 3, nil, 24, 1e-5},
	{"resnet18", "resnet18", &backbone.ResNetConfig{Stem: "standard", Width: 8}, 64, 4, nil, 0, 5e-5},
	{"resnet18_small", "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 8}, 16, 5, []int{2, 3}, 0, 5e-5},
	{"resnet50_small", "resnet50", &backbone.ResNetConfig{Stem: "small", Width: 4}, 24, 5, nil, 0, 5e-5},
}

const classes = 5

func TestPyTorch(t *testing.T) {
	for _, family := range kernel.Families() {
		engine, err := kernel.New(kernel.Options{Family: family})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(engine.Close)
		t.Run(string(family), func(t *testing.T) { checkReferences(t, engine) })
	}
}

func checkReferences(t *testing.T, engine *kernel.Engine) {
	for _, r := range references {
		t.Run(r.file, func(t *testing.T) {
			want := readTensors(t, r.file+".safetensors")
			network := newBackbone(t, r.architecture, r.params, r.side)
			store := nn.NewStore(1)
			r.checkTraining(t, engine, network, store, want)
			r.checkInference(t, engine, network, store, want["inference.pooled"])
			if r.resized > 0 {
				r.checkResized(t, engine, network, store, want["resized"])
			}
		})
	}
}

// checkTraining compares features, gradients and ten losses.
func (r reference) checkTraining(t *testing.T, engine *kernel.Engine, network backbone.Backbone, store *nn.Store, want map[string][]float32) {
	c := nn.NewCtx(store, true)
	f := forward(t, c, network, backbone.Input{Views: r.views, Side: r.side, Groups: r.groups})
	labels := make([]float32, r.views)
	for i := range labels {
		labels[i] = float32(i % classes)
	}
	described := f.Pooled
	if f.Class != nil {
		described = nn.ConcatColumns(c, f.Pooled, f.Class)
	}
	loss := nn.CrossEntropy(c, nn.Linear(c, "head", described, classes, true), nn.Constant(c, labels, r.views, 1))
	features := featureNodes(f.Features)
	keep := []*G.Node{loss}
	for _, node := range features {
		keep = append(keep, node)
	}
	program := compile(t, c, engine, loss, keep...)
	setNumbers(store)
	program.Bind(f.images, pictures("images", r.views, r.side))
	run(t, program)
	for name, node := range features {
		near(t, name, program.Value(node)[:len(want[name])], want[name], 1e-5)
	}
	checkGradients(t, store, want, r.gradient)
	checkLosses(t, engine, program, store, loss, want, r.gradient)
	setNumbers(store)
}

// featureNodes names the features as the reference does.
func featureNodes(f backbone.Features) map[string]*G.Node {
	nodes := map[string]*G.Node{"pooled": f.Pooled}
	if f.Class != nil {
		nodes["class"] = f.Class
	}
	for i, layer := range f.Layers {
		nodes[fmt.Sprintf("layer.%d", i+1)] = layer.Node
	}
	return nodes
}

// checkGradients compares the length of each gradient, its product with known numbers, and some gradients whole.
func checkGradients(t *testing.T, store *nn.Store, want map[string][]float32, tolerance float64) {
	for _, p := range store.Parameters() {
		name := publicName(p)
		gradient := reorder(p, p.Gradient, true)
		direction := numbers("projection."+name, len(gradient))
		length, projection := 0.0, 0.0
		for i, g := range gradient {
			length += float64(g) * float64(g)
			projection += float64(g) * direction[i]
		}
		length = math.Sqrt(length)
		near(t, "norm of "+name, []float32{float32(length)}, want["norm."+name], tolerance)
		// Beside the length goes what shares its scale: a gradient across the direction may have any small product.
		near(t, "projection of "+name, []float32{float32(projection), float32(length)},
			[]float32{want["projection."+name][0], want["norm."+name][0]}, tolerance)
		if whole := want["gradient."+name]; whole != nil {
			near(t, "gradient of "+name, gradient, whole, tolerance)
		}
	}
}

// checkLosses repeats the reference's steps of SGD.
func checkLosses(t *testing.T, engine *kernel.Engine, program *nn.Program, store *nn.Store, loss *G.Node, want map[string][]float32, tolerance float64) {
	momentum := make([]float32, len(store.Values()))
	step := kernel.SGDStep{LearningRate: float64(want["rate"][0]), Momentum: 0.9, GradientScale: 1}
	var losses []float32
	for range want["losses"] {
		run(t, program)
		losses = append(losses, program.Value(loss)[0])
		engine.SGD(store.Values(), store.Gradients(), momentum, step)
	}
	near(t, "losses", losses, want["losses"], tolerance)
}

func (r reference) checkInference(t *testing.T, engine *kernel.Engine, network backbone.Backbone, store *nn.Store, want []float32) {
	c := nn.NewCtx(store, false)
	f := forward(t, c, network, backbone.Input{Views: r.views, Side: r.side})
	program := compile(t, c, engine, nil, f.Pooled)
	program.Bind(f.images, pictures("images", r.views, r.side))
	run(t, program)
	near(t, "pooled, inference", program.Value(f.Pooled), want, 1e-5)
}

func (r reference) checkResized(t *testing.T, engine *kernel.Engine, network backbone.Backbone, store *nn.Store, want []float32) {
	c := nn.NewCtx(store, false)
	f := forward(t, c, network, backbone.Input{Views: 1, Side: r.resized})
	program := compile(t, c, engine, nil, f.Layers[0].Node)
	program.Bind(f.images, pictures("resized", 1, r.resized))
	run(t, program)
	near(t, "layer 1 of a larger view", program.Value(f.Layers[0].Node), want, 1e-5)
}

// numbers are count numbers in [−1, 1) that depend on the name alone, as in reference.py.
func numbers(name string, count int) []float64 {
	x := make([]float64, count)
	for i := range x {
		h := uint32(i)*2654435761 ^ crc32.ChecksumIEEE([]byte(name))
		h = (h ^ h>>16) * 0x85ebca6b
		h = (h ^ h>>13) * 0xc2b2ae35
		h ^= h >> 16
		x[i] = float64(h)/(1<<31) - 1
	}
	return x
}

// setNumbers gives every parameter and buffer the value that reference.py gives it.
func setNumbers(store *nn.Store) {
	for _, p := range append(store.Parameters(), store.Buffers()...) {
		name, size := publicName(p), len(p.Value)
		x := make([]float32, size)
		for i, u := range numbers(name, size) {
			x[i] = float32(initial(name, p.Shape, size, u))
		}
		copy(p.Value, reorder(p, x, false))
	}
}

func initial(name string, shape []int, size int, u float64) float64 {
	switch {
	case strings.HasSuffix(name, "bn3.weight"):
		return 0.25 * (1 + 0.25*u)
	case len(shape) == 1 && (strings.HasSuffix(name, ".weight") || strings.HasSuffix(name, ".running_var")):
		return 1 + 0.25*u
	case len(shape) == 1:
		return 0.25 * u
	case shape[0] == 1:
		return 0.5 * u
	}
	return math.Sqrt(float64(3*shape[0])/float64(size)) * u
}

func publicName(p *nn.Parameter) string { return strings.TrimPrefix(p.Name, "backbone.") }

// reorder turns data of convolutions from our order [out, height, width, in] to PyTorch's [out, in, height, width], or
// back; other parameters have one order.
func reorder(p *nn.Parameter, data []float32, toPyTorch bool) []float32 {
	if p.Layout != nn.OHWI {
		return data
	}
	area, channels := p.Shape[1]*p.Shape[2], p.Shape[3]
	reordered := make([]float32, len(data))
	for i := range data {
		filter, position, channel := i/(area*channels), i/channels%area, i%channels
		j := (filter*channels+channel)*area + position
		if toPyTorch {
			reordered[j] = data[i]
		} else {
			reordered[i] = data[j]
		}
	}
	return reordered
}

func pictures(name string, views, side int) []float32 {
	pixels := make([]float32, views*side*side*3)
	for i, u := range numbers(name, len(pixels)) {
		pixels[i] = 2 * float32(u)
	}
	return pixels
}

// readTensors reads a file of testdata.
func readTensors(t *testing.T, name string) map[string][]float32 {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := tensorfile.NewReader(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	all, err := reader.All()
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string][]float32{}
	for _, tensor := range all {
		tensors[tensor.Name] = tensor.Data
	}
	return tensors
}
