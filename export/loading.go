package export

import (
	"fmt"
	"strings"
)

// torchvisionWidth is the channels of the stem of torchvision's residual networks.
const torchvisionWidth = 64

// timmModels are the models of timm from which each architecture is made, and the numbers that these have. The generic
// one starts from vit_base and says all of its own.
var timmModels = map[string]struct {
	name                string
	width, depth, heads int
}{
	"vit":       {"vit_base_patch16_224", 768, 12, 12},
	"vit_tiny":  {"vit_tiny_patch16_224", 192, 12, 3},
	"vit_small": {"vit_small_patch16_224", 384, 12, 6},
	"vit_base":  {"vit_base_patch16_224", 768, 12, 12},
}

// loading is the Python that builds the network and loads the weights strictly; nil where neither library has it.
func (m Model) loading() []string {
	var lines []string
	switch {
	case CheckFormat(m, FormatTimm) == nil:
		lines = append(lines, "import timm, safetensors.torch", "model = "+m.timmCall())
	case CheckFormat(m, FormatTorchvision) == nil:
		lines = append(lines, "import torch, torchvision, safetensors.torch")
		lines = append(lines, m.torchvisionCalls()...)
	default:
		return nil
	}
	return append(lines, fmt.Sprintf("model.load_state_dict(safetensors.torch.load_file(%q), strict=True)", m.Weights), "model.eval()")
}

// timmCall makes the model. With fc_norm off, timm normalises before it pools, as we do.
func (m Model) timmCall() string {
	standard := timmModels[m.Name]
	arguments := []string{fmt.Sprintf("'%s'", standard.name), fmt.Sprintf("img_size=%d", m.InputSide), "num_classes=0"}
	for _, number := range []struct {
		argument, parameter string
		standard            any
	}{
		{"patch_size", "patch", 16}, {"embed_dim", "width", standard.width}, {"depth", "depth", standard.depth},
		{"num_heads", "heads", standard.heads}, {"mlp_ratio", "mlp_ratio", 4.0},
	} {
		if value := m.value(number.parameter); value != nil && fmt.Sprint(value) != fmt.Sprint(number.standard) {
			arguments = append(arguments, fmt.Sprintf("%s=%v", number.argument, value))
		}
	}
	if m.value("class_token") == false {
		arguments = append(arguments, "class_token=False")
	}
	if m.Pooling == "mean" {
		arguments = append(arguments, "global_pool='avg'", "fc_norm=False")
	}
	return fmt.Sprintf("timm.create_model(%s)", strings.Join(arguments, ", "))
}

// torchvisionCalls make the model, give it the small stem if this one has it, and take the classifier away.
func (m Model) torchvisionCalls() []string {
	lines := []string{fmt.Sprintf("model = torchvision.models.%s()", m.Name)}
	if m.value("stem") == "small" {
		lines = append(lines, fmt.Sprintf("model.conv1 = torch.nn.Conv2d(3, %d, 3, padding=1, bias=False)", torchvisionWidth),
			"model.maxpool = torch.nn.Identity()")
	}
	return append(lines, "model.fc = torch.nn.Identity()")
}

// value is a parameter of the family's configuration; nil if it has none of that name.
func (m Model) value(name string) any {
	parameters, _ := m.Parameters.(map[string]any)
	return parameters[name]
}

// number is a parameter that must be a whole number.
func (m Model) number(name string) (int, error) {
	switch value := m.value(name).(type) {
	case int:
		return value, nil
	case float64: // from JSON
		return int(value), nil
	}
	return 0, fmt.Errorf("parameter %s of %s is %v: expected a number", name, m.Name, m.value(name))
}

// widthOfStem is the channels of a residual network's stem; 0 for other networks.
func (m Model) widthOfStem() int {
	width, err := m.number("width")
	if err != nil || m.Family != "resnet" {
		return 0
	}
	return width
}
