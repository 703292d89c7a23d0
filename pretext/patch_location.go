package pretext

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/look"
	"pretrain/nn"
)

func init() {
	Register(Definition{
		Name:    "patch_location",
		Summary: "where in the picture does a given patch belong?",
		Citation: "crop: after Doersch, Gupta & Efros 2015, arXiv:1505.05192, with the picture as context; " +
			"tokens: Wang et al. 2023, DropPos: Pre-Training Vision Transformers by Reconstructing Dropped Positions, arXiv:2309.03576",
		Defaults: func() Params {
			return &PatchLocationConfig{
				Common: Common{Weight: 1, Share: 1}, Mode: "auto", Patch: defaultPatches(),
				Crop:   CropLocationConfig{Grid: 3, Hidden: 256},
				Tokens: TokenLocationConfig{Mask: 0.75, Unknown: 0.75, Smoothing: 1, DecoderWidth: 128, DecoderHeads: 4, DecoderBlocks: 2},
			}
		},
	})
}

// PatchLocationConfig is the section `tasks.patch_location`.
type PatchLocationConfig struct {
	Common `mapstructure:",squash"`
	Mode   string              `mapstructure:"mode" validate:"oneof=auto crop tokens" doc:"a patch cut from the picture, tokens of the picture without their positions (vit only), or auto: tokens where there are any"`
	Patch  PatchConfig         `mapstructure:"patch" doc:"mode crop: how the patch is cut and treated"`
	Crop   CropLocationConfig  `mapstructure:"crop" doc:"mode crop"`
	Tokens TokenLocationConfig `mapstructure:"tokens" doc:"mode tokens"`
}

// CropLocationConfig are the parameters of mode crop.
type CropLocationConfig struct {
	Grid      int     `mapstructure:"grid" validate:"gte=2,lte=16" doc:"cells along a side of the crop; the patch comes from one of them"`
	Smoothing float64 `mapstructure:"smoothing" validate:"gte=0" doc:"σ of soft labels exp(−d²/σ²), d being the distance in cells; 0 = one right answer"`
	Hidden    int     `mapstructure:"hidden" validate:"gte=1" doc:"hidden channels of the head"`
}

// TokenLocationConfig are the parameters of mode tokens.
type TokenLocationConfig struct {
	Mask          float64 `mapstructure:"mask" validate:"gte=0,lt=1" doc:"share of the tokens that the encoder does not see"`
	Unknown       float64 `mapstructure:"unknown" validate:"gt=0,lte=1" doc:"share of the seen tokens whose position is removed and asked for"`
	Smoothing     float64 `mapstructure:"smoothing" validate:"gte=0" doc:"σ of soft labels exp(−d²/σ²) in the first epoch, d being the distance in tokens; it falls linearly to 0 in the last one"`
	DecoderWidth  int     `mapstructure:"decoder_width" validate:"gte=1" doc:"channels of the decoder"`
	DecoderHeads  int     `mapstructure:"decoder_heads" validate:"gte=1" doc:"attention heads of the decoder, which must divide decoder_width"`
	DecoderBlocks int     `mapstructure:"decoder_blocks" validate:"gte=0" doc:"blocks of the decoder"`
}

// New makes the task of the chosen mode.
func (c *PatchLocationConfig) New(env Env) (Task, error) {
	tokens, err := takesTokens(c.Mode, "crop", env.Backbone)
	if err != nil {
		return nil, err
	}
	if tokens {
		return newTokenLocation(c.Tokens, env)
	}
	return newCropLocation(c.Crop, c.Patch, env)
}

// patchLocation is what both modes share: questions about positions on a grid. The target of a picture is the right
// position of every question, then a distribution over the positions of the grid for every question.
type patchLocation struct {
	grid      int // positions along a side
	questions int // a picture
}

func (patchLocation) Name() string                { return "patch_location" }
func (patchLocation) State() map[string][]float32 { return nil }

func (p patchLocation) positions() int { return p.grid * p.grid }
func (p patchLocation) target() int    { return p.questions * (1 + p.positions()) }

// answer writes the right position of a question and its soft label.
func (p patchLocation) answer(target []float32, question, position int, sigma float64) {
	target[question] = float32(position)
	at := p.questions + question*p.positions()
	softLabel(target[at:][:p.positions()], p.grid, position, sigma)
}

// softLabel writes the distribution exp(−d²/σ²) over the cells of a grid, d being the distance to one of them in
// cells, normalised to sum 1; for σ = 0 that cell has it all (Wang et al. 2023, equation 5, on the real grid).
func softLabel(row []float32, grid, cell int, sigma float64) {
	falloff := func(d int) float64 {
		if d == 0 {
			return 1
		}
		return math.Exp(-float64(d*d) / (sigma * sigma)) // exp(−∞) for σ = 0
	}
	column, line, sum := cell%grid, cell/grid, 0.0
	for i := range row {
		sum += falloff(i%grid-column) * falloff(i/grid-line)
	}
	for i := range row {
		row[i] = float32(falloff(i%grid-column) * falloff(i/grid-line) / sum)
	}
}

// output holds logits [pictures·questions, positions] against the target.
func (p patchLocation) output(c *nn.Ctx, logits, target *G.Node, pictures int) (Output, error) {
	rows := pictures * p.questions
	labels := nn.Reshape(c, nn.Columns(c, target, 0, p.questions), rows, 1)
	soft := nn.Reshape(c, nn.Columns(c, target, p.questions, p.target()), rows, p.positions())
	return Output{
		Loss: nn.SoftCrossEntropy(c, logits, soft, nil), Accuracy: nn.Accuracy(c, logits, labels),
		Logits: logits, Chance: 1 / float64(p.positions()),
	}, c.Err()
}

// cropLocation is mode crop: the crop that other tasks see too is the context, and a patch of it, treated against
// shortcuts, the second view. Their pooled features tell which cell of a grid it came from. The grid is 3×3 by
// default: a third of a small picture still shows a part of a thing, while finer cells hold little but texture.
type cropLocation struct {
	patchLocation
	config CropLocationConfig
	cutter patchCutter
}

func newCropLocation(config CropLocationConfig, patches PatchConfig, env Env) (Task, error) {
	if config.Grid < 2 {
		return nil, fmt.Errorf("crop.grid is %d: with less than 2 cells a side there is nothing to tell; take 3", config.Grid)
	}
	cutter, err := newPatchCutter(patches, env)
	return &cropLocation{patchLocation{config.Grid, 1}, config, cutter}, err
}

func (l *cropLocation) Spec() Spec {
	return Spec{
		Views:  []View{plainView(l.cutter.env, backbone.PositionsOwn), {Name: "patch", Side: l.cutter.size, Group: l.Name()}},
		Target: l.target(),
	}
}

// Prepare cuts a patch that is smaller than its cell by the jitter on each side, so that it stays in it wherever it
// is moved: one that overlaps its neighbours would have more than one right answer.
func (l *cropLocation) Prepare(s *data.Sample, views []Canvas, target []float32) error {
	rng := s.Rand("patch_location.crop")
	cell := rng.IntN(l.positions())
	jitter, pitch := l.cutter.Jitter, 1/float64(l.grid)
	x := (float64(cell%l.grid) + jitter + l.cutter.move(rng)) * pitch
	y := (float64(cell/l.grid) + jitter + l.cutter.move(rng)) * pitch
	l.cutter.cut(s, views[1].Pixels, x, y, (1-2*jitter)*pitch, rng)
	l.answer(target, 0, cell, l.config.Smoothing)
	return nil
}

func (l *cropLocation) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error) {
	pair := nn.ConcatColumns(c, views[0].Pooled, views[1].Pooled)
	return l.output(c, mlp(c, pair, l.config.Hidden, l.positions()), target, views[0].Map.Views)
}

// Illustrate shows the patch, and the crop with a green frame around the cell that the patch comes from. A red frame is
// a wrong answer.
func (l *cropLocation) Illustrate(e Exhibit) ([]look.Tile, error) {
	truth, said := int(e.Target[0]), likeliest(e.row(e.Picture, e.Pictures))
	drawn := look.Copy(e.Views[0])
	frame := func(cell int, colour [3]float32) {
		left, top := cell%l.grid*drawn.Side/l.grid, cell/l.grid*drawn.Side/l.grid
		look.Frame(drawn, left, top, drawn.Side/l.grid, max(1, drawn.Side/32), colour)
	}
	frame(said, look.Red)
	frame(truth, look.Green)
	outcome := look.OutcomeOf(said == truth)
	return []look.Tile{{Caption: "patch", Pixels: e.Views[1]}, {Caption: "where it belongs", Pixels: drawn, Outcome: outcome}}, nil
}

// tokenLocation is mode tokens: the encoder sees some tokens of the crop, most of them with a learned vector in the
// place of their position. A small decoder without positions then tells where each of those belongs.
type tokenLocation struct {
	patchLocation // a question for each token of unknown position
	config        TokenLocationConfig
	env           Env
	kept          int // tokens that the encoder sees
}

func newTokenLocation(config TokenLocationConfig, env Env) (Task, error) {
	if config.DecoderHeads < 1 || config.DecoderWidth%config.DecoderHeads != 0 {
		return nil, fmt.Errorf("tokens.decoder_heads is %d: it must divide tokens.decoder_width (%d)", config.DecoderHeads, config.DecoderWidth)
	}
	grid := tokenGrid(env)
	kept := int(math.Round(float64(grid*grid) * (1 - config.Mask)))
	unknown := int(math.Round(float64(kept) * config.Unknown))
	if grid < 2 || unknown < 1 {
		return nil, fmt.Errorf("tokens.mask is %v: of %d tokens it keeps %d, of which %d lose their position (tokens.unknown %v): at least 1 must; lower mask, or raise data.size",
			config.Mask, grid*grid, kept, unknown, config.Unknown)
	}
	return &tokenLocation{patchLocation{grid, unknown}, config, env, kept}, nil
}

// Spec asks for a view of its own: no other task sees the same tokens.
func (l *tokenLocation) Spec() Spec {
	view := View{Name: "tokens", Side: l.env.Side, Kept: l.kept, Positions: backbone.PositionsGiven, Group: l.Name()}
	return Spec{Views: []View{view}, Target: l.target()}
}

// Prepare shuffles the tokens, shows the first ones and hides the positions of the first of these: Build finds the
// tokens that it asks about in front. Their order tells nothing, as attention does not see it.
func (l *tokenLocation) Prepare(s *data.Sample, views []Canvas, target []float32) error {
	l.env.Normalization.Apply(views[0].Pixels, s.Crop(l.env.Augmentation, l.env.Side))
	shuffled := s.Rand("patch_location.tokens").Perm(l.positions())
	for i, token := range shuffled[:l.kept] {
		views[0].Tokens[i] = float32(token)
		views[0].Positions[i] = float32(token)
		if i < l.questions {
			views[0].Positions[i] = nn.UnknownPosition
			l.answer(target, i, token, l.sigma(s.Epoch()))
		}
	}
	return nil
}

// sigma falls from the configured smoothing in the first epoch to 0 in the last one.
func (l *tokenLocation) sigma(epoch uint64) float64 {
	last := float64(l.env.Epochs - 1)
	if last <= 0 {
		return 0
	}
	return l.config.Smoothing * max(0, 1-float64(epoch)/last)
}

// Build decodes the tokens seen and classifies the positions of those that lost theirs.
func (l *tokenLocation) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error) {
	x := nn.Linear(c, "decoder.embed", views[0].Map.Node, l.config.DecoderWidth, true)
	for i := range l.config.DecoderBlocks {
		block := c.Scope(fmt.Sprintf("decoder.blocks.%d", i))
		first := l.kept
		if i == l.config.DecoderBlocks-1 {
			first = l.questions
		}
		x = backbone.TransformerBlock(block, x, l.kept, first, l.config.DecoderHeads, 4*l.config.DecoderWidth)
	}
	if l.config.DecoderBlocks == 0 {
		x = nn.SliceTokens(c, x, l.kept, 0, l.questions)
	}
	x = nn.LayerNorm(c, "decoder.norm", x)
	logits := nn.Linear(c, "head", x, l.positions(), true)
	return l.output(c, logits, target, views[0].Map.Views)
}

// Illustrate shows the tokens that the encoder saw at their true places, a blue frame around those whose position it did
// not know, and then the latter where they were put, a green frame around those that are right.
func (l *tokenLocation) Illustrate(e Exhibit) ([]look.Tile, error) {
	picture, tokens, right := e.Views[0], e.Canvases[0].Tokens, 0
	side := picture.Side / l.grid
	seen, put := look.Blank(picture.Side), look.Blank(picture.Side)
	for i, number := range tokens {
		token := int(number)
		look.CopyToken(seen, picture, token, token, side)
		if i >= l.questions {
			look.CopyToken(put, picture, token, token, side)
			continue
		}
		look.FrameToken(seen, token, side, look.Blue)
		said, colour := likeliest(e.row(e.Picture*l.questions+i, e.Pictures*l.questions)), look.Red
		if said == token {
			colour = look.Green
			right++
		}
		look.CopyToken(put, picture, said, token, side)
		look.FrameToken(put, said, side, colour)
	}
	return []look.Tile{
		{Caption: fmt.Sprintf("seen, %d without\ntheir places", l.questions), Pixels: seen},
		{Caption: fmt.Sprintf("put back\n%d of %d right", right, l.questions), Pixels: put},
	}, nil
}
