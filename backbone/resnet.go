package backbone

import (
	"fmt"

	"pretrain/nn"
)

// ResNetConfig is the section backbone.resnet.
type ResNetConfig struct {
	Stem  string `mapstructure:"stem" validate:"oneof=standard small" doc:"standard = 7×7 convolution of stride 2 and max-pooling, as published; small = 3×3 of stride 1 without pooling, for pictures up to 64 pixels: four times finer maps at sixteen times the cost"`
	Width int    `mapstructure:"width" validate:"gte=1" doc:"channels of the stem; every stage is this multiple of the published widths over 64"`
}

// resnetArchitecture is an architecture with its blocks in each stage.
type resnetArchitecture struct {
	Architecture
	blocks     [4]int
	bottleneck bool
}

const citeResNet = "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385"

var resnetArchitectures = []resnetArchitecture{
	{Architecture{"resnet18", "residual network of basic blocks (2, 2, 2, 2); 11 M parameters", citeResNet}, [4]int{2, 2, 2, 2}, false},
	{Architecture{"resnet34", "residual network of basic blocks (3, 4, 6, 3); 21 M parameters", citeResNet}, [4]int{3, 4, 6, 3}, false},
	{Architecture{"resnet50", "residual network of bottleneck blocks (3, 4, 6, 3); 24 M parameters", citeResNet}, [4]int{3, 4, 6, 3}, true},
}

func init() {
	family := Family{
		Name:     "resnet",
		Summary:  "residual networks: four stages of convolutions with batch normalisation, each at half the resolution of the one before",
		Citation: citeResNet,
		Defaults: func() any { return &ResNetConfig{Stem: "standard", Width: 64} },
		New:      newResNet,
		Infer:    inferResNet,
	}
	for _, a := range resnetArchitectures {
		family.Architectures = append(family.Architectures, a.Architecture)
	}
	Register(family)
}

// resnet is a residual network as torchvision builds it: version 1.5 (the stride of a bottleneck is in its 3×3
// convolution), He initialisation by fan-out, scales of batch normalisation at 1, the last of a block too.
type resnet struct {
	description
	config     ResNetConfig
	blocks     [4]int // of each stage
	bottleneck bool
}

func newResNet(architecture string, params any, side int) (Backbone, error) {
	given, ok := params.(*ResNetConfig)
	if !ok {
		return nil, fmt.Errorf("backbone %s: parameters are a %T: pass a *backbone.ResNetConfig", architecture, params)
	}
	for _, a := range resnetArchitectures {
		if a.Name == architecture {
			return given.build(a, side)
		}
	}
	return nil, fmt.Errorf("backbone.name is %q: it is not of the family resnet; see backbone.Find", architecture)
}

func (c ResNetConfig) build(a resnetArchitecture, side int) (Backbone, error) {
	switch {
	case c.Width < 1:
		return nil, fmt.Errorf("backbone.resnet.width is %d: it must be at least 1; 64 is as published", c.Width)
	case c.Stem != "standard" && c.Stem != "small":
		return nil, fmt.Errorf("backbone.resnet.stem is %q: it must be standard or small", c.Stem)
	}
	r := &resnet{config: c, blocks: a.blocks, bottleneck: a.bottleneck, description: description{
		name: a.Name, family: "resnet", side: side, stride: 32, depth: len(a.blocks),
		pooling: "mean", keyNames: "torchvision", config: c,
	}}
	r.dim = r.planes(3) * r.expansion()
	if c.Stem == "small" {
		r.stride = 8
	}
	return r, r.checkSide("data.size", side)
}

// planes is the width of the blocks of a stage, counted from 0, before the expansion of bottlenecks.
func (r *resnet) planes(stage int) int { return r.config.Width << stage }

// expansion is how much wider than its inner convolution a block's output is.
func (r *resnet) expansion() int {
	if r.bottleneck {
		return 4
	}
	return 1
}

// checkSide reports a view side of which the last stage would see less than one position.
func (r *resnet) checkSide(what string, side int) error {
	switch {
	case side >= r.stride:
		return nil
	case r.config.Stem == "standard":
		return fmt.Errorf("%s is %d: it must be at least %d for the standard stem; use larger views, or set backbone.resnet.stem to small", what, side, r.stride)
	default:
		return fmt.Errorf("%s is %d: it must be at least %d for the small stem; use larger views", what, side, r.stride)
	}
}

func (r *resnet) UsesTokens() bool          { return false }
func (r *resnet) UsesBatchStatistics() bool { return true }

// Forward applies stem and stages. Each group of views is normalised by its own statistics in a training graph.
func (r *resnet) Forward(c *nn.Ctx, in Input) (Features, error) {
	if err := r.checkInput(c, in); err != nil {
		return Features{}, err
	}
	x := r.stem(c, in.images())
	f := Features{}
	for stage := range r.blocks {
		for i := range r.blocks[stage] {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			x = r.block(c.Scope(fmt.Sprintf("layer%d.%d", stage+1, i)), x, r.planes(stage), stride)
		}
		f.Layers = append(f.Layers, x)
	}
	f.Map = x
	f.Pooled = nn.MeanPool(c, x.Node, in.Views)
	return f, c.Err()
}

// checkInput reports views that are too small, and token options.
func (r *resnet) checkInput(c *nn.Ctx, in Input) error {
	if err := in.check(c); err != nil {
		return err
	}
	if in.Kept != 0 || in.Tokens != nil || in.Positions != nil {
		return fmt.Errorf("%s has no tokens: leave Input.Kept, Tokens and Positions empty, or use a vit", r.name)
	}
	return r.checkSide("the side of a view", in.Side)
}

func (r *resnet) stem(c *nn.Ctx, x nn.Map) nn.Map {
	if r.config.Stem == "small" {
		return nn.BatchNorm(c, "bn1", nn.Conv(c, "conv1", x, r.config.Width, 3, 1, 1), nil, true)
	}
	x = nn.BatchNorm(c, "bn1", nn.Conv(c, "conv1", x, r.config.Width, 7, 2, 3), nil, true)
	return nn.MaxPool(c, x, 3, 2, 1)
}

// block is a residual block: the basic one of two 3×3 convolutions, or the bottleneck of 1×1, 3×3 and 1×1
// (He et al. 2016, figure 5). The last normalisation adds the shortcut and applies ReLU in one pass.
func (r *resnet) block(c *nn.Ctx, x nn.Map, planes, stride int) nn.Map {
	shortcut := r.shortcut(c, x, planes*r.expansion(), stride)
	if !r.bottleneck {
		y := nn.BatchNorm(c, "bn1", nn.Conv(c, "conv1", x, planes, 3, stride, 1), nil, true)
		return nn.BatchNorm(c, "bn2", nn.Conv(c, "conv2", y, planes, 3, 1, 1), &shortcut, true)
	}
	y := nn.BatchNorm(c, "bn1", nn.Conv(c, "conv1", x, planes, 1, 1, 0), nil, true)
	y = nn.BatchNorm(c, "bn2", nn.Conv(c, "conv2", y, planes, 3, stride, 1), nil, true)
	return nn.BatchNorm(c, "bn3", nn.Conv(c, "conv3", y, planes*r.expansion(), 1, 1, 0), &shortcut, true)
}

// shortcut is x itself, or its projection where the block changes size or width.
func (r *resnet) shortcut(c *nn.Ctx, x nn.Map, channels, stride int) nn.Map {
	if stride == 1 && x.Channels() == channels {
		return x
	}
	return nn.BatchNorm(c, "downsample.1", nn.Conv(c, "downsample.0", x, channels, 1, stride, 0), nil, false)
}
