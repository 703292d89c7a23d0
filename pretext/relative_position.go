package pretext

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/look"
	"pretrain/nn"
)

func init() {
	Register(Definition{
		Name:    "relative_position",
		Summary: "in which direction does one part of the picture lie from another?",
		Citation: "pairs: Doersch, Gupta & Efros 2015, Unsupervised Visual Representation Learning by Context Prediction, arXiv:1505.05192; " +
			"tokens: Camporese, Izzo & Ballan 2022, Where are my Neighbors? Exploiting Patches Relations in Self-Supervised Vision Transformer, arXiv:2206.00481",
		Defaults: func() Params {
			return &RelativePositionConfig{
				Common: Common{Weight: 1, Share: 1}, Mode: "auto", Patch: defaultPatches(),
				Pairs:  PairsConfig{Gap: 0.5, Neighbours: 1, Hidden: 256},
				Tokens: PairScoresConfig{Relation: "sectors", QueryWidth: 32},
			}
		},
	})
}

// RelativePositionConfig is the section `tasks.relative_position`.
type RelativePositionConfig struct {
	Common `mapstructure:",squash"`
	Mode   string           `mapstructure:"mode" validate:"oneof=auto pairs tokens" doc:"pairs of patches that are seen apart, pairs of tokens of one picture (vit only), or auto: tokens where there are any"`
	Patch  PatchConfig      `mapstructure:"patch" doc:"mode pairs: how patches are cut and treated"`
	Pairs  PairsConfig      `mapstructure:"pairs" doc:"mode pairs"`
	Tokens PairScoresConfig `mapstructure:"tokens" doc:"mode tokens"`
}

// PairsConfig are the parameters of mode pairs.
type PairsConfig struct {
	Gap        float64 `mapstructure:"gap" validate:"gte=0,lte=2" doc:"distance between neighbouring patches, as a share of a patch, so that lines do not run from one to the next"`
	Neighbours int     `mapstructure:"neighbours" validate:"gte=1,lte=8" doc:"neighbours that are compared with the centre of a picture; all pairs share its view"`
	Hidden     int     `mapstructure:"hidden" validate:"gte=1" doc:"hidden channels of the head"`
}

// PairScoresConfig are the parameters of mode tokens.
type PairScoresConfig struct {
	Relation   string `mapstructure:"relation" validate:"oneof=sectors neighbours" doc:"sectors: all pairs, by the eight sectors of 45 degrees; neighbours: only pairs of adjacent tokens"`
	Sampled    int    `mapstructure:"sampled" validate:"gte=0" doc:"pairs of a picture that count in a step, chosen at random; 0 = all"`
	QueryWidth int    `mapstructure:"query_width" validate:"gte=1" doc:"channels of a query and of a key for each of the nine classes"`
}

// New makes the task of the chosen mode.
func (c *RelativePositionConfig) New(env Env) (Task, error) {
	tokens, err := takesTokens(c.Mode, "pairs", env.Backbone)
	if err != nil {
		return nil, err
	}
	if tokens {
		return newTokenPairs(c.Tokens, env)
	}
	return newPatchPairs(c.Pairs, c.Patch, env)
}

// relativePosition is what both modes share.
type relativePosition struct{}

func (relativePosition) Name() string                { return "relative_position" }
func (relativePosition) State() map[string][]float32 { return nil }

// directions is the number of neighbours of a cell. They are numbered row by row, the centre left out:
//
//	0 1 2
//	3 · 4
//	5 6 7
const directions = 8

// neighbourCell is the column and the row, 0 to 2, of a neighbour in the grid of nine cells.
func neighbourCell(direction int) (column, row int) {
	cell := direction
	if cell >= directions/2 {
		cell++
	}
	return cell % 3, cell / 3
}

// patchPairs is mode pairs: the centre of a 3×3 grid of patches and some of its neighbours go through the backbone
// each for itself. Their pooled features are concatenated, and an MLP tells the direction.
type patchPairs struct {
	relativePosition
	config PairsConfig
	cutter patchCutter
}

func newPatchPairs(config PairsConfig, patches PatchConfig, env Env) (Task, error) {
	if config.Neighbours < 1 || config.Neighbours > directions {
		return nil, fmt.Errorf("pairs.neighbours is %d: it must be 1 to %d", config.Neighbours, directions)
	}
	cutter, err := newPatchCutter(patches, env)
	return &patchPairs{config: config, cutter: cutter}, err
}

// Spec puts all patches in one statistics group: that a patch is a centre must not show in its normalisation.
func (p *patchPairs) Spec() Spec {
	spec := Spec{Target: p.config.Neighbours}
	for i := range p.config.Neighbours + 1 {
		name := fmt.Sprintf("neighbour %d", i)
		if i == 0 {
			name = "centre"
		}
		spec.Views = append(spec.Views, View{Name: name, Side: p.cutter.size, Group: p.Name()})
	}
	return spec
}

// Prepare cuts the centre and different neighbours. Labels mean the crop as it is seen, flipped or not.
func (p *patchPairs) Prepare(s *data.Sample, views []Canvas, target []float32) error {
	rng := s.Rand("relative_position.pairs")
	p.cut(s, views[0], 1, 1, rng)
	for i, direction := range rng.Perm(directions)[:p.config.Neighbours] {
		column, row := neighbourCell(direction)
		p.cut(s, views[i+1], column, row, rng)
		target[i] = float32(direction)
	}
	return nil
}

// cut writes the patch of a grid cell.
func (p *patchPairs) cut(s *data.Sample, view Canvas, column, row int, rng *rand.Rand) {
	x, y, extent := p.place(column, row, rng)
	p.cutter.cut(s, view.Pixels, x, y, extent, rng)
}

// place is where a grid cell lies in the crop, moved by the jitter, as shares of the crop's sides. The crop holds three
// patches, two gaps, and the jitter at both ends.
func (p *patchPairs) place(column, row int, rng *rand.Rand) (x, y, extent float64) {
	jitter, pitch := p.cutter.Jitter, 1+p.config.Gap
	extent = 1 / (1 + 2*pitch + 2*jitter)
	x = (jitter + float64(column)*pitch + p.cutter.move(rng)) * extent
	y = (jitter + float64(row)*pitch + p.cutter.move(rng)) * extent
	return x, y, extent
}

// Build puts each neighbour's features beside the centre's.
func (p *patchPairs) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error) {
	var pairs, labels []*G.Node
	for i, neighbour := range views[1:] {
		pairs = append(pairs, nn.ConcatColumns(c, views[0].Pooled, neighbour.Pooled))
		labels = append(labels, nn.Columns(c, target, i, i+1))
	}
	logits := mlp(c, nn.ConcatRows(c, pairs...), p.config.Hidden, directions)
	return classify(c, logits, nn.ConcatRows(c, labels...), 1./directions), c.Err()
}

// directionNames are the directions in words.
var directionNames = [directions]string{"upper left", "above", "upper right", "left", "right", "lower left", "below", "lower right"}

// Illustrate shows the centre with each neighbour at its place. A green frame is a right answer; a red one lies where a
// wrong answer puts the neighbour.
func (p *patchPairs) Illustrate(e Exhibit) ([]look.Tile, error) {
	var tiles []look.Tile
	for i, neighbour := range e.Views[1:] { // rows of logits are ordered by neighbour, then by picture
		truth, said := int(e.Target[i]), likeliest(e.row(i*e.Pictures+e.Picture, (len(e.Views)-1)*e.Pictures))
		pitch := neighbour.Side + neighbour.Side/8
		drawn := look.Blank(2*pitch + neighbour.Side)
		look.Paste(drawn, e.Views[0], pitch, pitch)
		column, row := neighbourCell(truth)
		look.Paste(drawn, neighbour, column*pitch, row*pitch)
		colour := look.Green
		if said != truth {
			colour = look.Red
		}
		column, row = neighbourCell(said)
		look.Frame(drawn, column*pitch, row*pitch, neighbour.Side, max(1, neighbour.Side/16), colour)
		tiles = append(tiles, look.Tile{
			Caption: directionNames[truth] + "\nsaid " + directionNames[said], Pixels: drawn, Outcome: look.OutcomeOf(said == truth),
		})
	}
	return tiles, nil
}

// mlp is a head of one hidden layer.
func mlp(c *nn.Ctx, x *G.Node, hidden, classes int) *G.Node {
	return nn.Linear(c, "head.fc2", nn.GELU(c, nn.Linear(c, "head.fc1", x, hidden, true)), classes, true)
}

// same is the class of a token and itself, after the eight directions.
const same = directions

// tokenPairs is mode tokens: the encoder sees the crop without position embeddings, and every ordered pair (i, j) of
// its tokens is to be told where j lies from i, from the picture alone. Queries of i and keys of j, one pair of
// vectors a class, give the logits (RelViT's head, without a hidden layer).
//
// With relation "sectors" every pair counts. The eight directions are sectors of 45° centred on the right, the lower
// right and so on, because signs of the offsets alone would put three quarters of the pairs into four classes; no
// offset of a grid lies on a border, as tan 22.5° is irrational. With relation "neighbours" only pairs of adjacent
// tokens, and of a token with itself, count. Chance, on 8×8 tokens, is 0.124 (sectors: 506 of 4,096
// pairs are the commonest class) or 0.132 (neighbours: "same" is 64 of 484); Output.Chance has that of other grids.
type tokenPairs struct {
	relativePosition
	config PairScoresConfig
	env    Env
	labels []float32 // [tokens, tokens], of every picture
	counts int       // labels that are not negative
}

func newTokenPairs(config PairScoresConfig, env Env) (Task, error) {
	if config.Relation != "sectors" && config.Relation != "neighbours" {
		return nil, fmt.Errorf("tokens.relation is %q: it must be sectors or neighbours", config.Relation)
	}
	grid := tokenGrid(env)
	if grid < 2 {
		return nil, errors.New("mode is tokens: a view has a single token; raise data.size or lower the patch of the backbone")
	}
	task := &tokenPairs{config: config, env: env, labels: pairLabels(grid, config.Relation == "neighbours")}
	for _, label := range task.labels {
		if label >= 0 {
			task.counts++
		}
	}
	return task, nil
}

func (t *tokenPairs) Spec() Spec {
	return Spec{Views: []View{plainView(t.env, backbone.PositionsNone)}, Target: len(t.labels)}
}

// Prepare copies the labels, which are the same for all pictures, or only as many of them as are sampled.
func (t *tokenPairs) Prepare(s *data.Sample, _ []Canvas, target []float32) error {
	if t.config.Sampled == 0 || t.config.Sampled >= t.counts {
		copy(target, t.labels)
		return nil
	}
	t.choose(s.Rand("relative_position.tokens"), target)
	return nil
}

// choose keeps exactly the wanted number of labels: selection sampling (Knuth, The Art of Computer Programming,
// volume 2, algorithm 3.4.2S).
func (t *tokenPairs) choose(rng *rand.Rand, target []float32) {
	left, wanted := t.counts, t.config.Sampled
	for i, label := range t.labels {
		target[i] = -1
		if label < 0 {
			continue
		}
		if rng.IntN(left) < wanted {
			target[i] = label
			wanted--
		}
		left--
	}
}

// Build scores all pairs by a bilinear form for each class.
func (t *tokenPairs) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error) {
	tokens, width := views[0].Map, (directions+1)*t.config.QueryWidth
	init := nn.XavierUniform(t.env.Backbone.Dim(), width)
	query := nn.LinearInit(c, "query", tokens.Node, width, true, init)
	key := nn.LinearInit(c, "key", tokens.Node, width, true, init)
	logits := nn.PairScores(c, query, key, tokens.Positions(), directions+1)
	labels := nn.Reshape(c, target, tokens.Views*len(t.labels), 1)
	return classify(c, logits, labels, commonest(t.labels, directions+1)), c.Err()
}

// pairLabels is the class of every ordered pair (i, j) of tokens of a grid: the direction of j as seen from i.
func pairLabels(grid int, neighboursOnly bool) []float32 {
	tokens := grid * grid
	labels := make([]float32, tokens*tokens)
	for i := range tokens {
		for j := range tokens {
			dx, dy := j%grid-i%grid, j/grid-i/grid
			label := direction(dx, dy)
			if neighboursOnly && max(dx*dx, dy*dy) > 1 {
				label = -1
			}
			labels[i*tokens+j] = float32(label)
		}
	}
	return labels
}

// clockwise lists the directions by the sector of their angle, from the right on downwards.
var clockwise = [directions]int{4, 7, 6, 5, 3, 0, 1, 2}

// direction is the class of an offset; y grows downwards.
func direction(dx, dy int) int {
	if dx == 0 && dy == 0 {
		return same
	}
	angle := math.Atan2(float64(dy), float64(dx))
	sector := int(math.Round(angle / (2 * math.Pi / directions)))
	return clockwise[(sector+directions)%directions]
}

// commonest is the share of the most frequent class among the labels that are not negative.
func commonest(labels []float32, classes int) float64 {
	counts, total, most := make([]int, classes), 0, 0
	for _, label := range labels {
		if label >= 0 {
			counts[int(label)]++
			total++
			most = max(most, counts[int(label)])
		}
	}
	return float64(most) / float64(total)
}

// Illustrate shows what one token in the middle, framed white, was told to say of the others: those whose direction it
// told are green, the others red. Pairs that did not count are left as they are.
func (t *tokenPairs) Illustrate(e Exhibit) ([]look.Tile, error) {
	grid := tokenGrid(t.env)
	tokens, side, asking := grid*grid, e.Views[0].Side/grid, grid/2*grid+grid/2
	drawn, asked, right := look.Copy(e.Views[0]), 0, 0
	for other := range tokens {
		pair := asking*tokens + other
		label := t.labels[pair]
		if label < 0 {
			continue
		}
		asked++
		colour := look.Red
		if likeliest(e.row(e.Picture*tokens*tokens+pair, e.Pictures*tokens*tokens)) == int(label) {
			colour = look.Green
			right++
		}
		look.Tint(drawn, other%grid*side, other/grid*side, side, colour, 0.35)
	}
	look.FrameToken(drawn, asking, side, [3]float32{1, 1, 1})
	return []look.Tile{{Caption: "seen", Pixels: e.Views[0]}, {Caption: fmt.Sprintf("directions told\n%d of %d", right, asked), Pixels: drawn}}, nil
}
