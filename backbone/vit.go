package backbone

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// ViTConfig is the section backbone.vit. A zero takes the architecture's value; "vit" has none of its own, so there
// width, depth and heads must be given.
type ViTConfig struct {
	Patch      int     `mapstructure:"patch" validate:"gte=1" doc:"side of a patch in pixels; one patch is one token, so 4 suits pictures of 32 pixels, 8 those of 64, 16 those of 224"`
	Width      int     `mapstructure:"width" validate:"gte=0" doc:"channels of a token; 0 = the architecture's"`
	Depth      int     `mapstructure:"depth" validate:"gte=0" doc:"number of blocks; 0 = the architecture's"`
	Heads      int     `mapstructure:"heads" validate:"gte=0" doc:"attention heads, which must divide width; 0 = the architecture's"`
	MLPRatio   float64 `mapstructure:"mlp_ratio" validate:"gt=0" doc:"hidden channels of a block's MLP as a multiple of width"`
	ClassToken bool    `mapstructure:"class_token" doc:"a learned token beside the patches that gathers the whole picture"`
	Pooling    string  `mapstructure:"pooling" validate:"oneof=mean class" doc:"one vector a picture: the mean over patches, or the class token"`
	Positions  string  `mapstructure:"positions" validate:"oneof=learned sincos" doc:"position embeddings: learned, or fixed sines and cosines"`
}

// UnknownPosition is the parameter [1, 1, width] that nn.UnknownPosition adds to a token. Only graphs with
// Input.Positions declare it. It belongs to training: timm's ViT has no such key.
const UnknownPosition = "unknown_position"

// vitArchitecture is an architecture with its numbers.
type vitArchitecture struct {
	Architecture
	width, depth, heads int
}

const (
	citeViT  = "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, arXiv:2010.11929"
	citeDeiT = "Touvron et al. 2021, Training data-efficient image transformers & distillation through attention, arXiv:2012.12877"
)

var vitArchitectures = []vitArchitecture{
	{Architecture{"vit", "vision transformer of the width, depth and heads that you give", citeViT}, 0, 0, 0},
	{Architecture{"vit_tiny", "vision transformer, 12 blocks of 192 channels and 3 heads; 5.4 M parameters", citeDeiT}, 192, 12, 3},
	{Architecture{"vit_small", "vision transformer, 12 blocks of 384 channels and 6 heads; 21 M parameters", citeDeiT}, 384, 12, 6},
	{Architecture{"vit_base", "vision transformer, 12 blocks of 768 channels and 12 heads; 85 M parameters", citeViT}, 768, 12, 12},
}

func init() {
	family := Family{
		Name:     "vit",
		Summary:  "vision transformers: patches as tokens, pre-norm blocks of attention and MLP",
		Citation: citeViT,
		Defaults: func() any {
			return &ViTConfig{Patch: 8, MLPRatio: 4, ClassToken: true, Pooling: "mean", Positions: "learned"}
		},
		New:   newViT,
		Infer: inferViT,
	}
	for _, a := range vitArchitectures {
		family.Architectures = append(family.Architectures, a.Architecture)
	}
	Register(family)
}

// vit is a vision transformer (Dosovitskiy et al. 2021, eq. 1–4): pre-norm blocks, biases everywhere, exact GELU,
// LayerNorm with ε 1e-6, as timm builds it with global_pool "token", or "avg" with fc_norm off. All blocks use
// truncated normal weights of σ 0.02; patches are projected from Xavier's (as He et al. 2021, MAE).
type vit struct {
	description
	config ViTConfig
}

func newViT(architecture string, params any, side int) (Backbone, error) {
	given, ok := params.(*ViTConfig)
	if !ok {
		return nil, fmt.Errorf("backbone %s: parameters are a %T: pass a *backbone.ViTConfig", architecture, params)
	}
	config := *given
	for _, a := range vitArchitectures {
		if a.Name == architecture {
			config.fill(a)
			return config.build(architecture, side)
		}
	}
	return nil, fmt.Errorf("backbone.name is %q: it is not of the family vit; see backbone.Find", architecture)
}

// fill replaces zeros by the architecture's numbers.
func (c *ViTConfig) fill(a vitArchitecture) {
	for _, number := range []struct {
		value    *int
		standard int
	}{{&c.Width, a.width}, {&c.Depth, a.depth}, {&c.Heads, a.heads}} {
		if *number.value == 0 {
			*number.value = number.standard
		}
	}
}

func (c ViTConfig) build(architecture string, side int) (Backbone, error) {
	if err := c.check(architecture); err != nil {
		return nil, err
	}
	v := &vit{config: c, description: description{
		name: architecture, family: "vit", side: side, dim: c.Width, stride: c.Patch, depth: c.Depth,
		pooling: c.Pooling, keyNames: "timm", config: c,
	}}
	return v, v.checkSide("data.size", side)
}

// check reports numbers that do not fit together. Ranges of single numbers are checked again, for callers that do
// not validate the struct.
func (c ViTConfig) check(architecture string) error {
	for _, number := range []struct {
		key   string
		value int
	}{{"patch", c.Patch}, {"width", c.Width}, {"depth", c.Depth}, {"heads", c.Heads}} {
		if number.value <= 0 {
			return fmt.Errorf("backbone.vit.%s is %d: %s needs at least 1; set it", number.key, number.value, architecture)
		}
	}
	switch {
	case c.Width%c.Heads != 0:
		return fmt.Errorf("backbone.vit.heads is %d: it must divide backbone.vit.width (%d); change either, 64 channels a head are usual", c.Heads, c.Width)
	case c.hidden() < 1:
		return fmt.Errorf("backbone.vit.mlp_ratio is %v: width·mlp_ratio must be at least 1; 4 is usual", c.MLPRatio)
	case c.Pooling != "mean" && c.Pooling != "class":
		return fmt.Errorf("backbone.vit.pooling is %q: it must be mean or class", c.Pooling)
	case c.Positions != "learned" && c.Positions != "sincos":
		return fmt.Errorf("backbone.vit.positions is %q: it must be learned or sincos", c.Positions)
	case c.Pooling == "class" && !c.ClassToken:
		return fmt.Errorf("backbone.vit.pooling is class and backbone.vit.class_token is false: there is no class token to take; set class_token to true or pooling to mean")
	case c.Positions == "sincos" && c.Width%4 != 0:
		return fmt.Errorf("backbone.vit.positions is sincos and backbone.vit.width is %d: it must be a multiple of 4, for a sine and a cosine of x and of y; change width or take learned positions", c.Width)
	}
	return nil
}

// hidden is the width inside the MLP.
func (c ViTConfig) hidden() int { return int(float64(c.Width) * c.MLPRatio) }

// prefix is the number of tokens before the patches.
func (c ViTConfig) prefix() int {
	if c.ClassToken {
		return 1
	}
	return 0
}

// checkSide reports a view side that patches do not tile.
func (v *vit) checkSide(what string, side int) error {
	patch := v.config.Patch
	if side < patch || side%patch != 0 {
		return fmt.Errorf("%s is %d: it must be a multiple of backbone.vit.patch (%d); take %d, or change the patch",
			what, side, patch, max(side/patch, 1)*patch)
	}
	return nil
}

func (v *vit) UsesTokens() bool          { return true }
func (v *vit) UsesBatchStatistics() bool { return false }

// Forward embeds patches, adds positions, and applies the blocks and the final norm. What nothing reads is not computed:
// features are nodes of a graph, and a last block that only the class token is read from computes no other token.
func (v *vit) Forward(c *nn.Ctx, in Input) (Features, error) {
	if err := v.checkInput(c, in); err != nil {
		return Features{}, err
	}
	x, tokens := v.embed(c, in)
	f := Features{}
	last := vitEnd{vit: v, c: c, in: in, tokens: tokens, made: map[[2]int]lastLayer{}}
	for i := range v.config.Depth {
		block := c.Scope(fmt.Sprintf("blocks.%d", i))
		qkv := blockInputs(block, x)
		f.Attention = append(f.Attention, AttentionInput{QKV: qkv, Tokens: tokens, Heads: v.config.Heads})
		if i == v.config.Depth-1 {
			last.block, last.x, last.qkv = block, x, qkv
			break
		}
		x = blockResults(block, x, qkv, tokens, tokens, v.config.Heads, v.config.hidden())
		f.Layers = append(f.Layers, v.patches(c, in, x, tokens))
		if v.config.ClassToken {
			f.Classes = append(f.Classes, nn.SliceTokens(c, x, tokens, 0, 1))
		}
	}
	f.setLast(last.features())
	if v.config.Pooling == "class" {
		f.lastOf = last.rows
	}
	return f, c.Err()
}

// vitEnd is what the last block of a ViT is applied to.
type vitEnd struct {
	*vit
	c, block *nn.Ctx
	in       Input
	x, qkv   *G.Node // of all tokens
	tokens   int
	made     map[[2]int]lastLayer // of views from, to, for tasks that look at the same ones
}

// features are those of the last layer. All tokens and the class token alone are two ways through the block with the same
// parameters, of which a graph takes the one that it needs, or both at the cost of one token a view.
func (e vitEnd) features() lastLayer {
	of := func(first int) *G.Node {
		return nn.LayerNorm(e.c, "norm", blockResults(e.block, e.x, e.qkv, e.tokens, first, e.config.Heads, e.config.hidden()))
	}
	last := lastLayer{layer: e.patches(e.c, e.in, of(e.tokens), e.tokens)}
	if e.config.ClassToken {
		last.class = of(1)
	}
	last.pooled = last.class
	if e.config.Pooling == "mean" {
		last.pooled = nn.MeanPool(e.c, last.layer.Node, e.in.Views)
	}
	return last
}

// rows are the features of views [from, to), from their own application of the block: next to views of which only the
// class token is read there may be some whose tokens are.
func (e vitEnd) rows(from, to int) lastLayer {
	at := [2]int{from, to}
	if last, ok := e.made[at]; ok || e.c.Err() != nil {
		return last
	}
	e.x, e.qkv = nn.Rows(e.c, e.x, from*e.tokens, to*e.tokens), nn.Rows(e.c, e.qkv, from*e.tokens, to*e.tokens)
	e.in.Views, e.in.Groups = to-from, nil
	e.made[at] = e.features()
	return e.made[at]
}

// checkInput reports views that cannot be cut into patches, and tokens that do not exist.
func (v *vit) checkInput(c *nn.Ctx, in Input) error {
	if err := in.check(c); err != nil {
		return err
	}
	if err := v.checkSide("the side of a view", in.Side); err != nil {
		return err
	}
	all := v.grid(in.Side) * v.grid(in.Side)
	switch {
	case in.Kept < 0 || in.Kept > all:
		return fmt.Errorf("Input.Kept is %d: views of side %d have %d tokens; keep 1 to %d, or 0 for all", in.Kept, in.Side, all, all)
	case (in.Kept > 0) != (in.Tokens != nil):
		return fmt.Errorf("Input.Kept is %d and Input.Tokens is %v: give both to drop tokens, or neither", in.Kept, in.Tokens)
	}
	return nil
}

// grid is the number of patches along a side.
func (v *vit) grid(side int) int { return side / v.config.Patch }

// embed makes the tokens of every view: patches, positions, the choice of tokens and the class token. It returns the
// tokens [views·tokens, width] and how many a view has.
func (v *vit) embed(c *nn.Ctx, in Input) (x *G.Node, tokens int) {
	x = v.project(c.Scope("patch_embed"), in)
	all := v.grid(in.Side) * v.grid(in.Side)
	class, table := v.positions(c, in.Side)
	tokens = all
	if in.Positions == nil {
		x = nn.AddPositions(c, table, x, all, nil)
	}
	if in.Kept > 0 {
		tokens = in.Kept
		x = nn.GatherTokens(c, x, all, in.Tokens, tokens)
	}
	if in.Positions != nil {
		unknown := c.Parameter(UnknownPosition, []int{1, 1, v.config.Width}, nn.Position, nn.TruncatedNormal(0.02))
		x = nn.AddPositions(c, nn.ConcatRows(c, table, unknown), x, tokens, in.Positions)
	}
	if v.config.ClassToken {
		token := c.Parameter("cls_token", []int{1, 1, v.config.Width}, nn.Token, nn.TruncatedNormal(0.02))
		x = nn.PrependRow(c, nn.Add(c, token, class), x, tokens)
	}
	return x, tokens + v.config.prefix()
}

// project turns each patch into a token: a convolution whose stride is its size.
func (v *vit) project(c *nn.Ctx, in Input) *G.Node {
	patch, width := v.config.Patch, v.config.Width
	init := nn.XavierUniform(3*patch*patch, width)
	return nn.AddBias(c, "proj.bias", nn.ConvInit(c, "proj", in.images(), width, patch, patch, 0, init).Node)
}

// positions returns the class token's position [1, width], nil without one, and those of the patches of a view of
// the given side [patches, width]. The parameter pos_embed belongs to plain views; for others it is interpolated.
func (v *vit) positions(c *nn.Ctx, side int) (class, table *G.Node) {
	stored, prefix := v.grid(v.side), v.config.prefix()
	kind, init := nn.Position, nn.TruncatedNormal(0.02)
	if v.config.Positions == "sincos" {
		kind, init = nn.Statistic, nn.Values(func() []float32 { return sinCos(prefix, stored, v.config.Width) })
	}
	table = c.Parameter("pos_embed", []int{1, prefix + stored*stored, v.config.Width}, kind, init)
	if prefix > 0 {
		class, table = nn.Rows(c, table, 0, 1), nn.Rows(c, table, 1, 1+stored*stored)
	}
	if wanted := v.grid(side); wanted != stored {
		matrix := interpolation2D(stored, wanted)
		table = nn.MatMul(c, nn.Constant(c, matrix, wanted*wanted, stored*stored), table)
	}
	return class, table
}

// patches is a layer's output without the class token.
func (v *vit) patches(c *nn.Ctx, in Input, x *G.Node, tokens int) nn.Map {
	m := nn.Map{Node: x, Views: in.Views, Height: v.grid(in.Side), Width: v.grid(in.Side), Groups: in.Groups}
	if in.Kept > 0 {
		m.Height, m.Width = 1, in.Kept
	}
	if v.config.ClassToken {
		m.Node = nn.SliceTokens(c, x, tokens, 1, tokens)
	}
	return m
}
