package pretext

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
	"pretrain/nn"
)

// TestSoftLabels is equation 5 of DropPos: rows sum to 1, fall with the distance as exp(−d²/σ²), and become one-hot.
func TestSoftLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grid := rapid.IntRange(2, 9).Draw(t, "grid")
		cell := rapid.IntRange(0, grid*grid-1).Draw(t, "cell")
		sigma := rapid.Float64Range(0.3, 3).Draw(t, "sigma")
		row := make([]float32, grid*grid)
		softLabel(row, grid, cell, sigma)
		sum := 0.0
		for i, p := range row {
			sum += float64(p)
			dx, dy := float64(i%grid-cell%grid), float64(i/grid-cell/grid)
			if want := math.Exp(-(dx*dx+dy*dy)/(sigma*sigma)) * float64(row[cell]); math.Abs(float64(p)-want) > 1e-6 {
				t.Fatalf("cell %d has %v, want %v", i, p, want)
			}
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Fatalf("the row sums to %v", sum)
		}
		softLabel(row, grid, cell, 0)
		want := make([]float32, grid*grid)
		want[cell] = 1
		if !slices.Equal(row, want) {
			t.Fatalf("σ = 0 gives %v", row)
		}
	})
}

// TestSmoothingFallsOverTheRun: σ goes from its first value linearly to 0 in the last epoch; a run of one epoch has
// right answers only.
func TestSmoothingFallsOverTheRun(t *testing.T) {
	env := testEnv(t, "vit")
	task := newTask(t, changed("patch_location", func(c *PatchLocationConfig) { c.Tokens.Smoothing = 2 }), env).(*tokenLocation)
	for epoch, want := range []float64{2, 1.5, 1, 0.5, 0} {
		if got := task.sigma(uint64(epoch)); got != want {
			t.Errorf("epoch %d: σ is %v, want %v", epoch, got, want)
		}
	}
	task.env.Epochs = 1
	if got := task.sigma(0); got != 0 {
		t.Errorf("in a run of one epoch σ is %v, want 0", got)
	}
}

// TestDroppedTokensAndPositions: of 16 tokens a quarter is seen, three quarters of these have lost their position,
// and the labels are their true places.
func TestDroppedTokensAndPositions(t *testing.T) {
	env := testEnv(t, "vit")
	task := newTask(t, changed("patch_location", func(*PatchLocationConfig) {}), env)
	if view := task.Spec().Views[0]; view.Kept != 4 || task.Spec().Target != 3*(1+16) {
		t.Fatalf("%d tokens are kept and the target has %d floats", view.Kept, task.Spec().Target)
	}
	seen := map[float32]bool{}
	for number := range uint64(30) {
		views, target := prepare(t, task, env, testPicture(1), 4, number) // the last epoch: σ = 0
		tokens := slices.Clone(views[0].Tokens)
		want := []float32{nn.UnknownPosition, nn.UnknownPosition, nn.UnknownPosition, tokens[3]}
		if !slices.Equal(views[0].Positions, want) {
			t.Errorf("positions %v, want %v", views[0].Positions, want)
		}
		for question := range 3 {
			if target[question] != tokens[question] || target[3+16*question+int(tokens[question])] != 1 {
				t.Errorf("question %d about token %v has label %v", question, tokens[question], target[question])
			}
			seen[tokens[question]] = true
		}
		slices.Sort(tokens)
		if len(slices.Compact(tokens)) != 4 {
			t.Errorf("tokens %v: one is there twice", views[0].Tokens)
		}
	}
	if len(seen) != 16 {
		t.Errorf("only the positions %v were asked for", seen)
	}
}

// TestPatchComesFromItsCell reads the place of the patch off the compass picture. The compass has no content outside
// of the cell's range, so a patch that reached over its border would show in its extreme values.
func TestPatchComesFromItsCell(t *testing.T) {
	env := testEnv(t, "resnet18")
	config := changed("patch_location", func(c *PatchLocationConfig) { c.Patch = untreated(&env) })
	task := newTask(t, config, env)
	seen := map[float32]bool{}
	for number := range uint64(60) {
		views, target := prepare(t, task, env, compass(), 0, number)
		window := data.NewSample(compass(), env.Seed, 0, number).Window(env.Augmentation)
		x, y := centreOf(views[1].Pixels)
		x, y = (x*95+0.5-window.X)/window.Width, (y*95+0.5-window.Y)/window.Height
		if window.Flip {
			x = 1 - x
		}
		cell := float32(int(y*3)*3 + int(x*3))
		if target[0] != cell || target[1+int(cell)] != 1 {
			t.Errorf("a patch at (%.2f, %.2f) has label %v and distribution %v", x, y, target[0], target[1:])
		}
		off := max(math.Abs(x*3-math.Floor(x*3)-0.5), math.Abs(y*3-math.Floor(y*3)-0.5))
		if off > 0.07+0.02 {
			t.Errorf("a patch lies %.3f cells off the centre of its cell: the jitter is 0.07", off)
		}
		seen[target[0]] = true
	}
	if len(seen) != 9 {
		t.Errorf("only the cells %v came", seen)
	}
}
