package pretext

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/google/go-cmp/cmp"

	"pretrain/data"
)

// variant is a task with parameters other than the defaults; the walk tries the defaults of every registered task too.
type variant struct {
	name   string
	params Params
	only   string // network; empty = all
}

func changed[P Params](task string, change func(P)) Params {
	definition, err := Find(task)
	if err != nil {
		panic(err)
	}
	params := definition.Defaults().(P)
	change(params)
	return params
}

func variants() []variant {
	var all []variant
	for _, definition := range Definitions() {
		all = append(all, variant{name: definition.Name, params: definition.Defaults()})
	}
	return append(all,
		variant{"rotation, one copy", changed("rotation", func(c *RotationConfig) { c.Copies = 1 }), ""},
		variant{"relative_position, pairs", changed("relative_position", func(c *RelativePositionConfig) {
			c.Mode, c.Pairs.Neighbours, c.Patch.Colour = "pairs", 3, "drop"
		}), ""},
		variant{"relative_position, sampled neighbours", changed("relative_position", func(c *RelativePositionConfig) {
			c.Tokens.Relation, c.Tokens.Sampled = "neighbours", 20
		}), "vit"},
		variant{"patch_location, smooth crop", changed("patch_location", func(c *PatchLocationConfig) {
			c.Mode, c.Crop.Smoothing, c.Patch.Standardise = "crop", 1, false
		}), ""},
		variant{"colorization, one colour a token", changed("colorization", func(c *ColorizationConfig) { c.Stride = 8 }), ""},
	)
}

// walk runs a test for every variant on every network that it is for.
func walk(t *testing.T, test func(t *testing.T, task Task, env Env)) {
	for _, network := range testNetworks {
		for _, v := range variants() {
			if v.only != "" && v.only != network {
				continue
			}
			t.Run(network+"/"+v.name, func(t *testing.T) {
				env := testEnv(t, network)
				test(t, newTask(t, v.params, env), env)
			})
		}
	}
}

func TestDefinitions(t *testing.T) {
	for _, definition := range Definitions() {
		if definition.Summary == "" || !strings.Contains(definition.Citation, "arXiv") {
			t.Errorf("%s: summary %q, citation %q: both are needed", definition.Name, definition.Summary, definition.Citation)
		}
		params := definition.Defaults()
		if params.TaskWeight() != 1 {
			t.Errorf("%s: the default weight is %v, want 1", definition.Name, params.TaskWeight())
		}
		if pictures := params.TaskPictures(5); pictures != 5 {
			t.Errorf("%s: looks at %d of 5 pictures by default", definition.Name, pictures)
		}
		if err := validator.New().Struct(params); err != nil {
			t.Errorf("%s: the defaults are not valid: %v", definition.Name, err)
		}
		task := newTask(t, params, testEnv(t, "vit"))
		if task.Name() != definition.Name {
			t.Errorf("the task of %s says it is %s", definition.Name, task.Name())
		}
	}
	if _, err := Find("rotations"); err == nil || !strings.Contains(err.Error(), `did you mean "rotation"?`) {
		t.Errorf("Find of a misspelt name: got error %v", err)
	}
}

func TestTaskPictures(t *testing.T) {
	for _, test := range []struct {
		share       float64
		batch, want int
	}{{1, 64, 64}, {0.5, 64, 32}, {0.25, 6, 2}, {0.5, 7, 4}, {0.01, 8, 1}, {0.999, 8, 8}} {
		if got := (Common{Share: test.share}).TaskPictures(test.batch); got != test.want {
			t.Errorf("a share of %v of %d pictures is %d, want %d", test.share, test.batch, got, test.want)
		}
	}
}

func TestViewsAreConsistent(t *testing.T) {
	walk(t, func(t *testing.T, task Task, env Env) {
		spec := task.Spec()
		if spec.Target < 1 || len(spec.Views) == 0 {
			t.Fatalf("%d views and %d target floats: want at least one of each", len(spec.Views), spec.Target)
		}
		names := map[string]bool{}
		for _, view := range spec.Views {
			if names[view.Name] || view.Name == "" {
				t.Errorf("view name %q is empty or used twice", view.Name)
			}
			names[view.Name] = true
			if view.Side < env.Backbone.Stride() || view.Side%env.Backbone.Stride() != 0 {
				t.Errorf("view %s has side %d, not whole strides of %d", view.Name, view.Side, env.Backbone.Stride())
			}
			if (view.Group == "plain") != (view.Plain != nil) {
				t.Errorf("view %s has group %q: plain views and no others are in the group plain", view.Name, view.Group)
			}
			if !env.Backbone.UsesTokens() && (view.Kept != 0 || view.Positions != 0) {
				t.Errorf("view %s chooses tokens of a backbone that has none", view.Name)
			}
		}
	})
}

func TestPrepareIsFiniteNormalisedAndRepeatable(t *testing.T) {
	walk(t, func(t *testing.T, task Task, env Env) {
		views, target := prepare(t, task, env, testPicture(5), 2, 5)
		again, sameTarget := prepare(t, task, env, testPicture(5), 2, 5)
		if diff := cmp.Diff(views, again); diff != "" {
			t.Errorf("the same picture in the same epoch gives other views: %s", diff)
		}
		if !slices.Equal(target, sameTarget) {
			t.Error("the same picture in the same epoch gives another target")
		}
		for i, view := range views {
			checkRange(t, task.Spec().Views[i].Name+" pixels", view.Pixels, -50, 50)
			checkRange(t, "tokens", view.Tokens, 0, 15)
			checkRange(t, "positions", view.Positions, -2, 15)
		}
		checkRange(t, "target", target, -1, 1000)
		if other, _ := prepare(t, task, env, testPicture(5), 3, 5); cmp.Equal(views, other) && views[0].Pixels != nil {
			t.Error("another epoch gives the same views")
		}
	})
}

func checkRange(t *testing.T, what string, values []float32, least, most float32) {
	t.Helper()
	for i, v := range values {
		if !(v >= least && v <= most) {
			t.Fatalf("%s[%d] is %v, want %v to %v", what, i, v, least, most)
		}
	}
}

// TestTaskLearnsOneBatch takes a few small steps of gradient descent on a fixed batch.
func TestTaskLearnsOneBatch(t *testing.T) {
	engine := newEngine(t)
	walk(t, func(t *testing.T, task Task, env Env) {
		r := newRig(t, engine, task, env)
		first := r.run(t)
		checkOutput(t, r)
		for range 5 {
			r.descend(t)
		}
		if last := r.run(t); !(last < first) {
			t.Errorf("the loss went from %v to %v", first, last)
		}
	})
}

// descend moves the parameters against the normalised gradient.
func (r *rig) descend(t *testing.T) {
	values, gradients := r.store.Values(), r.store.Gradients()
	var squares float64
	for _, g := range gradients {
		squares += float64(g) * float64(g)
	}
	if math.IsNaN(squares) || math.IsInf(squares, 0) || squares == 0 {
		t.Fatalf("the squared norm of the gradient is %v", squares)
	}
	step := float32(0.02 / math.Sqrt(squares))
	for i, g := range gradients {
		values[i] -= step * g
	}
	r.run(t)
}

// checkOutput holds what a task reports against what an untrained network must give.
func checkOutput(t *testing.T, r *rig) {
	t.Helper()
	classes := r.output.Logits.Shape()[1]
	if loss := float64(r.program.Value(r.output.Loss)[0]); math.Abs(loss-math.Log(float64(classes))) > 1.5 {
		t.Errorf("the first loss is %v, want about ln %d = %v", loss, classes, math.Log(float64(classes)))
	}
	checkRange(t, "accuracy", r.program.Value(r.output.Accuracy), 0, 1)
	if chance := r.output.Chance; !(chance > 0 && chance < 1) {
		t.Errorf("chance is %v, want a share", chance)
	}
	for name, metric := range r.output.Metrics {
		checkRange(t, name, r.program.Value(metric), 0, 100)
	}
	for _, p := range r.store.Parameters() {
		if strings.HasPrefix(p.Name, "tasks.") && !slices.ContainsFunc(p.Gradient, func(g float32) bool { return g != 0 }) {
			t.Errorf("the gradient of %s is zero", p.Name)
		}
	}
}

func TestWrongParametersAreNamed(t *testing.T) {
	env := testEnv(t, "resnet18")
	tokens := testEnv(t, "vit")
	odd := tokens
	odd.Side = 36
	noColour := env
	noColour.Sample = func(int) ([]data.Image, error) { return []data.Image{greyPicture()}, nil }
	otherBins := env
	otherBins.State = map[string][]float32{"prior": make([]float32, 313)}
	for _, test := range []struct {
		params Params
		env    Env
		want   []string
	}{
		{changed("rotation", func(c *RotationConfig) { c.Copies = 2 }), env, []string{"copies is 2", "1 or 4"}},
		{changed("relative_position", func(c *RelativePositionConfig) { c.Mode = "tokens" }), env, []string{"mode is tokens", "resnet18 has no tokens", "pairs or auto"}},
		{changed("relative_position", func(c *RelativePositionConfig) { c.Mode = "crop" }), env, []string{`mode is "crop"`, "auto, pairs or tokens"}},
		{changed("relative_position", func(c *RelativePositionConfig) { c.Pairs.Neighbours = 9 }), env, []string{"pairs.neighbours is 9", "1 to 8"}},
		{changed("relative_position", func(c *RelativePositionConfig) { c.Patch.Side = 20 }), env, []string{"patch.side is 20", "multiple of the stride of resnet18 (8)", "take 24"}},
		{changed("relative_position", func(c *RelativePositionConfig) { c.Patch.Colour = "red" }), env, []string{`patch.colour is "red"`}},
		{changed("relative_position", func(c *RelativePositionConfig) { c.Tokens.Relation = "none" }), tokens, []string{`tokens.relation is "none"`}},
		{changed("patch_location", func(c *PatchLocationConfig) { c.Patch.Jitter = 0.5 }), env, []string{"patch.jitter is 0.5", "below 0.5"}},
		{changed("patch_location", func(c *PatchLocationConfig) { c.Crop.Grid = 1 }), env, []string{"crop.grid is 1"}},
		{changed("patch_location", func(c *PatchLocationConfig) { c.Tokens.Mask = 0.99 }), tokens, []string{"tokens.mask is 0.99", "of 16 tokens it keeps 0"}},
		{changed("patch_location", func(c *PatchLocationConfig) { c.Tokens.DecoderHeads = 3 }), tokens, []string{"tokens.decoder_heads is 3", "128"}},
		{changed("colorization", func(c *ColorizationConfig) { c.Stride = 3 }), env, []string{"stride is 3", "every 1 to 8 pixels", "take 4"}},
		{changed("colorization", func(c *ColorizationConfig) { c.Stride = 16 }), tokens, []string{"stride is 16"}},
		{changed("colorization", func(c *ColorizationConfig) { c.Lambda = 0 }), env, []string{"lambda is 0"}},
		{changed("colorization", func(*ColorizationConfig) {}), odd, []string{"data.size (36)", "multiple of 8"}},
		{changed("colorization", func(*ColorizationConfig) {}), noColour, []string{"weight must be 0", "no colour"}},
		{changed("colorization", func(*ColorizationConfig) {}), otherBins, []string{"313 bins", "260"}},
	} {
		_, err := test.params.New(test.env)
		for _, part := range test.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("got error %v, want %q in it", err, part)
			}
		}
	}
}
