package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/backbone"
	"pretrain/export"
	"pretrain/internal/pythontest"
	"pretrain/internal/tensorfile"
	"pretrain/nn"
)

// network is a model of the given parameters with random weights, for pictures of a side.
func network(t *testing.T, name string, params any, side int) *Model {
	t.Helper()
	family, err := backbone.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := family.New(name, params, side)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(b, nn.NewStore(1), newEngine(t, 1), standard, 2)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// save writes the model's weights and returns the path and the content of the description.
func save(t *testing.T, m *Model, options export.SaveOptions) (string, export.Model) {
	t.Helper()
	weights, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "weights")
	if err := export.Save(path, weights, options); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(export.DescriptionPath(path))
	if err != nil {
		t.Fatal(err)
	}
	var model export.Model
	if err := json.Unmarshal(content, &model); err != nil {
		t.Fatal(err)
	}
	return path, model
}

// shapes are the tensors of a safetensors file by name.
func shapes(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := tensorfile.NewConverter(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := reader.All()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, tensor := range tensors {
		found[tensor.Name] = strings.Trim(strings.ReplaceAll(fmt.Sprint(tensor.Shape), " ", "x"), "[]")
	}
	return found
}

// timmShapes are the keys of timm's model for a configuration.
func timmShapes(t *testing.T, c backbone.ViTConfig, side int) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "timm_vit.keys"))
	if err != nil {
		t.Fatal(err)
	}
	tokens := side / c.Patch * (side / c.Patch)
	if c.ClassToken {
		tokens++
	}
	sizes := map[string]int{"W": c.Width, "3W": 3 * c.Width, "H": int(float64(c.Width) * c.MLPRatio), "P": c.Patch, "T": tokens}
	keys := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, shape, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "#") || name == "cls_token" && !c.ClassToken {
			continue
		}
		var numbers []string
		for size := range strings.SplitSeq(shape, "x") {
			if value, ok := sizes[size]; ok {
				size = strconv.Itoa(value)
			}
			numbers = append(numbers, size)
		}
		for block := range c.Depth {
			keys[strings.ReplaceAll(name, "*", strconv.Itoa(block))] = strings.Join(numbers, "x")
		}
	}
	return keys
}

// TestTimmKeys: no key missing, none extra, each of timm's shape, and the call that makes the model.
func TestTimmKeys(t *testing.T) {
	for _, test := range []struct {
		name   string
		config backbone.ViTConfig
		side   int
		call   string
	}{
		{"vit_tiny", backbone.ViTConfig{Patch: 16, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}, 48,
			"timm.create_model('vit_tiny_patch16_224', img_size=48, num_classes=0)"},
		{"vit_tiny", backbone.ViTConfig{Patch: 8, Depth: 2, MLPRatio: 2, Pooling: "mean", Positions: "sincos"}, 32,
			"timm.create_model('vit_tiny_patch16_224', img_size=32, num_classes=0, patch_size=8, depth=2, mlp_ratio=2, class_token=False, global_pool='avg', fc_norm=False)"},
		{"vit", backbone.ViTConfig{Patch: 4, Width: 16, Depth: 3, Heads: 2, MLPRatio: 2.5, ClassToken: true, Pooling: "mean", Positions: "learned"}, 16,
			"timm.create_model('vit_base_patch16_224', img_size=16, num_classes=0, patch_size=4, embed_dim=16, depth=3, num_heads=2, mlp_ratio=2.5, global_pool='avg', fc_norm=False)"},
	} {
		m := network(t, test.name, &test.config, test.side)
		path, model := save(t, m, export.SaveOptions{Format: export.FormatTimm})
		if test.name == "vit_tiny" {
			test.config.Width, test.config.Depth = 192, m.Backbone.Depth()
		}
		if diff := cmp.Diff(timmShapes(t, test.config, test.side), shapes(t, path)); diff != "" {
			t.Error(test.name, diff)
		}
		if got := strings.TrimPrefix(model.Load[1], "model = "); got != test.call {
			t.Errorf("got  %s\nwant %s", got, test.call)
		}
	}
}

// torchvisionShapes are torchvision's keys that backbone/testdata keeps, and the counters that it leaves out.
func torchvisionShapes(t *testing.T, name string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "backbone", "testdata", name+".keys"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, shape, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "#") {
			continue
		}
		keys[name] = shape
		if norm, ok := strings.CutSuffix(name, "running_var"); ok {
			keys[norm+"num_batches_tracked"] = ""
		}
	}
	return keys
}

func TestTorchvisionKeys(t *testing.T) {
	for _, test := range []struct{ name, stem, replaced string }{
		{"resnet18", "standard", "model.fc"}, {"resnet34", "small", "model.conv1"}, {"resnet50", "standard", "model.fc"},
	} {
		m := network(t, test.name, &backbone.ResNetConfig{Stem: test.stem, Width: 64}, 32)
		path, model := save(t, m, export.SaveOptions{Format: export.FormatTorchvision})
		want := torchvisionShapes(t, test.name)
		if test.stem == "small" {
			want["conv1.weight"] = "64x3x3x3"
		}
		if diff := cmp.Diff(want, shapes(t, path)); diff != "" {
			t.Error(test.name, diff)
		}
		if !strings.HasPrefix(model.Load[2], test.replaced) {
			t.Errorf("%s: %q", test.name, model.Load)
		}
	}
}

func TestFormatsThatDoNotFit(t *testing.T) {
	vit := network(t, "vit_tiny", &backbone.ViTConfig{Patch: 16, Depth: 1, MLPRatio: 4, Pooling: "mean", Positions: "learned"}, 16)
	narrow := network(t, "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 4}, 16)
	for _, test := range []struct {
		model        *Model
		format, want string
	}{
		{vit, export.FormatTorchvision, "its names are those of timm; use that format"},
		{narrow, export.FormatTimm, "its names are those of torchvision"},
		{narrow, export.FormatTorchvision, "(backbone.resnet.width) 4; use the format safetensors"},
		{vit, "h5", "must be one of safetensors, timm, torchvision, onnx"},
	} {
		if err := export.CheckFormat(test.model.describe(), test.format); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.format, err, test.want)
		}
	}
	if _, model := save(t, narrow, export.SaveOptions{Format: export.FormatSafetensors}); model.Load != nil {
		t.Errorf("no library has a narrow network, yet %q", model.Load)
	}
}

// onnxCases are networks that exercise every operation: class token or none, both kinds of pooling, stems and blocks.
func onnxCases(t *testing.T) map[string]*Model {
	vit := func(class bool, pooling string) *Model {
		return network(t, "vit", &backbone.ViTConfig{Patch: 4, Width: 16, Depth: 2, Heads: 2, MLPRatio: 2, ClassToken: class, Pooling: pooling, Positions: "learned"}, 16)
	}
	return map[string]*Model{
		"vit, class": vit(true, "class"), "vit, mean": vit(true, "mean"), "vit without class": vit(false, "mean"),
		"resnet18": network(t, "resnet18", &backbone.ResNetConfig{Stem: "standard", Width: 8}, 40),
		"resnet50": network(t, "resnet50", &backbone.ResNetConfig{Stem: "small", Width: 4}, 17),
	}
}

// TestONNXChecker: the official checker passes the file in full, and its shape inference finds, from the nodes alone, the
// shapes that we state.
func TestONNXChecker(t *testing.T) {
	for name, m := range onnxCases(t) {
		t.Run(name, func(t *testing.T) {
			path, model := save(t, m, export.SaveOptions{Format: export.FormatONNX, ONNX: export.ONNXOptions{Layers: m.AllLayers(), UInt8: name == "resnet50"}})
			var found struct {
				IR, Opset       int
				Inputs, Outputs []export.Port
				Inferred        map[string][]any
				Metadata        map[string]json.RawMessage
			}
			pythontest.Run(t, []string{"python3-onnx"}, filepath.Join("testdata", "check_onnx.py"), &found, path)
			if found.IR != 8 || found.Opset != 17 || !slices.Equal(slices.Sorted(maps.Keys(found.Metadata)), []string{"model", "preprocessing"}) {
				t.Errorf("IR %d, opset %d, metadata %s", found.IR, found.Opset, found.Metadata)
			}
			if diff := cmp.Diff(*model.Graph, export.Graph{Opset: 17, Input: found.Inputs[0], Outputs: found.Outputs}); diff != "" {
				t.Error(diff)
			}
			for _, output := range model.Graph.Outputs {
				if diff := cmp.Diff(output.Shape, found.Inferred[output.Name]); diff != "" {
					t.Error(output.Name, diff)
				}
			}
		})
	}
}

// TestONNXDependsOnTheWeightsAlone: written twice the bytes are the same; what nobody asked for is left out.
func TestONNXDependsOnTheWeightsAlone(t *testing.T) {
	for name, m := range onnxCases(t) {
		weights, err := m.Weights()
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(weights.Tensors)
		var files [][]byte
		for _, layers := range [][]int{{2, 1}, {1, 2, 2}, nil} {
			path := filepath.Join(t.TempDir(), "network.onnx")
			if _, err := export.WriteONNX(path, weights, export.ONNXOptions{Layers: layers}, false); err != nil {
				t.Fatal(name, err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, content)
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: equal weights gave different files", name)
		}
		if len(files[2]) >= len(files[1]) || bytes.Contains(files[2], []byte("layer_1")) {
			t.Errorf("%s: layers that nobody asked for are in the file", name)
		}
	}
}

// TestONNXRefuses: weights that are not those of the network are named.
func TestONNXRefuses(t *testing.T) {
	whole, err := onnxCases(t)["vit, mean"].Weights()
	if err != nil {
		t.Fatal(err)
	}
	less, more, family, shallow := whole, whole, whole, whole
	less.Tensors = slices.DeleteFunc(slices.Clone(whole.Tensors), func(t export.Tensor) bool { return t.Name == "norm.bias" })
	more.Tensors = append(slices.Clone(whole.Tensors), export.Tensor{Name: "reg_token", Shape: []int{1}, Data: []float32{1}})
	family.Model.Family = "mlp"
	shallow.Model.Depth = 0
	for _, test := range []struct {
		weights export.Weights
		layers  []int
		want    string
	}{
		{less, nil, "tensor norm.bias is missing"}, {more, nil, "no operation reads tensor reg_token"},
		{family, nil, `family "mlp": there are [resnet vit]`}, {shallow, nil, "depth 0"}, {whole, []int{3}, "layer 3: the network has layers 1 to 2"},
	} {
		path := filepath.Join(t.TempDir(), "network.onnx")
		if _, err := export.WriteONNX(path, test.weights, export.ONNXOptions{Layers: test.layers}, false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q in it", err, test.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file is there", test.want)
		}
	}
}
