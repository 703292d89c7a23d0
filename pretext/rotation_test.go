package pretext

import (
	"slices"
	"testing"

	"pretrain/data"
)

// numbered is a picture every value of which is different.
func numbered(side int) *data.Pixels {
	p := data.NewPixels(side)
	for i := range p.Data {
		p.Data[i] = float32(i)
	}
	return p
}

func transposed(p *data.Pixels) *data.Pixels {
	t := data.NewPixels(p.Side)
	for y := range p.Side {
		for x := range p.Side {
			copy(t.Data[3*(y*p.Side+x):][:3], p.Data[3*(x*p.Side+y):][:3])
		}
	}
	return t
}

func upsideDown(p *data.Pixels) *data.Pixels {
	f := data.NewPixels(p.Side)
	row := 3 * p.Side
	for y := range p.Side {
		copy(f.Data[y*row:][:row], p.Data[(p.Side-1-y)*row:][:row])
	}
	return f
}

// TestRotationIsTransposesAndFlips holds every turn, value by value, against the transposes and flips that the paper
// makes it of (Gidaris et al. 2018, section 3.2).
func TestRotationIsTransposesAndFlips(t *testing.T) {
	for _, side := range []int{1, 4, 5} {
		want := numbered(side)
		for quarters := range turns {
			got := data.NewPixels(side)
			rotate(got, numbered(side), quarters)
			if !slices.Equal(got.Data, want.Data) {
				t.Errorf("side %d, %d quarters: got %v, want %v", side, quarters, got.Data, want.Data)
			}
			want = upsideDown(transposed(want)) // one more quarter counter-clockwise
		}
		if !slices.Equal(want.Data, numbered(side).Data) {
			t.Errorf("side %d: four quarters are not a whole turn", side)
		}
	}
}

func TestRotationTurnsCounterClockwise(t *testing.T) {
	got := data.NewPixels(2)
	rotate(got, numbered(2), 1)
	// a b        b d
	// c d  turns a c
	if want := []float32{3, 4, 5, 9, 10, 11, 0, 1, 2, 6, 7, 8}; !slices.Equal(got.Data, want) {
		t.Errorf("got %v, want %v", got.Data, want)
	}
}

// TestRotationShowsTheCropTurned reads every copy back to the crop that all tasks see.
func TestRotationShowsTheCropTurned(t *testing.T) {
	for _, network := range testNetworks {
		env := testEnv(t, network)
		env.Normalization = data.Normalization{Std: [3]float64{1, 1, 1}}
		views, target := prepare(t, newTask(t, changed("rotation", func(*RotationConfig) {}), env), env, testPicture(3), 0, 3)
		crop := data.NewSample(testPicture(3), env.Seed, 0, 3).Crop(env.Augmentation, testSide)
		for i, view := range views {
			if target[i] != float32(i) {
				t.Errorf("%s: copy %d has label %v", network, i, target[i])
			}
			if view.Pixels == nil { // the upright copy is shared
				continue
			}
			back := data.NewPixels(testSide)
			rotate(back, &data.Pixels{Side: testSide, Data: view.Pixels}, (turns-i)%turns)
			if !slices.Equal(back.Data, crop.Data) {
				t.Errorf("%s: copy %d is not the crop turned", network, i)
			}
		}
	}
}

// TestRotationsAreOneStatisticsGroup guards against the batch statistics telling the label.
func TestRotationsAreOneStatisticsGroup(t *testing.T) {
	views := newTask(t, changed("rotation", func(*RotationConfig) {}), testEnv(t, "resnet18")).Spec().Views
	for _, view := range views {
		if view.Plain != nil || view.Group != views[0].Group {
			t.Errorf("view %s is in group %q, plain %v", view.Name, view.Group, view.Plain != nil)
		}
	}
	if views := newTask(t, changed("rotation", func(*RotationConfig) {}), testEnv(t, "vit")).Spec().Views; views[0].Plain == nil {
		t.Error("without batch statistics the upright copy should be shared")
	}
}

func TestOneCopyTakesEveryTurn(t *testing.T) {
	env := testEnv(t, "vit")
	task := newTask(t, changed("rotation", func(c *RotationConfig) { c.Copies = 1 }), env)
	counts := map[float32]int{}
	for number := range uint64(80) {
		_, target := prepare(t, task, env, testPicture(1), 0, number)
		counts[target[0]]++
	}
	for turn := range turns {
		if counts[float32(turn)] < 8 {
			t.Errorf("turn %d came %d times in 80", turn, counts[float32(turn)])
		}
	}
}
