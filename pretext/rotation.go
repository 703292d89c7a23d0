package pretext

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/look"
	"pretrain/nn"
)

func init() {
	Register(Definition{
		Name:     "rotation",
		Summary:  "by how many quarter turns was the picture rotated?",
		Citation: "Gidaris, Singh & Komodakis 2018, Unsupervised Representation Learning by Predicting Image Rotations, arXiv:1803.07728",
		Defaults: func() Params { return &RotationConfig{Common: Common{Weight: 1, Share: 1}, Copies: turns} },
	})
}

// turns is the number of classes: 0, 90, 180 and 270 degrees counter-clockwise.
const turns = 4

// RotationConfig is the section `tasks.rotation`.
type RotationConfig struct {
	Common `mapstructure:",squash"`
	Copies int `mapstructure:"copies" validate:"oneof=1 4" doc:"rotated copies of a picture a step: all 4, or 1 chosen at random"`
}

// New makes the task.
func (c *RotationConfig) New(env Env) (Task, error) {
	if c.Copies != 1 && c.Copies != turns {
		return nil, fmt.Errorf("copies is %d: it must be 1 or %d", c.Copies, turns)
	}
	return &rotation{config: *c, env: env}, nil
}

// rotation turns the crop by transposes and flips only, because interpolation would give the answer away, and after
// the random crop and flip, because a crop of a turned picture would show its border.
type rotation struct {
	config RotationConfig
	env    Env
}

func (r *rotation) Name() string                { return "rotation" }
func (r *rotation) State() map[string][]float32 { return nil }

// Spec asks for the copies as one statistics group: were each rotation normalised by itself, the batch statistics
// would tell its label. Backbones that do not look at the batch may share the upright copy with other tasks.
func (r *rotation) Spec() Spec {
	spec := Spec{Target: r.config.Copies}
	for number := range r.config.Copies {
		spec.Views = append(spec.Views, View{Name: fmt.Sprintf("copy %d", number), Side: r.env.Side, Group: r.Name()})
	}
	if r.config.Copies == turns && !r.env.Backbone.UsesBatchStatistics() {
		spec.Views[0] = plainView(r.env, backbone.PositionsOwn)
	}
	return spec
}

func (r *rotation) Prepare(s *data.Sample, views []Canvas, target []float32) error {
	crop := s.Crop(r.env.Augmentation, r.env.Side)
	for i, view := range views {
		turn := i
		if r.config.Copies == 1 {
			turn = s.Rand("rotation").IntN(turns)
		}
		target[i] = float32(turn)
		if view.Pixels == nil {
			continue
		}
		turned := s.Scratch(crop.Side)
		rotate(turned, crop, turn)
		r.env.Normalization.Apply(view.Pixels, turned)
	}
	return nil
}

// rotate writes src turned counter-clockwise by that many quarters to dst, which must not be src.
func rotate(dst, src *data.Pixels, quarters int) {
	side := src.Side
	last := side - 1
	for y := range side {
		for x := range side {
			fromX, fromY := x, y
			switch quarters {
			case 1: // transpose, then flip top to bottom
				fromX, fromY = last-y, x
			case 2: // flip both ways
				fromX, fromY = last-x, last-y
			case 3: // transpose, then flip left to right
				fromX, fromY = y, last-x
			}
			copy(dst.Data[(y*side+x)*3:][:3], src.Data[(fromY*side+fromX)*3:][:3])
		}
	}
}

// Build classifies each copy by a linear layer on its pooled features.
func (r *rotation) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error) {
	var pooled, labels []*G.Node
	for i, view := range views {
		pooled = append(pooled, view.Pooled)
		labels = append(labels, nn.Columns(c, target, i, i+1))
	}
	logits := nn.Linear(c, "head", nn.ConcatRows(c, pooled...), turns, true)
	return classify(c, logits, nn.ConcatRows(c, labels...), 1./turns), c.Err()
}

// Illustrate shows the turned copies with the answers.
func (r *rotation) Illustrate(e Exhibit) ([]look.Tile, error) {
	var tiles []look.Tile
	for v, view := range e.Views { // rows of logits are ordered by copy, then by picture
		turn, said := int(e.Target[v]), likeliest(e.row(v*e.Pictures+e.Picture, len(e.Views)*e.Pictures))
		tiles = append(tiles, look.Tile{
			Caption: fmt.Sprintf("turned %d°\nsaid %d°", 90*turn, 90*said), Pixels: view, Outcome: look.OutcomeOf(said == turn),
		})
	}
	return tiles, nil
}
