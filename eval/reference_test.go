package eval

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
	"pretrain/internal/random"
)

// TestSharpVotesAreTheNearestAlone: exp(similarity/temperature) is infinite for small temperatures, and the vote must not
// turn into that of the lowest class. The query's nearest row is of the highest class.
func TestSharpVotesAreTheNearestAlone(t *testing.T) {
	const classes = 5
	engine := newEngine(t, 2)
	train, labels := clusters(classes, 20, 6, 1, 1)
	queries := Matrix{Rows: classes, Cols: train.Cols}
	var want []int
	for class := classes - 1; class >= 0; class-- { // each query is a training row itself
		queries.Data = append(queries.Data, train.Row(20*class)...)
		want = append(want, class)
	}
	for _, temperature := range []float64{0.07, 1e-3, 1e-4, 1e-9} {
		knn := KNN{Neighbours: train.Rows, Temperature: temperature}
		if temperature == 0.07 {
			knn.Neighbours = 1
		}
		if got := knn.Predict(engine, train, labels, queries, classes); !slices.Equal(got, want) {
			t.Errorf("%+v predicts %v, want %v", knn, got, want)
		}
	}
}

// TestKNNSeesDirectionsOnly: scaling rows, dealing the training rows in another order and asking in blocks of another
// size change no prediction, as long as no two neighbours are equally near.
func TestKNNSeesDirectionsOnly(t *testing.T) {
	engine := newEngine(t, 2)
	train, labels := clusters(3, 40, 5, 1.5, 1)
	test, _ := clusters(3, 171, 5, 1.5, 2) // 513 queries: two whole blocks and one more
	knn := KNN{Neighbours: 7, Temperature: 0.07}
	want := knn.Predict(engine, train, labels, test, 3)
	r := random.New(1, "order")
	order := r.Perm(train.Rows)
	shuffled, scaled := train.Select(order), Matrix{test.Rows, test.Cols, slices.Clone(test.Data)}
	for i := range scaled.Rows {
		factor := float32(math.Exp2(float64(r.IntN(20) - 10))) // exact
		for j := range scaled.Row(i) {
			scaled.Row(i)[j] *= factor
		}
	}
	if got := knn.Predict(engine, shuffled, pick(labels, order), scaled, 3); !slices.Equal(got, want) {
		t.Error("predictions changed with the order of the training rows and the lengths of the queries")
	}
	for _, size := range []int{1, 255, 256, 257} {
		part := Matrix{size, test.Cols, test.Data[:size*test.Cols]}
		if got := knn.Predict(engine, train, labels, part, 3); !slices.Equal(got, want[:size]) {
			t.Errorf("the first %d queries alone are predicted otherwise", size)
		}
	}
}

// TestProbesOfCollapsedFeatures: vectors that are zero or all alike, as a collapsed network gives, have no nearest
// neighbour and no direction; every probe still answers with one class for all of them.
func TestProbesOfCollapsedFeatures(t *testing.T) {
	engine := newEngine(t, 1)
	labels := []int{0, 1, 1, 2, 1, 0, 1, 2, 1, 1}
	for name, value := range map[string]float32{"zero": 0, "alike": 0.3, "huge": 1e19} {
		m := Matrix{Rows: len(labels), Cols: 4, Data: slices.Repeat([]float32{value}, len(labels)*4)}
		for probe, p := range DefaultConfig().Probes(1) {
			got := p.Predict(engine, m, labels, m, 3)
			if len(slices.Compact(got)) != 1 || got[0] < 0 || got[0] > 2 {
				t.Errorf("%s, %s: predicted %v", name, probe, got)
			}
			if probe == "linear" && got[0] != 1 {
				t.Errorf("%s: the linear probe predicts %d, not the commonest class", name, got[0])
			}
		}
	}
}

// minimise64 finds the minimum of the linear probe's objective by plain gradient descent in float64.
func minimise64(rows Matrix, labels []int, classes int, strength float64) []float64 {
	x, gradient := make([]float64, (rows.Cols+1)*classes), make([]float64, (rows.Cols+1)*classes)
	for range 3000 {
		objective64(gradient, x, rows, labels, classes, strength)
		for i, g := range gradient {
			x[i] -= 0.3 * g
		}
	}
	return x
}

// TestLinearFollowsTheFloat64Reference from standardising to predicting: the penalty that is chosen is the one with the
// least held-out loss among the minima of all of them, and predictions are those of its minimum over the whole part.
func TestLinearFollowsTheFloat64Reference(t *testing.T) {
	const classes = 3
	engine := newEngine(t, 2)
	train, labels := clusters(classes, 30, 4, 2.5, 11)
	test, _ := clusters(classes, 60, 4, 2.5, 12)
	for i := range train.Data { // columns of very different size and place
		train.Data[i] = train.Data[i]*float32(1+100*(i%4)) + float32(10*(i%4))
	}
	for i := range test.Data {
		test.Data[i] = test.Data[i]*float32(1+100*(i%4)) + float32(10*(i%4))
	}
	linear := Linear{Strengths: []float64{1, 0.1, 0.01}, Iterations: 100, Seed: 1}
	scaler := fitScaler(train)
	rows, queries := scaler.apply(train), scaler.apply(test)

	fit, held := holdOut(labels, classes, random.New(linear.Seed, "linear probe split"))
	best, least, ignored := 0.0, math.Inf(1), make([]float64, 5*classes)
	for _, strength := range linear.Strengths {
		x := minimise64(rows.Select(fit), pick(labels, fit), classes, strength)
		if loss := objective64(ignored, x, rows.Select(held), pick(labels, held), classes, 0); loss < least {
			best, least = strength, loss
		}
	}
	if got := linear.chooseStrength(engine, rows, labels, classes); got != best {
		t.Errorf("the strength %g is chosen, want %g", got, best)
	}

	x := minimise64(rows, labels, classes, best)
	for i, got := range linear.Predict(engine, train, labels, test, classes) {
		scores := make([]float64, classes)
		for c := range scores {
			scores[c] = x[rows.Cols*classes+c]
			for j, v := range queries.Row(i) {
				scores[c] += float64(v) * x[j*classes+c]
			}
		}
		if slices.Max(scores)-scores[got] > 1e-2 {
			t.Errorf("query %d is predicted as %d, the reference has scores %v", i, got, scores)
		}
	}
}

// TestLinearIgnoresScaleAndPlace: features are standardised, so that stretching and moving a column changes nothing.
func TestLinearIgnoresScaleAndPlace(t *testing.T) {
	engine := newEngine(t, 2)
	train, labels := clusters(3, 30, 5, 1.5, 1)
	test, _ := clusters(3, 30, 5, 1.5, 2)
	want := DefaultLinear(1).Predict(engine, train, labels, test, 3)
	for _, m := range []Matrix{train, test} {
		for i := range m.Data {
			column := i % m.Cols
			m.Data[i] = m.Data[i]*float32(math.Exp2(float64(3*column-6))) + float32(column)
		}
	}
	got := DefaultLinear(1).Predict(engine, train, labels, test, 3)
	different := 0
	for i := range got {
		if got[i] != want[i] {
			different++
		}
	}
	if different > 1 { // moving a column rounds its numbers
		t.Errorf("%d of %d predictions changed", different, len(got))
	}
}

// TestIntervalsHoldTheTruth: of many test parts drawn from a classifier that is right with a known probability, about 95
// in a hundred have an interval that contains it. (The percentile bootstrap of 60 pictures comes short by a little.)
func TestIntervalsHoldTheTruth(t *testing.T) {
	const parts, pictures = 300, 60
	for _, truth := range []float64{0.5, 0.8} {
		held, width := 0, 0.0
		for p := range parts {
			r := random.New(uint64(p), fmt.Sprint("classifier", truth))
			predicted, labels := make([]int, pictures), make([]int, pictures)
			for i := range predicted {
				if r.Float64() >= truth {
					predicted[i] = 1
				}
			}
			interval := Interval(predicted, labels, uint64(p))
			if interval[0] <= truth && truth <= interval[1] {
				held++
			}
			if accuracy := Accuracy(predicted, labels); interval[0] > accuracy || interval[1] < accuracy {
				t.Fatalf("the interval %v does not hold the accuracy %g itself", interval, accuracy)
			}
			width += (interval[1] - interval[0]) / parts
		}
		if share := float64(held) / parts; share < 0.9 || share > 0.985 {
			t.Errorf("accuracy %g: %.3f of the intervals contain it", truth, share)
		}
		if want := 2 * 1.96 * math.Sqrt(truth*(1-truth)/pictures); math.Abs(width-want) > 0.15*want {
			t.Errorf("accuracy %g: the intervals are %.3f wide, want about %.3f", truth, width, want)
		}
	}
	if got := Interval([]int{1, 1, 1}, []int{1, 1, 1}, 1); got != [2]float64{1, 1} {
		t.Errorf("nothing is wrong and the interval is %v", got)
	}
}

// TestBalancedAccuracyIsAMeanOverClasses: with as many pictures of each class it is the accuracy, repeating the pictures
// of one class changes nothing, and neither do other names for the classes.
func TestBalancedAccuracyIsAMeanOverClasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes, each := rapid.IntRange(1, 5).Draw(t, "classes"), rapid.IntRange(1, 8).Draw(t, "pictures a class")
		labels := make([]int, classes*each)
		for i := range labels {
			labels[i] = i % classes
		}
		predicted := rapid.SliceOfN(rapid.IntRange(0, classes-1), len(labels), len(labels)).Draw(t, "predicted")
		balanced := BalancedAccuracy(predicted, labels, classes)
		same := func(what string, got float64) {
			if math.Abs(got-balanced) > 1e-12 {
				t.Fatalf("%s: %g, want %g", what, got, balanced)
			}
		}
		same("accuracy of equal classes", Accuracy(predicted, labels))
		more, moreLabels := slices.Clone(predicted), slices.Clone(labels)
		for i, class := range labels {
			if class == 0 {
				more, moreLabels = append(more, predicted[i], predicted[i]), append(moreLabels, 0, 0)
			}
		}
		same("class 0 three times", BalancedAccuracy(more, moreLabels, classes))
		renamed := func(numbers []int) []int {
			other := make([]int, len(numbers))
			for i, n := range numbers {
				other[i] = (n + 1) % classes
			}
			return other
		}
		same("other names", BalancedAccuracy(renamed(predicted), renamed(labels), classes))
		same("a class without pictures", BalancedAccuracy(predicted, labels, classes+3))
	})
}

// TestFeaturesDoNotDependOnTheBatch: whatever number of pictures is shown at once, the last short batch included, each
// has the same vectors, in the same row.
func TestFeaturesDoNotDependOnTheBatch(t *testing.T) {
	pictures := newMemory(7, 2, 1)
	pictures.bad[2] = true
	for _, name := range []string{"vit", "resnet18"} {
		var want Features
		for _, batch := range []int{7, 1, 2, 3, 10} {
			got, err := newModel(t, name, batch, 2).Extract(t.Context(), pictures)
			if err != nil {
				t.Fatal(err)
			}
			if batch == 7 {
				want = got
			}
			if !slices.Equal(got.Paths, want.Paths) || len(got.Bad) != 1 {
				t.Errorf("%s, batches of %d: rows %v, bad %v", name, batch, got.Paths, got.Bad)
			}
			for i := range want.Layers {
				near(t, fmt.Sprintf("%s, batches of %d, layer %d", name, batch, i+1), got.Layers[i].Data, want.Layers[i].Data, 1e-5)
			}
		}
	}
}

// TestCalibrationTakesTheMeanOfBatches compares the first normalisation, for picture numbers that do and do not fill
// batches, with E[μ] and E[σ²+μ²] − E[μ]² in float64 over the whole batches of the chosen pictures.
func TestCalibrationTakesTheMeanOfBatches(t *testing.T) {
	const batch = 4
	for _, count := range []int{4, 8, 9, 11, 23, 50} {
		pictures := newMemory(23, 3, 5)
		m := newModel(t, "resnet18", batch, 2)
		if err := m.Calibrate(t.Context(), pictures, count); err != nil {
			t.Fatal(err)
		}
		looked := &memory{}
		for i := range min(count, 23) / batch * batch {
			at := i
			if count < 23 {
				at = i * 23 / count
			}
			looked.examples = append(looked.examples, pictures.examples[at])
		}
		alone := newModel(t, "resnet18", batch, 1)
		if err := alone.Calibrate(t.Context(), looked, len(looked.examples)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(statistics32(m), statistics32(alone)) {
			t.Errorf("%d of 23 pictures: the statistics are not those of their %d in whole batches", count, len(looked.examples))
		}
		mean, square := make([]float64, 4), make([]float64, 4)
		batches := float64(len(looked.examples) / batch)
		for from := 0; from < len(looked.examples); from += batch {
			one := newModel(t, "resnet18", batch, 1)
			if err := one.Calibrate(t.Context(), &memory{examples: looked.examples[from : from+batch]}, batch); err != nil {
				t.Fatal(err)
			}
			for c := range mean {
				mu := float64(one.store.Lookup("backbone.bn1.running_mean").Value[c])
				mean[c] += mu / batches
				square[c] += (float64(one.store.Lookup("backbone.bn1.running_var").Value[c]) + mu*mu) / batches
			}
		}
		for c := range mean {
			got := float64(m.store.Lookup("backbone.bn1.running_var").Value[c])
			if want := square[c] - mean[c]*mean[c]; math.Abs(got-want) > 1e-4*want {
				t.Errorf("%d pictures: channel %d has variance %g, want %g", count, c, got, want)
			}
		}
	}
}

// TestClassesAreNumberedByName: any labels come back by their numbers, equal ones have equal numbers, and the numbers do
// not depend on the order of the pictures.
func TestClassesAreNumberedByName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.StringN(1, 3, -1), 1, 20).Draw(t, "labels")
		classes, err := NewClasses("part", labels)
		if err != nil {
			if slices.ContainsFunc(labels, func(l string) bool { return l != labels[0] }) {
				t.Fatalf("%q: %v", labels, err)
			}
			return
		}
		numbers, err := classes.Numbers("part", labels)
		if err != nil {
			t.Fatal(err)
		}
		for i, number := range numbers {
			if classes.Names[number] != labels[i] {
				t.Fatalf("label %q is number %d of %q", labels[i], number, classes.Names)
			}
		}
		slices.Reverse(labels)
		if again, err := NewClasses("part", labels); err != nil || !slices.Equal(again.Names, classes.Names) {
			t.Fatalf("in another order the classes are %q, not %q", again.Names, classes.Names)
		}
	})
}

// TestEvaluationKeepsPicturesAsTheyAre: unlike training, an evaluation never reduces pictures to the cache's side first,
// and it reads a picture once for all that it measures.
func TestEvaluationKeepsPicturesAsTheyAre(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "class", "a.png")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var contents bytes.Buffer
	if err := png.Encode(&contents, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, contents.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	config := data.DefaultConfig()
	config.Size, config.CacheSide = 8, 8
	pictures, err := Open(t.Context(), folder, config)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		example, err := pictures.At(t.Context(), 0)
		if err != nil || example.Image.Width != 40 || example.Image.Height != 30 || example.Label != "class" {
			t.Errorf("the picture has %d×%d pixels and label %q, %v", example.Image.Width, example.Image.Height, example.Label, err)
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}
