package train

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"
	"pretrain/pretext"
)

// viewTask is a task of given views, for plans.
type viewTask struct {
	name  string
	views []pretext.View
}

func (v viewTask) Name() string                { return v.name }
func (v viewTask) Spec() pretext.Spec          { return pretext.Spec{Views: v.views, Target: 1} }
func (v viewTask) State() map[string][]float32 { return nil }
func (v viewTask) Prepare(_ *data.Sample, views []pretext.Canvas, target []float32) error {
	for i := range views {
		for p := range views[i].Pixels {
			views[i].Pixels[p] = float32(i + 1)
		}
		for p := range views[i].Tokens {
			views[i].Tokens[p] = float32(3 - p)
		}
	}
	target[0] = 7
	return nil
}
func (v viewTask) Build(*nn.Ctx, []backbone.Features, *G.Node) (pretext.Output, error) {
	return pretext.Output{}, nil
}

func newBackbone(t *testing.T, name string, side int) backbone.Backbone {
	t.Helper()
	family, err := backbone.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	params := family.Defaults()
	if config, ok := params.(*backbone.ViTConfig); ok {
		*config = backbone.ViTConfig{Patch: 8, Width: 16, Depth: 2, Heads: 2, MLPRatio: 2, ClassToken: true, Pooling: "mean", Positions: "learned"}
	}
	b, err := family.New(name, params, side)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPlanSharesPlainViews(t *testing.T) {
	augmentation := data.DefaultAugmentation()
	other := augmentation
	other.Flip = 0
	plain := pretext.View{Side: 32, Plain: &augmentation, Group: "plain"}
	copied := augmentation // equal content behind another pointer
	same := pretext.View{Side: 32, Plain: &copied, Group: "plain"}
	tests := []struct {
		name          string
		backbone      string
		first, second pretext.View
		passes, slots int
	}{
		{"equal plain views are one", "vit", plain, same, 1, 1},
		{"another augmentation", "vit", plain, pretext.View{Side: 32, Plain: &other, Group: "plain"}, 1, 2},
		{"another side is another pass", "vit", plain, pretext.View{Side: 16, Plain: &augmentation, Group: "plain"}, 2, 2},
		{"other positions are other rows of the same pass", "vit", plain, pretext.View{Side: 32, Plain: &augmentation, Group: "plain", Positions: backbone.PositionsNone}, 1, 2},
		{"dropped tokens are another pass", "vit", plain, pretext.View{Side: 32, Kept: 4}, 2, 2},
		{"prepared views are never shared", "vit", pretext.View{Side: 32}, pretext.View{Side: 32}, 1, 2},
		{"a group does not matter without batch statistics", "vit", plain, pretext.View{Side: 32, Plain: &augmentation, Group: "rotation"}, 1, 1},
		{"a group matters with batch statistics", "resnet18", plain, pretext.View{Side: 32, Plain: &augmentation, Group: "rotation"}, 1, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tasks := []pretext.Task{viewTask{"first", []pretext.View{test.first}}, viewTask{"second", []pretext.View{test.second}}}
			plan, err := NewPlan(newBackbone(t, test.backbone, 32), tasks, 5)
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Passes) != test.passes || plan.Views() != 5*test.slots {
				t.Errorf("%d passes, %d views, want %d and %d", len(plan.Passes), plan.Views(), test.passes, 5*test.slots)
			}
		})
	}
}

// TestPlanKeepsGroupsTogether: views of one group lie side by side whatever the order in which tasks ask for them, and
// every task still finds its own.
func TestPlanKeepsGroupsTogether(t *testing.T) {
	tasks := []pretext.Task{
		viewTask{"one", []pretext.View{{Name: "a", Side: 32, Group: "x"}, {Name: "b", Side: 32, Group: "y"}}},
		viewTask{"two", []pretext.View{{Name: "c", Side: 32, Group: "x"}}},
	}
	plan, err := NewPlan(newBackbone(t, "resnet18", 32), tasks, 3)
	if err != nil {
		t.Fatal(err)
	}
	if groups := plan.groups(plan.Passes[0]); !slices.Equal(groups, []int{6, 3}) {
		t.Errorf("groups of %v views, want [6 3]", groups)
	}
	for i, task := range tasks {
		for v, view := range task.Spec().Views {
			if found := plan.view(plan.places[i][v]); found.Name != view.Name {
				t.Errorf("task %s finds view %q where it wants %q", task.Name(), found.Name, view.Name)
			}
		}
	}
}

// TestFillWritesOnlyItsPicture fills one picture and looks at every number of the batch.
func TestFillWritesOnlyItsPicture(t *testing.T) {
	augmentation := data.DefaultAugmentation()
	tasks := []pretext.Task{viewTask{"task", []pretext.View{
		{Side: 32, Plain: &augmentation},
		{Side: 32, Positions: backbone.PositionsNone},
		{Side: 32, Kept: 4},
	}}}
	plan, err := NewPlan(newBackbone(t, "vit", 32), tasks, 2)
	if err != nil {
		t.Fatal(err)
	}
	batch := plan.NewBatch(tasks)
	norm := data.Normalization{Std: [3]float64{1, 1, 1}}
	sample := data.NewSample(data.NewImage(40, 40), 1, 0, 0) // black
	if err := plan.Fill(tasks, norm, sample, 1, batch); err != nil {
		t.Fatal(err)
	}
	size := 32 * 32 * 3
	full, dropped := batch.Passes[0], batch.Passes[1]
	for i, want := range []float32{0, 0, 0, 2} { // slots × pictures; the plain view is black
		if got := full.Pixels[i*size]; got != want {
			t.Errorf("view row %d starts with %g, want %g", i, got, want)
		}
	}
	if got := full.Positions[16:32]; !slices.Equal(got[:3], []float32{0, 1, 2}) {
		t.Errorf("the plain view's positions start with %v", got[:3])
	}
	if got := full.Positions[48]; got != -1 {
		t.Errorf("the view without positions has %v", got)
	}
	if got := dropped.Tokens; !slices.Equal(got, []float32{0, 0, 0, 0, 3, 2, 1, 0}) {
		t.Errorf("kept tokens are %v", got)
	}
	if got := batch.Targets[0]; !slices.Equal(got, []float32{0, 7}) {
		t.Errorf("targets are %v", got)
	}
	for view, want := range []float32{0, 2, 3} { // the plain view is black
		if got := plan.Canvas(batch, 0, view, 1); got.Pixels[0] != want || len(got.Pixels) != size {
			t.Errorf("the canvas of view %d has %d numbers from %g on, want %d from %g on", view, len(got.Pixels), got.Pixels[0], size, want)
		}
	}
	if got := plan.Canvas(batch, 0, 2, 1).Tokens; !slices.Equal(got, []float32{3, 2, 1, 0}) {
		t.Errorf("the canvas of the view that keeps tokens has %v", got)
	}
}
