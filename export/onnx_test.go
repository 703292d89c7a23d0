package export_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/kernel"
	"pretrain/internal/onnx"
	"pretrain/internal/random"
	"pretrain/nn"
)

var halves = data.Normalization{Mean: [3]float64{0.5, 0.4, 0.3}, Std: [3]float64{0.2, 0.3, 0.25}}

const pictures = 2

// network is a small one whose weights and statistics are all random, none of them what initialisation or calibration leaves.
func network(t *testing.T, name string, side int, change func(parameters any)) *eval.Model {
	t.Helper()
	family, err := backbone.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	parameters := family.Defaults()
	change(parameters)
	b, err := family.New(name, parameters, side)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := kernel.New(kernel.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	store := nn.NewStore(1)
	m, err := eval.NewModel(b, store, engine, halves, pictures)
	if err != nil {
		t.Fatal(err)
	}
	r := random.New(3, name)
	for _, p := range slices.Concat(store.Parameters(), store.Buffers()) {
		for i := range p.Value {
			switch {
			case strings.HasSuffix(p.Name, "running_var"):
				p.Value[i] = 0.5 + r.Float32()
			case len(p.Shape) < 2:
				p.Value[i] += 0.3 * float32(r.NormFloat64())
			}
		}
	}
	return m
}

func transformer(class bool, pooling, positions string) func(any) {
	return func(parameters any) {
		*parameters.(*backbone.ViTConfig) = backbone.ViTConfig{
			Patch: 4, Width: 8, Depth: 2, Heads: 2, MLPRatio: 2, ClassToken: class, Pooling: pooling, Positions: positions,
		}
	}
}

func residual(stem string) func(any) {
	return func(parameters any) {
		*parameters.(*backbone.ResNetConfig) = backbone.ResNetConfig{Stem: stem, Width: 4}
	}
}

// networks have every branch of the translation between them: tokens of the class or none, blocks of both kinds, both stems, and
// maps whose side is odd on the way.
var networks = map[string]struct {
	name   string
	side   int
	change func(any)
}{
	"class token":   {"vit_tiny", 12, transformer(true, "class", "learned")},
	"class unused":  {"vit_tiny", 8, transformer(true, "mean", "learned")},
	"patches alone": {"vit_tiny", 12, transformer(false, "mean", "sincos")},
	"basic blocks":  {"resnet18", 12, residual("small")},
	"standard stem": {"resnet18", 36, residual("standard")},
	"bottlenecks":   {"resnet50", 10, residual("small")},
	"deeper":        {"resnet34", 9, residual("small")},
}

func graphOf(t *testing.T, m *eval.Model, options export.ONNXOptions) (*onnx.ModelProto, export.Graph) {
	t.Helper()
	weights, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "made", "network.onnx")
	description, err := export.WriteONNX(path, weights, options, false)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	model := &onnx.ModelProto{}
	if err := proto.Unmarshal(content, model); err != nil {
		t.Fatal(err)
	}
	return model, description
}

// noise are pictures of random bytes: as a graph takes bytes, as it takes normalised planes, and as our networks take pixels.
func noise(side int) (bytes, planes array, pixels []float32) {
	r := random.New(5, "noise")
	bytes, planes = newArray(pictures, side, side, 3), newArray(pictures, 3, side, side)
	pixels = make([]float32, len(bytes.data))
	for i := range bytes.data {
		value, c := float64(r.IntN(256)), i%3
		bytes.data[i], pixels[i] = value, float32((value/255-halves.Mean[c])/halves.Std[c])
		planes.data[(i/(3*side*side)*3+c)*side*side+i/3%(side*side)] = float64(pixels[i])
	}
	return bytes, planes, pixels
}

// distance is the greatest difference between numbers and what they should be, relative to the length of the latter.
func distance(got []float64, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var most, length float64
	for i, w := range want {
		most = max(most, math.Abs(got[i]-float64(w)))
		length += float64(w) * float64(w)
	}
	return most / math.Sqrt(length/float64(len(want)))
}

// TestONNXComputesTheNetwork: the operators of the file, computed in float64 as the specification says, give the features of every
// layer as our own network does, from planes and from bytes, and a map whose mean they are.
func TestONNXComputesTheNetwork(t *testing.T) {
	for name, test := range networks {
		t.Run(name, func(t *testing.T) {
			m := network(t, test.name, test.side, test.change)
			bytes, planes, pixels := noise(test.side)
			layers, err := m.Embed(pixels)
			if err != nil {
				t.Fatal(err)
			}
			for _, input := range []array{planes, bytes} {
				model, description := graphOf(t, m, export.ONNXOptions{Layers: m.AllLayers(), UInt8: input.shape[3] == 3 && input.shape[1] != 3})
				found, err := evaluate(model.Graph, input)
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range append(layers, layers[len(layers)-1]) {
					output := fmt.Sprint("layer_", i+1)
					if i == len(layers) {
						output = "pooled"
					}
					if d := distance(found[output].data, want); d > 2e-5 {
						t.Errorf("%s is off by %g", output, d)
					}
				}
				checkPorts(t, description, found)
				checkMap(t, m, found)
			}
		})
	}
}

// checkPorts: every output that is described is there, in the shape that the description says.
func checkPorts(t *testing.T, description export.Graph, found map[string]array) {
	t.Helper()
	if len(description.Outputs) != len(found) {
		t.Errorf("%d outputs are described, %d are there", len(description.Outputs), len(found))
	}
	for _, port := range description.Outputs {
		want := []int{pictures}
		for _, n := range port.Shape[1:] {
			want = append(want, n.(int))
		}
		if got := found[port.Name].shape; !slices.Equal(got, want) || port.Shape[0] != "batch" || port.Type != "float32" {
			t.Errorf("output %s has shape %v, and is described as %+v", port.Name, got, port)
		}
	}
}

// checkMap: the mean over the positions of the map is the pooled vector, unless that is the class token.
func checkMap(t *testing.T, m *eval.Model, found map[string]array) {
	t.Helper()
	if m.Backbone.Pooling() == "class" {
		return
	}
	pooled := found["pooled"].data
	positions := len(found["map"].data) / len(pooled)
	for i, want := range pooled {
		mean := 0.0
		for _, x := range found["map"].data[i*positions:][:positions] {
			mean += x / float64(positions)
		}
		if math.Abs(mean-want) > 1e-9*max(1, math.Abs(want)) {
			t.Fatalf("feature %d is %g, and the mean of its map %g", i, want, mean)
		}
	}
}

// TestONNXHoldsNothingElse: layers that nobody asked for cost nothing, every weight that is kept is read, and equal options give
// equal bytes whatever the order of layers.
func TestONNXHoldsNothingElse(t *testing.T) {
	m := network(t, "vit_tiny", 12, transformer(true, "class", "learned"))
	few, _ := graphOf(t, m, export.ONNXOptions{})
	all, description := graphOf(t, m, export.ONNXOptions{Layers: []int{2, 1, 2}})
	again, _ := graphOf(t, m, export.ONNXOptions{Layers: []int{1, 2}})
	if !proto.Equal(all, again) || len(description.Outputs) != 4 {
		t.Errorf("the order of layers, or one that is named twice, tells: %v", description.Outputs)
	}
	if len(few.Graph.Node) >= len(all.Graph.Node) {
		t.Errorf("%d nodes without layers, %d with", len(few.Graph.Node), len(all.Graph.Node))
	}
	read := map[string]bool{}
	for _, node := range few.Graph.Node {
		for _, input := range node.Input {
			read[input] = true
		}
	}
	for _, t2 := range few.Graph.Initializer {
		if !read[t2.GetName()] {
			t.Errorf("nothing reads %s", t2.GetName())
		}
	}
	if few.GetIrVersion() != 8 || few.OpsetImport[0].GetVersion() != 17 || few.GetProducerName() != "pretrain" {
		t.Errorf("versions %d and %v, by %s", few.GetIrVersion(), few.OpsetImport, few.GetProducerName())
	}
	for _, entry := range few.MetadataProps {
		if !json.Valid([]byte(entry.GetValue())) {
			t.Errorf("metadata %s is %q", entry.GetKey(), entry.GetValue())
		}
	}
}

// TestONNXRefuses what would not be the network, naming the tensor or the number.
func TestONNXRefuses(t *testing.T) {
	vit, resnet := network(t, "vit_tiny", 8, transformer(false, "mean", "learned")), network(t, "resnet18", 12, residual("small"))
	for want, test := range map[string]struct {
		of     *eval.Model
		spoil  func(w *export.Weights)
		layers []int
	}{
		`family "cnn": there are [resnet vit]`:                 {vit, func(w *export.Weights) { w.Model.Family = "cnn" }, nil},
		"depth 0 and stride 4":                                 {vit, func(w *export.Weights) { w.Model.Depth = 0 }, nil},
		"depth 2 and stride 0":                                 {vit, func(w *export.Weights) { w.Model.Stride = 0 }, nil},
		"layer 3: the network has layers 1 to 2":               {vit, func(*export.Weights) {}, []int{3}},
		"layer 0: the network has layers 1 to 4":               {resnet, func(*export.Weights) {}, []int{0}},
		"parameter heads of vit_tiny is <nil>":                 {vit, func(w *export.Weights) { w.Model.Parameters = nil }, nil},
		"no operation reads tensor blocks.1.attn.proj.bias":    {vit, func(w *export.Weights) { w.Model.Depth = 1 }, nil},
		"no operation reads tensor extra":                      {resnet, func(w *export.Weights) { w.Tensors = append(w.Tensors, export.Tensor{Name: "extra"}) }, nil},
		"tensor norm.weight is missing":                        {vit, rename("norm.weight", "norm.scale"), nil},
		"tensor layer2.0.bn1.running_mean is missing":          {resnet, rename("layer2.0.bn1.running_mean", "x"), nil},
		"tensor blocks.0.mlp.fc1.weight has shape [128]":       {vit, flatten("blocks.0.mlp.fc1.weight"), nil},
		"tensor layer1.0.conv2.weight has shape [144]":         {resnet, flatten("layer1.0.conv2.weight"), nil},
		"tensor conv1.weight has shape [108]: expected 4":      {resnet, flatten("conv1.weight"), nil},
		"tensor layer3.0.downsample.1.running_var is missing":  {resnet, rename("layer3.0.downsample.1.running_var", "y"), nil},
		"no operation reads tensor layer3.0.downsample.1.bias": {resnet, rename("layer3.0.downsample.0.weight", "layer3.0.downsample.2.weight"), nil},
	} {
		weights, err := test.of.Weights()
		if err != nil {
			t.Fatal(err)
		}
		weights.Tensors = slices.Clone(weights.Tensors)
		test.spoil(&weights)
		path := filepath.Join(t.TempDir(), "x.onnx")
		err = export.Save(path, weights, export.SaveOptions{Format: export.FormatONNX, ONNX: export.ONNXOptions{Layers: test.layers}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q in it", err, want)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
			t.Errorf("%s left %v", want, left)
		}
	}
}

func rename(from, to string) func(*export.Weights) {
	return func(w *export.Weights) {
		i := slices.IndexFunc(w.Tensors, func(t export.Tensor) bool { return t.Name == from })
		w.Tensors[i].Name = to
	}
}

func flatten(name string) func(*export.Weights) {
	return func(w *export.Weights) {
		i := slices.IndexFunc(w.Tensors, func(t export.Tensor) bool { return t.Name == name })
		w.Tensors[i].Shape = []int{len(w.Tensors[i].Data)}
	}
}

// TestSave: every format has its description beside it, which names the file and how to load it; both depend on nothing else.
func TestSave(t *testing.T) {
	wide := func(parameters any) {
		*parameters.(*backbone.ResNetConfig) = backbone.ResNetConfig{Stem: "small", Width: 64}
	}
	for _, test := range []struct {
		format, file string
		of           *eval.Model
		load         []string
	}{
		{export.FormatTimm, "a.safetensors", network(t, "vit_tiny", 12, transformer(false, "mean", "learned")), []string{
			"timm.create_model('vit_tiny_patch16_224', img_size=12, num_classes=0, patch_size=4, embed_dim=8, depth=2, num_heads=2, mlp_ratio=2",
			"class_token=False, global_pool='avg', fc_norm=False)", `load_file("a.safetensors"), strict=True`}},
		{export.FormatSafetensors, "b.safetensors", network(t, "vit_tiny", 12, transformer(true, "class", "learned")), []string{"mlp_ratio=2)"}},
		{export.FormatSafetensors, "narrow", network(t, "resnet18", 12, residual("small")), nil},
		{export.FormatTorchvision, "c", network(t, "resnet18", 12, wide), []string{
			"torchvision.models.resnet18()", "Conv2d(3, 64, 3, padding=1, bias=False)", "maxpool = torch.nn.Identity()", "fc = torch.nn.Identity()"}},
		{export.FormatONNX, "d.onnx", network(t, "resnet18", 12, residual("small")), nil},
	} {
		weights, err := test.of.Weights()
		if err != nil {
			t.Fatal(err)
		}
		var first []byte
		for range 2 {
			path := filepath.Join(t.TempDir(), test.file)
			if err := export.Save(path, weights, export.SaveOptions{Format: test.format}); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(export.DescriptionPath(path))
			if err != nil || first != nil && !bytes.Equal(first, content) {
				t.Errorf("%s: the description depends on more than the network, %v", test.file, err)
			}
			first = content
		}
		var model export.Model
		if err := json.Unmarshal(first, &model); err != nil {
			t.Fatal(err)
		}
		load := strings.Join(model.Load, "\n")
		if model.Weights != test.file || model.Format != test.format || (model.Graph != nil) != (test.format == export.FormatONNX) || (load == "") != (test.load == nil) {
			t.Errorf("%s: %+v", test.file, model)
		}
		for _, want := range test.load {
			if !strings.Contains(load, want) {
				t.Errorf("%s is loaded by\n%s\nwithout %q", test.file, load, want)
			}
		}
	}
}
