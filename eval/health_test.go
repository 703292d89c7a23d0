package eval

import (
	"math"
	"reflect"
	"testing"

	"pretrain/data"
	"pretrain/internal/random"
)

func noise(rows, cols int, seed uint64) Matrix {
	r, m := random.New(seed, "noise"), Matrix{Rows: rows, Cols: cols}
	for range rows * cols {
		m.Data = append(m.Data, float32(r.NormFloat64()))
	}
	return m
}

// TestHealthOfKnownRepresentations: collapsed ones, one of rank two, and directions all over the sphere.
func TestHealthOfKnownRepresentations(t *testing.T) {
	engine := newEngine(t, 2)
	collapsed := Matrix{Rows: 50, Cols: 8, Data: make([]float32, 400)}
	for i := range collapsed.Data {
		collapsed.Data[i] = float32(i/8+1) * float32(i%8+1) // multiples of one row
	}
	axes := Matrix{Rows: 6, Cols: 3, Data: []float32{2, 0, 0, 0, 2, 0, 2, 0, 0, 0, 2, 0, 2, 0, 0, 0, 2, 0}}
	for name, c := range map[string]struct {
		m                             Matrix
		rankMe, deviation, uniformity float64
		tolerance                     float64
	}{
		"collapsed": {collapsed, 1, 0, 0, 1e-3},
		"two axes":  {axes, 2, 2 * 0.5 / math.Sqrt(3), math.Log((6 + 9*math.Exp(-4)) / 15), 1e-4},
		"noise":     {noise(2000, 16, 1), 16, 1, math.Log(meanOverSphere(16)), 0.02},
		"wide":      {noise(10, 4000, 1), 10, 0.923, -4, 0.02},
		"nothing":   {Matrix{Rows: 3, Cols: 2, Data: make([]float32, 6)}, 0, 0, 0, 1e-6},
	} {
		if got := RankMe(c.m); math.Abs(got-c.rankMe) > c.tolerance*math.Max(1, c.rankMe) {
			t.Errorf("%s: RankMe %g, want %g", name, got, c.rankMe)
		}
		if got := FeatureStd(c.m); math.Abs(got-c.deviation) > c.tolerance {
			t.Errorf("%s: feature std %g, want %g", name, got, c.deviation)
		}
		if got := Uniformity(engine, c.m); math.Abs(got-c.uniformity) > 4*c.tolerance {
			t.Errorf("%s: uniformity %g, want %g", name, got, c.uniformity)
		}
		if got := Alignment(c.m, c.m); got != 0 {
			t.Errorf("%s: alignment of a matrix with itself is %g", name, got)
		}
	}
}

// meanOverSphere is the mean of exp(−2·|x−y|²) = exp(4·(x·y − 1)) over random directions, whose product has the density
// (1−s²)^((dim−3)/2) up to a factor.
func meanOverSphere(dim int) float64 {
	var sum, weights float64
	for s := -0.9995; s < 1; s += 0.001 {
		weight := math.Pow(1-s*s, float64(dim-3)/2)
		sum += weight * math.Exp(4*(s-1))
		weights += weight
	}
	return sum / weights
}

func TestRankMeOfWhatHasNone(t *testing.T) {
	for name, m := range map[string]Matrix{
		"empty":      {Cols: 3},
		"not finite": {Rows: 1, Cols: 2, Data: []float32{1, float32(math.Inf(1))}},
	} {
		if got := RankMe(m); !math.IsNaN(got) {
			t.Errorf("%s: %g", name, got)
		}
	}
}

// TestAlignmentOfOppositeViews is the largest squared distance on the sphere.
func TestAlignmentOfOppositeViews(t *testing.T) {
	a, b := noise(5, 4, 1), noise(5, 4, 1)
	for i := range b.Data {
		b.Data[i] *= -3
	}
	if got := Alignment(a, b); math.Abs(got-4) > 1e-6 {
		t.Errorf("alignment %g, want 4", got)
	}
}

// TestHealthOfAnEvaluation: one line a layer, the same for any number of workers; views that do not differ are aligned,
// those that do are not.
func TestHealthOfAnEvaluation(t *testing.T) {
	still := data.Augmentation{CropScale: [2]float64{1, 1}, CropRatio: [2]float64{20. / 24, 20. / 24}}
	for name, augmentation := range map[string]data.Augmentation{"still": still, "default": data.DefaultAugmentation()} {
		e := newEvaluation(t)
		pictures := newMemory(30, 3, 1)
		pictures.bad[5] = true
		e.Train, e.Health = pictures, &Views{Augmentation: augmentation, CacheSide: 20, Seed: 1}
		health := measureModel(t, e, 2).Health
		if again := measureModel(t, e, 1).Health; !reflect.DeepEqual(health, again) {
			t.Errorf("%s: %+v became %+v", name, health, again)
		}
		if len(health) != 3 {
			t.Fatalf("%s: %+v", name, health)
		}
		for i, row := range health {
			if row.Features != "random" || row.Layer != i+1 || row.Dim != 16 || row.Pictures != 29 ||
				row.RankMe < 1 || row.RankMe > 16 || row.FeatureStd <= 0 || row.Uniformity >= 0 {
				t.Errorf("%s: %+v", name, row)
			}
			if aligned := row.Alignment < 1e-9; aligned != (name == "still") {
				t.Errorf("%s: alignment %g", name, row.Alignment)
			}
		}
	}
}

func TestSpreadRows(t *testing.T) {
	m := Matrix{Rows: 5, Cols: 1, Data: []float32{0, 1, 2, 3, 4}}
	if got := spreadRows(m, 2); !reflect.DeepEqual(got.Data, []float32{0, 2}) {
		t.Errorf("%v", got)
	}
	if got := spreadRows(m, 9); !reflect.DeepEqual(got, m) {
		t.Errorf("%v", got)
	}
}
