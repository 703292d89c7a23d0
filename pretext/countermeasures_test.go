package pretext

import (
	"math"
	"slices"
	"testing"

	"pretrain/data"
	"pretrain/internal/random"
)

// testPatch is a patch with structure and colour.
func testPatch() *data.Pixels { return data.Preprocess(testPicture(2), 32) }

// moments are the mean and the standard deviation of one channel.
func moments(patch []float32, channel int) (mean, deviation float64) {
	n := float64(len(patch) / 3)
	for i := channel; i < len(patch); i += 3 {
		mean += float64(patch[i]) / n
	}
	for i := channel; i < len(patch); i += 3 {
		deviation += (float64(patch[i]) - mean) * (float64(patch[i]) - mean) / n
	}
	return mean, math.Sqrt(deviation)
}

func TestStandardise(t *testing.T) {
	patch := testPatch()
	dst := make([]float32, len(patch.Data))
	standardise(dst, patch)
	var squares float64
	for channel := range 3 {
		mean, deviation := moments(dst, channel)
		if math.Abs(mean) > 1e-5 {
			t.Errorf("channel %d has mean %v", channel, mean)
		}
		squares += deviation * deviation / 3
	}
	if math.Abs(squares-1) > 1e-5 {
		t.Errorf("the variance is %v", squares)
	}
	for i := range patch.Data { // brightness and contrast must not show
		patch.Data[i] = 0.2 + patch.Data[i]/2
	}
	again := make([]float32, len(patch.Data))
	standardise(again, patch)
	for i := range again {
		if math.Abs(float64(again[i]-dst[i])) > 1e-4 {
			t.Fatalf("value %d is %v, and %v with less contrast", i, dst[i], again[i])
		}
	}
}

// TestStandardiseLeavesPlainSurfacesQuiet: the noise of a plain surface is not blown up to full contrast.
func TestStandardiseLeavesPlainSurfacesQuiet(t *testing.T) {
	patch := data.NewPixels(4)
	for i := range patch.Data {
		patch.Data[i] = 0.5 + 0.001*float32(i%2)
	}
	dst := make([]float32, len(patch.Data))
	standardise(dst, patch)
	checkRange(t, "plain surface", dst, -0.1, 0.1)
}

// TestDropChannels is section 4.2 of Doersch et al. 2015: one channel stays as it is, the two others become noise of a
// hundredth of its standard deviation. Each channel is the one that stays, in turn.
func TestDropChannels(t *testing.T) {
	kept := map[int]int{}
	for seed := range uint64(30) {
		patch := testPatch()
		whole := slices.Clone(patch.Data)
		dropChannels(patch.Data, random.New(seed, "test"))
		for channel := range 3 {
			if patch.Data[channel] == whole[channel] {
				kept[channel]++
				_, deviation := moments(whole, channel)
				checkNoise(t, patch.Data, (channel+1)%3, deviation/100)
				checkNoise(t, patch.Data, (channel+2)%3, deviation/100)
			}
		}
	}
	if kept[0]+kept[1]+kept[2] != 30 || len(kept) != 3 {
		t.Errorf("channels were kept %v times in 30", kept)
	}
}

func checkNoise(t *testing.T, patch []float32, channel int, want float64) {
	t.Helper()
	mean, deviation := moments(patch, channel)
	if math.Abs(mean) > want/4 || math.Abs(deviation-want) > want/5 {
		t.Errorf("channel %d has mean %v and deviation %v, want noise of %v", channel, mean, deviation, want)
	}
}

// TestColourTreatment counts how often patches are treated, and what a treated one looks like.
func TestColourTreatment(t *testing.T) {
	env := testEnv(t, "resnet18")
	for colour, treated := range map[string]func(patch []float32) bool{
		"keep": func([]float32) bool { return false },
		"grey": func(patch []float32) bool {
			for i := 0; i < len(patch); i += 3 {
				if math.Abs(float64(patch[i]-patch[i+1])) > 1e-4 || math.Abs(float64(patch[i]-patch[i+2])) > 1e-4 {
					return false
				}
			}
			return true
		},
		"drop": func(patch []float32) bool {
			quiet := 0
			for channel := range 3 {
				if _, deviation := moments(patch, channel); deviation < 0.1 {
					quiet++
				}
			}
			return quiet == 2
		},
	} {
		cutter, err := newPatchCutter(PatchConfig{Colour: colour, ColourRatio: 0.66, Standardise: true}, env)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		sample := data.NewSample(testPicture(2), 1, 0, 0)
		for seed := range uint64(200) {
			dst := make([]float32, cutter.size*cutter.size*3)
			cutter.cut(sample, dst, 0.1, 0.2, 0.7, random.New(seed, "test"))
			if treated(dst) {
				count++
			}
		}
		want := 132
		if colour == "keep" {
			want = 0
		}
		if count < want-25 || count > want+25 {
			t.Errorf("%s: %d of 200 patches are treated, want about %d", colour, count, want)
		}
	}
}

// TestShrinkBlurs: what is lost is fine detail, not the mean.
func TestShrinkBlurs(t *testing.T) {
	blurred := 0
	for seed := range uint64(20) {
		sample := data.NewSample(testPicture(2), 1, 0, 0)
		patch, sharp := testPatch(), testPatch()
		shrink(sample, patch, random.New(seed, "test"))
		for channel := range 3 {
			before, _ := moments(sharp.Data, channel)
			after, _ := moments(patch.Data, channel)
			if math.Abs(before-after) > 0.02 {
				t.Errorf("the mean of channel %d went from %v to %v", channel, before, after)
			}
		}
		if steps(patch.Data) < 0.9*steps(sharp.Data) {
			blurred++
		}
	}
	if blurred < 10 {
		t.Errorf("%d of 20 patches lost detail", blurred)
	}
}

// steps is the energy of differences between neighbours.
func steps(patch []float32) (energy float64) {
	for i := 3; i < len(patch); i++ {
		d := float64(patch[i] - patch[i-3])
		energy += d * d
	}
	return energy
}

// TestPatchesHaveTheColoursOfTheCrop: an untreated patch that covers the whole crop is the crop.
func TestPatchesHaveTheColoursOfTheCrop(t *testing.T) {
	env := testEnv(t, "resnet18")
	env.Augmentation.Jitter = 1
	cutter, err := newPatchCutter(PatchConfig{Side: testSide, Colour: "keep"}, env)
	if err != nil {
		t.Fatal(err)
	}
	sample := data.NewSample(testPicture(2), 1, 0, 0)
	got, want := make([]float32, testSide*testSide*3), make([]float32, testSide*testSide*3)
	cutter.cut(sample, got, 0, 0, 1, random.New(1, "test"))
	env.Normalization.Apply(want, sample.Crop(env.Augmentation, testSide))
	if !slices.Equal(got, want) {
		t.Error("the patch is not the crop")
	}
}

func TestDefaultPatchSide(t *testing.T) {
	for _, test := range []struct {
		network    string
		side, want int
	}{{"vit", 32, 16}, {"vit", 24, 16}, {"vit", 64, 32}, {"resnet18", 32, 16}, {"resnet18", 72, 40}} {
		env := testEnv(t, test.network)
		env.Side = test.side
		if got, err := defaultPatches().side(env); got != test.want || err != nil {
			t.Errorf("%s, views of %d: patches of %d (%v), want %d", test.network, test.side, got, err, test.want)
		}
	}
}
