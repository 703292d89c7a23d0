package bench

import (
	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"
	"pretrain/pretext"
)

// classification is the task of supervised training: one linear layer tells the class of a picture. Classes are drawn
// at random, as nothing is to be learned. It is no pretext task and in no registry.
type classification struct {
	classes int
	view    pretext.View
}

func newClassification(classes int, env pretext.Env) *classification {
	augmentation := env.Augmentation
	return &classification{classes, pretext.View{Name: "plain", Side: env.Side, Plain: &augmentation, Group: "plain"}}
}

func (t *classification) Name() string                { return "classification" }
func (t *classification) State() map[string][]float32 { return nil }
func (t *classification) Spec() pretext.Spec {
	return pretext.Spec{Views: []pretext.View{t.view}, Target: 1}
}

func (t *classification) Prepare(s *data.Sample, _ []pretext.Canvas, target []float32) error {
	target[0] = float32(s.Rand("class").IntN(t.classes))
	return nil
}

func (t *classification) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (pretext.Output, error) {
	logits := nn.Linear(c, "head", views[0].Pooled, t.classes, true)
	return pretext.Output{Loss: nn.CrossEntropy(c, logits, target), Logits: logits}, c.Err()
}
