package pretext

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pretrain/data"
)

func colorizationTask(t *testing.T, env Env, stride int) *colorization {
	t.Helper()
	return newTask(t, changed("colorization", func(c *ColorizationConfig) { c.Stride = stride }), env).(*colorization)
}

// column reads one number of every record of a target.
func column(target []float32, number int) []float32 {
	var values []float32
	for at := number; at < len(target); at += recordSize {
		values = append(values, target[at])
	}
	return values
}

// TestLightnessHasNoColour: the view is the L of the crop, thrice, in the run's normalisation.
func TestLightnessHasNoColour(t *testing.T) {
	env := testEnv(t, "resnet18")
	views, _ := prepare(t, colorizationTask(t, env, 0), env, testPicture(4), 0, 4)
	sample := data.NewSample(testPicture(4), env.Seed, 0, 4)
	crop := data.NewPixels(testSide)
	sample.Cut(crop, sample.Window(env.Augmentation))
	for i := range crop.Data {
		l, _, _ := data.RGBToLab(crop.Data[i/3*3], crop.Data[i/3*3+1], crop.Data[i/3*3+2])
		want := (float64(l)/100 - env.Normalization.Mean[i%3]) / env.Normalization.Std[i%3]
		if math.Abs(float64(views[0].Pixels[i])-want) > 1e-4 {
			t.Fatalf("value %d is %v, want %v", i, views[0].Pixels[i], want)
		}
	}
}

// TestColoursAreNotJittered: were the hue of the answer random, there would be nothing to learn.
func TestColoursAreNotJittered(t *testing.T) {
	plain, jittered := testEnv(t, "resnet18"), testEnv(t, "resnet18")
	plain.Augmentation = data.Augmentation{CropScale: [2]float64{1, 1}, CropRatio: [2]float64{7. / 6, 7. / 6}}
	jittered.Augmentation = plain.Augmentation
	jittered.Augmentation.Hue, jittered.Augmentation.Jitter, jittered.Augmentation.Grey = 0.5, 1, 1
	_, want := prepare(t, colorizationTask(t, plain, 0), plain, testPicture(4), 0, 4)
	_, got := prepare(t, colorizationTask(t, jittered, 0), jittered, testPicture(4), 0, 4)
	if !slices.Equal(got, want) {
		t.Error("the colours to learn depend on the colour jitter")
	}
}

func TestPicturesWithoutColourDoNotCount(t *testing.T) {
	env := testEnv(t, "vit")
	task := colorizationTask(t, env, 0)
	_, grey := prepare(t, task, env, greyPicture(), 0, 1)
	_, coloured := prepare(t, task, env, testPicture(1), 0, 1)
	checkRange(t, "weights of a grey picture", column(grey, recordWeight), 0, 0)
	checkRange(t, "labels of a grey picture", column(grey, recordLabel), -1, -1)
	checkRange(t, "weights of a coloured picture", column(coloured, recordWeight), 0.01, 1000)
	checkRange(t, "labels of a coloured picture", column(coloured, recordLabel), 0, 259)
}

// TestPerfectPrediction: logits that name every colour's own bin decode to the right colours, up to the size of a bin,
// and to the right places, for maps finer than the tokens too.
func TestPerfectPrediction(t *testing.T) {
	for _, network := range testNetworks {
		for _, stride := range []int{8, 4, 2} {
			env := testEnv(t, network)
			task := colorizationTask(t, env, stride)
			_, target := prepare(t, task, env, testPicture(4), 0, 4)
			logits := filled(len(task.cells)*len(colourBins()), -100)
			var colours []float32
			for row, label := range column(target, recordLabel) {
				logits[row*len(colourBins())+int(label)] = 100
				colours = append(colours, target[row*recordSize+recordRGB:][:3]...)
			}
			perfect, blind := task.psnr(logits, colours), task.psnr(make([]float32, len(logits)), colours)
			if perfect < 25 || perfect < blind+8 {
				t.Errorf("%s, stride %d: the right bins give %v dB, no idea %v", network, stride, perfect, blind)
			}
			checkRendered(t, task, logits, env)
		}
	}
}

// checkRendered paints the crop and holds it, at the resolution of the map, against the crop.
func checkRendered(t *testing.T, task *colorization, logits []float32, env Env) {
	t.Helper()
	colorizer, err := NewColorizer(task)
	if err != nil {
		t.Fatal(err)
	}
	sample := data.NewSample(testPicture(4), env.Seed, 0, 4)
	crop := data.NewPixels(testSide)
	sample.Cut(crop, sample.Window(env.Augmentation))
	grey := &data.Pixels{Side: testSide, Data: slices.Clone(crop.Data)}
	sample.Colour(data.Augmentation{Grey: 1}, grey)
	painted, err := colorizer.Render(crop, logits)
	if err != nil {
		t.Fatal(err)
	}
	if got, limit := difference(painted, crop, task.side), difference(grey, crop, task.side)/2; got > limit {
		t.Errorf("the painted picture is %v off, a grey one %v", got, 2*limit)
	}
}

// difference is the root of the mean squared difference of two pictures reduced to a side.
func difference(a, b *data.Pixels, side int) float64 {
	smallA, smallB := data.NewPixels(side), data.NewPixels(side)
	data.ResamplePixels(smallA, a, wholeView(a))
	data.ResamplePixels(smallB, b, wholeView(b))
	var squares float64
	for i := range smallA.Data {
		d := float64(smallA.Data[i] - smallB.Data[i])
		squares += d * d
	}
	return math.Sqrt(squares / float64(len(smallA.Data)))
}

func TestDecibels(t *testing.T) {
	for meanSquare, want := range map[float64]float32{1: 0, 0.01: 20, 0: 100} {
		if got := decibels(meanSquare); math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("a mean square of %v is %v dB, want %v", meanSquare, got, want)
		}
	}
}

func TestSplitCells(t *testing.T) {
	want := []int{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}
	if got := splitCells(4, 2); !slices.Equal(got, want) {
		t.Errorf("four tokens of four cells: %v, want %v", got, want)
	}
	if got := splitCells(3, 1); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("without splitting: %v", got)
	}
}

// TestPriorIsStored: a resumed run has the weights of the first one without looking at pictures again.
func TestPriorIsStored(t *testing.T) {
	env := testEnv(t, "vit")
	first := colorizationTask(t, env, 0)
	env.State = first.State()
	env.Sample = func(int) ([]data.Image, error) { return nil, errors.New("not to be called") }
	second := colorizationTask(t, env, 0)
	if !slices.Equal(first.weights, second.weights) || !slices.Equal(first.prior, second.prior) {
		t.Error("the resumed task has another prior")
	}
	env.State = nil
	_, err := changed("colorization", func(*ColorizationConfig) {}).New(env)
	if err == nil || !strings.Contains(err.Error(), "not to be called") {
		t.Errorf("without a stored prior: got error %v", err)
	}
}

func TestColorizerRefuses(t *testing.T) {
	env := testEnv(t, "vit")
	if _, err := NewColorizer(newTask(t, changed("rotation", func(*RotationConfig) {}), env)); err == nil {
		t.Error("a colorizer of another task: want an error")
	}
	colorizer, err := NewColorizer(colorizationTask(t, env, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := colorizer.Render(data.NewPixels(8), make([]float32, 3)); err == nil || !strings.Contains(err.Error(), "3 logits") {
		t.Errorf("too few logits: got error %v", err)
	}
}
