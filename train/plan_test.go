package train

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/random"
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
			plan, err := NewPlan(newBackbone(t, test.backbone, 32), tasks, nil, 5)
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
	plan, err := NewPlan(newBackbone(t, "resnet18", 32), tasks, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	if groups := plan.Passes[0].groups(); !slices.Equal(groups, []int{6, 3}) {
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
	plan, err := NewPlan(newBackbone(t, "vit", 32), tasks, nil, 2)
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

func TestImpossibleNumbersOfPictures(t *testing.T) {
	tasks := []pretext.Task{viewTask{"task", []pretext.View{{Side: 32}}}}
	for want, pictures := range map[string][]int{
		"2 numbers of pictures for 1 tasks":              {2, 2},
		"task task: looks at 0 pictures of a batch":      {0},
		"looks at 5 pictures of a batch: must be 1 to 4": {5},
	} {
		if _, err := NewPlan(newBackbone(t, "vit", 32), tasks, pictures, 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestASharedSlotHoldsWhatItsLargestUserWants: the others read its first pictures.
func TestASharedSlotHoldsWhatItsLargestUserWants(t *testing.T) {
	augmentation := data.DefaultAugmentation()
	plain := pretext.View{Side: 32, Plain: &augmentation, Group: "plain"}
	tasks := []pretext.Task{
		viewTask{"few", []pretext.View{plain}},
		viewTask{"one", []pretext.View{{Side: 32, Group: "one"}}},
		viewTask{"many", []pretext.View{plain}},
	}
	plan, err := NewPlan(newBackbone(t, "resnet18", 32), tasks, []int{2, 1, 3}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if groups := plan.Passes[0].groups(); plan.Views() != 4 || !slices.Equal(groups, []int{1, 3}) {
		t.Errorf("%d views in groups of %v, want 4 in [1 3]", plan.Views(), groups)
	}
	for task, want := range [][2]int{{1, 3}, {0, 1}, {1, 4}} {
		if from, to := plan.rows(task, 0); from != want[0] || to != want[1] {
			t.Errorf("task %d reads rows %d to %d, want %v", task, from, to, want)
		}
	}
}

// TestASharePreparesTheFirstPictures: whatever the shares, a task finds in a batch what it would find in one that every
// task looks at, cut short; and a share of 1 is the layout of a plan without shares.
func TestASharePreparesTheFirstPictures(t *testing.T) {
	const batch = 5
	network := newBackbone(t, "vit", 32)
	tasks := realTasks(t, network)
	whole := filledBatch(t, network, tasks, nil, batch)
	rapid.Check(t, func(rt *rapid.T) {
		share := rapid.Custom(func(rt *rapid.T) int {
			return pretext.Common{Share: rapid.Float64Range(0.01, 1).Draw(rt, "share")}.TaskPictures(batch)
		})
		pictures := rapid.SliceOfN(share, len(tasks), len(tasks)).Draw(rt, "pictures")
		part := filledBatch(t, network, tasks, pictures, batch)
		for task := range tasks {
			size := len(whole.batch.Targets[task]) / batch * pictures[task]
			if !slices.Equal(part.batch.Targets[task], whole.batch.Targets[task][:size]) {
				rt.Fatalf("task %s: other targets", tasks[task].Name())
			}
			for view := range tasks[task].Spec().Views {
				for picture := range pictures[task] {
					want, got := whole.plan.Canvas(whole.batch, task, view, picture), part.plan.Canvas(part.batch, task, view, picture)
					if !slices.Equal(got.Pixels, want.Pixels) || !slices.Equal(got.Tokens, want.Tokens) || !slices.Equal(got.Positions, want.Positions) {
						rt.Fatalf("task %s, view %d of picture %d differs", tasks[task].Name(), view, picture)
					}
				}
			}
		}
		if slices.Min(pictures) == batch && !cmp.Equal(part.plan.Passes, whole.plan.Passes) {
			rt.Fatal("the layout of whole shares differs from that of none")
		}
	})
}

// realTasks are all registered tasks.
func realTasks(t *testing.T, network backbone.Backbone) []pretext.Task {
	t.Helper()
	var tasks []pretext.Task
	for _, definition := range pretext.Definitions() {
		task, err := definition.Defaults().New(pretext.Env{
			Backbone: network, Side: network.Side(), Batch: 1, Epochs: 2, Seed: 1,
			Augmentation: data.DefaultAugmentation(), Normalization: data.DefaultConfig().Normalization(),
			Sample: func(int) ([]data.Image, error) { return []data.Image{noise(0)}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	return tasks
}

// noise is a picture of random pixels.
func noise(number int) data.Image {
	r := random.New(uint64(number), "noise")
	picture := data.NewImage(40, 40)
	for i := range picture.Pix {
		picture.Pix[i] = uint8(r.IntN(256))
	}
	return picture
}

// planned is a plan with a batch of noise.
type planned struct {
	plan  *Plan
	batch *Batch
}

func filledBatch(t *testing.T, network backbone.Backbone, tasks []pretext.Task, pictures []int, batch int) planned {
	t.Helper()
	plan, err := NewPlan(network, tasks, pictures, batch)
	if err != nil {
		t.Fatal(err)
	}
	filled := planned{plan, plan.NewBatch(tasks)}
	for picture := range batch {
		sample := data.NewSample(noise(picture), 1, 0, uint64(picture))
		if err := plan.Fill(tasks, data.DefaultConfig().Normalization(), sample, picture, filled.batch); err != nil {
			t.Fatal(err)
		}
	}
	return filled
}
