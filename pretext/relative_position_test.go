package pretext

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
	"pretrain/internal/random"
)

// TestLabelsOfTheNineCells is figure 2 of Doersch et al. 2015: the neighbours row by row, without the centre.
func TestLabelsOfTheNineCells(t *testing.T) {
	want := map[[2]int]int{{0, 0}: 0, {1, 0}: 1, {2, 0}: 2, {0, 1}: 3, {2, 1}: 4, {0, 2}: 5, {1, 2}: 6, {2, 2}: 7}
	for cell, label := range want {
		if column, row := neighbourCell(label); [2]int{column, row} != cell {
			t.Errorf("label %d is cell (%d, %d), want %v", label, column, row, cell)
		}
		if got := direction(cell[0]-1, cell[1]-1); got != label {
			t.Errorf("offset (%d, %d) of tokens has label %d, pairs say %d", cell[0]-1, cell[1]-1, got, label)
		}
	}
}

// compass is a picture that says where one is: red grows to the right, green downwards.
func compass() data.Image {
	picture := data.NewImage(96, 96)
	for i := 0; i < len(picture.Pix); i += 3 {
		picture.Pix[i], picture.Pix[i+1] = uint8(i/3%96*255/95), uint8(i/3/96*255/95)
	}
	return picture
}

// untreated leaves geometry only, so that the patches can be read.
func untreated(env *Env) PatchConfig {
	env.Augmentation = env.Augmentation.WithoutColour()
	env.Normalization = data.Normalization{Std: [3]float64{1, 1, 1}}
	return PatchConfig{Jitter: 0.07, Colour: "keep"}
}

// centreOf is the mean red and green of a patch: its place in the compass.
func centreOf(patch []float32) (x, y float64) {
	for i := 0; i < len(patch); i += 3 {
		x += float64(patch[i])
		y += float64(patch[i+1])
	}
	n := float64(len(patch) / 3)
	return x / n, y / n
}

// TestNeighboursLieWhereTheLabelSays reads the places of the patches off a compass picture. In a flipped crop labels
// mean what is seen, so that red falls to the right.
func TestNeighboursLieWhereTheLabelSays(t *testing.T) {
	env := testEnv(t, "resnet18")
	config := changed("relative_position", func(c *RelativePositionConfig) { c.Pairs.Neighbours, c.Patch = directions, untreated(&env) })
	task := newTask(t, config, env)
	for number := range uint64(20) {
		views, target := prepare(t, task, env, compass(), 0, number)
		window := data.NewSample(compass(), env.Seed, 0, number).Window(env.Augmentation)
		extent := 1 / (1 + 2*1.5 + 2*0.07)
		centreX, centreY := centreOf(views[0].Pixels)
		for i, label := range target {
			x, y := centreOf(views[i+1].Pixels)
			dx, dy := (x-centreX)*95/window.Width/extent, (y-centreY)*95/window.Height/extent // in patches
			if window.Flip {
				dx = -dx
			}
			column, row := neighbourCell(int(label))
			if math.Abs(dx-1.5*float64(column-1)) > 0.17 || math.Abs(dy-1.5*float64(row-1)) > 0.17 {
				t.Errorf("label %v: the neighbour lies (%.2f, %.2f) patches away", label, dx, dy)
			}
		}
		slices.Sort(target)
		if !slices.Equal(target, []float32{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("eight neighbours have the labels %v", target)
		}
	}
}

// TestPatchesStayInTheCrop: whatever the jitter and the gap, no patch reaches over the border.
func TestPatchesStayInTheCrop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jitter, gap := rapid.Float64Range(0, 0.499).Draw(t, "jitter"), rapid.Float64Range(0, 2).Draw(t, "gap")
		p := patchPairs{config: PairsConfig{Gap: gap}, cutter: patchCutter{PatchConfig: PatchConfig{Jitter: jitter}}}
		rng := random.New(rapid.Uint64().Draw(t, "seed"), "test")
		for cell := range 9 {
			x, y, extent := p.place(cell%3, cell/3, rng)
			if min(x, y) < -1e-9 || max(x, y)+extent > 1+1e-9 {
				t.Fatalf("cell %d lies at (%v, %v), extent %v", cell, x, y, extent)
			}
		}
	})
}

// TestSectors counts the classes of an 8×8 grid. Opposite directions are equally frequent, and no class dominates as
// it would if the signs of the offsets made the classes.
func TestSectors(t *testing.T) {
	counts := make([]int, directions+1)
	for _, label := range pairLabels(8, false) {
		counts[int(label)]++
	}
	want := []int{502, 506, 502, 506, 506, 502, 506, 502, 64}
	if !slices.Equal(counts, want) {
		t.Errorf("the classes have %v pairs, want %v", counts, want)
	}
	if chance := commonest(pairLabels(8, false), directions+1); math.Abs(chance-506./4096) > 1e-12 {
		t.Errorf("chance is %v", chance)
	}
}

// TestNeighboursOnly: each inner token of a grid has eight neighbours and itself, the others fewer.
func TestNeighboursOnly(t *testing.T) {
	labels := pairLabels(8, true)
	counts := make([]int, directions+2)
	for _, label := range labels {
		counts[int(label)+1]++
	}
	want := []int{4096 - 4*56 - 4*49 - 64, 49, 56, 49, 56, 56, 49, 56, 49, 64}
	if !slices.Equal(counts, want) {
		t.Errorf("−1 and the classes have %v pairs, want %v", counts, want)
	}
	if labels[0*64+1] != 4 || labels[9*64+0] != 0 || labels[0*64+2] != -1 {
		t.Error("token 1 should be right of token 0, token 0 upper left of token 9, token 2 no neighbour of token 0")
	}
}

func TestReversedPairIsTheOppositeDirection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dx, dy := rapid.IntRange(-30, 30).Draw(t, "dx"), rapid.IntRange(-30, 30).Draw(t, "dy")
		there, back := direction(dx, dy), direction(-dx, -dy)
		if dx == 0 && dy == 0 {
			if there != same {
				t.Fatalf("no offset has class %d", there)
			}
		} else if there+back != directions-1 {
			t.Fatalf("(%d, %d) is %d, the way back %d", dx, dy, there, back)
		}
	})
}

// TestSampledPairs: exactly the wanted number of pairs count, others in every picture, each with its right label.
func TestSampledPairs(t *testing.T) {
	env := testEnv(t, "vit")
	for _, relation := range []string{"sectors", "neighbours"} {
		task := newTask(t, changed("relative_position", func(c *RelativePositionConfig) {
			c.Tokens.Sampled, c.Tokens.Relation = 30, relation
		}), env)
		all := pairLabels(4, relation == "neighbours")
		var previous []float32
		for number := range uint64(5) {
			_, target := prepare(t, task, env, testPicture(1), 0, number)
			count := 0
			for i, label := range target {
				if label >= 0 {
					count++
					if label != all[i] {
						t.Errorf("pair %d has label %v, want %v", i, label, all[i])
					}
				}
			}
			if count != 30 {
				t.Errorf("%s: %d pairs count, want 30", relation, count)
			}
			if slices.Equal(target, previous) {
				t.Errorf("%s: two pictures have the same pairs", relation)
			}
			previous = target
		}
	}
}

func TestModeAuto(t *testing.T) {
	for network, tokens := range map[string]bool{"vit": true, "resnet18": false} {
		env := testEnv(t, network)
		if _, ok := newTask(t, changed("relative_position", func(*RelativePositionConfig) {}), env).(*tokenPairs); ok != tokens {
			t.Errorf("relative_position on %s takes tokens: %v", network, ok)
		}
		if _, ok := newTask(t, changed("patch_location", func(*PatchLocationConfig) {}), env).(*tokenLocation); ok != tokens {
			t.Errorf("patch_location on %s takes tokens: %v", network, ok)
		}
	}
}
