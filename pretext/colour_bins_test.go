package pretext

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
)

// TestBins records Q. A checkpoint holds numbers for these bins in this order: they may never change.
func TestBins(t *testing.T) {
	bins := colourBins()
	if len(bins) != 260 {
		t.Errorf("there are %d bins, recorded are 260", len(bins))
	}
	for i, want := range map[int]colourBin{0: {-90, 80}, 130: {20, 0}, 259: {100, -50}} {
		if bins[i] != want {
			t.Errorf("bin %d is %v, recorded is %v", i, bins[i], want)
		}
	}
	if !slices.Contains(bins, colourBin{0, 0}) {
		t.Error("grey has no bin")
	}
}

// TestEveryColourHasItsBin: the nearest bin of any sRGB colour is hardly further than the corner of a square.
func TestEveryColourHasItsBin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channel := rapid.Float32Range(0, 1)
		_, a, b := data.RGBToLab(channel.Draw(t, "r"), channel.Draw(t, "g"), channel.Draw(t, "b"))
		nearest := colourBins()[encodeColour(float64(a), float64(b)).bins[0]]
		if d := math.Sqrt(nearest.distance2(float64(a), float64(b))); d > 7.5 {
			t.Fatalf("(%v, %v) is %v from its nearest bin", a, b, d)
		}
	})
}

// TestEncodeColour holds the five nearest bins and their shares against sorting all bins.
func TestEncodeColour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64Range(-90, 100).Draw(t, "a"), rapid.Float64Range(-100, 95).Draw(t, "b")
		order := make([]int, len(colourBins()))
		for i := range order {
			order[i] = i
		}
		distance := func(bin int) float64 { return colourBins()[bin].distance2(a, b) }
		slices.SortStableFunc(order, func(x, y int) int {
			switch {
			case distance(x) < distance(y):
				return -1
			case distance(x) > distance(y):
				return 1
			}
			return 0
		})
		soft := encodeColour(a, b)
		if !slices.Equal(soft.bins[:], order[:nearestBins]) {
			t.Fatalf("bins %v, want %v", soft.bins, order[:nearestBins])
		}
		sum := 0.0
		for i, share := range soft.shares {
			sum += share
			want := math.Exp((distance(order[0]) - distance(order[i])) / 50)
			if math.Abs(share/soft.shares[0]-want) > 1e-9 {
				t.Fatalf("share %d is %v of the first, want %v", i, share/soft.shares[0], want)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("the shares sum to %v", sum)
		}
	})
}

func TestEncodeBinCentre(t *testing.T) {
	soft := encodeColour(10, 20)
	if centre := colourBins()[soft.bins[0]]; centre != (colourBin{10, 20}) {
		t.Errorf("the nearest bin of (10, 20) is %v", centre)
	}
	for i, share := range soft.shares[1:] {
		if want := soft.shares[0] * math.Exp(-2); math.Abs(share-want) > 1e-12 { // distance 10, σ 5
			t.Errorf("neighbour %d has %v, want %v", i+1, share, want)
		}
	}
}

// TestAnnealedMean: at temperature 1 it is the mean, towards 0 the mode, and at 0.38 what equation 5 gives.
func TestAnnealedMean(t *testing.T) {
	logits := filled(len(colourBins()), -1e9)
	at := func(a, b float64) int { return slices.Index(colourBins(), colourBin{a, b}) }
	logits[at(0, 0)], logits[at(40, 20)] = float32(math.Log(0.7)), float32(math.Log(0.3))
	odds := math.Pow(0.3/0.7, 1/0.38)
	for temperature, share := range map[float64]float64{1: 0.3, 0.01: 0, 0.38: odds / (1 + odds)} {
		a, b := annealedMean(logits, temperature)
		if math.Abs(a-40*share) > 1e-5 || math.Abs(b-20*share) > 1e-5 {
			t.Errorf("T = %v: (%v, %v), want (%v, %v)", temperature, a, b, 40*share, 20*share)
		}
	}
}

// TestRebalance is equation 4 of Zhang et al. 2016.
func TestRebalance(t *testing.T) {
	weights := rebalance([]float32{0.9, 0.1, 0, 0}, 0.5)
	raw := []float64{1 / (0.45 + 0.125), 1 / (0.05 + 0.125), 8, 8}
	mean := 0.9*raw[0] + 0.1*raw[1]
	for i, w := range weights {
		if math.Abs(float64(w)-raw[i]/mean) > 1e-6 {
			t.Errorf("weight %d is %v, want %v", i, w, raw[i]/mean)
		}
	}
	for _, w := range rebalance([]float32{0.9, 0.1, 0, 0}, 1) {
		if w != 1 {
			t.Errorf("λ = 1 gives weight %v, want 1", w)
		}
	}
}

// TestSmoothPrior: a distribution stays one, its peak stays the peak, and a neighbour gets the Gaussian's part.
func TestSmoothPrior(t *testing.T) {
	bins := colourBins()
	prior := make([]float32, len(bins))
	grey, next := slices.Index(bins, colourBin{0, 0}), slices.Index(bins, colourBin{10, 0})
	prior[grey] = 1
	smooth := smoothPrior(prior)
	sum := 0.0
	for _, p := range smooth {
		sum += float64(p)
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("the prior sums to %v", sum)
	}
	if ratio := float64(smooth[next] / smooth[grey]); math.Abs(ratio-math.Exp(-2)) > 1e-5 {
		t.Errorf("a bin 10 away gets %v of the peak, want %v", ratio, math.Exp(-2))
	}
}
