package eval

import (
	"math"
	"slices"
	"testing"

	"pretrain/internal/random"
)

// TestLogisticGradient compares the gradient of the probe's objective with central differences of its loss.
func TestLogisticGradient(t *testing.T) {
	rows, labels := clusters(3, 6, 4, 1, 5)
	problem := newLogistic(newEngine(t, 2), rows, labels, 3)
	r := random.New(1, "weights")
	x := make([]float64, 5*3)
	for i := range x {
		x[i] = r.NormFloat64() * 0.3
	}
	gradient, ignored := make([]float64, len(x)), make([]float64, len(x))
	problem.evaluate(gradient, x, 0.1)
	const h = 1e-2 // products are in float32
	for i := range x {
		at := x[i]
		x[i] = at + h
		above := problem.evaluate(ignored, x, 0.1)
		x[i] = at - h
		below := problem.evaluate(ignored, x, 0.1)
		x[i] = at
		if difference := (above - below) / (2 * h); math.Abs(difference-gradient[i]) > 2e-4 {
			t.Errorf("parameter %d: gradient %g, central difference %g", i, gradient[i], difference)
		}
	}
}

// TestLogisticFindsTheMinimum: at the fitted weights the gradient vanishes.
func TestLogisticFindsTheMinimum(t *testing.T) {
	rows, labels := clusters(3, 40, 6, 1.5, 7)
	problem := newLogistic(newEngine(t, 2), rows, labels, 3)
	weights := problem.fit(0.01, 200, nil)
	gradient := make([]float64, len(weights))
	problem.evaluate(gradient, weights, 0.01)
	for i, g := range gradient {
		if math.Abs(g) > 1e-3 {
			t.Errorf("parameter %d: gradient %g at the minimum", i, g)
		}
	}
}

func TestHoldOutKeepsEveryClassInBothParts(t *testing.T) {
	labels := []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2}
	fit, held := holdOut(labels, 3, random.New(1, "split"))
	count := func(rows []int) (counts [3]int) {
		for _, row := range rows {
			counts[labels[row]]++
		}
		return counts
	}
	if got := count(fit); got != [3]int{8, 1, 1} {
		t.Errorf("fitting part has %v pictures of the classes", got)
	}
	if got := count(held); got != [3]int{2, 1, 0} {
		t.Errorf("held-out part has %v pictures of the classes", got)
	}
}

func TestScalerStandardises(t *testing.T) {
	m := Matrix{Rows: 4, Cols: 2, Data: []float32{1, 7, 2, 7, 3, 7, 6, 7}}
	scaled := fitScaler(m).apply(m)
	var sum, squares float64
	for i := range m.Rows {
		sum += float64(scaled.Row(i)[0])
		squares += float64(scaled.Row(i)[0]) * float64(scaled.Row(i)[0])
		if scaled.Row(i)[1] != 0 {
			t.Errorf("a constant feature became %g", scaled.Row(i)[1])
		}
	}
	if math.Abs(sum) > 1e-6 || math.Abs(squares-4) > 1e-5 {
		t.Errorf("mean %g, variance %g", sum/4, squares/4)
	}
}

// TestFitReachesTheFloat64Minimum: plain gradient descent in float64 on the same convex objective ends where L-BFGS does.
func TestFitReachesTheFloat64Minimum(t *testing.T) {
	const classes, strength = 3, 0.05
	m, labels := clusters(classes, 25, 4, 1.5, 3)
	rows := fitScaler(m).apply(m)
	want := make([]float64, (rows.Cols+1)*classes)
	gradient := make([]float64, len(want))
	for range 4000 {
		objective64(gradient, want, rows, labels, classes, strength)
		for i, g := range gradient {
			want[i] -= 0.5 * g
		}
	}
	lowest := objective64(gradient, want, rows, labels, classes, strength)
	linear := DefaultLinear(1)
	got := newLogistic(newEngine(t, 2), rows, labels, classes).fit(strength, linear.Iterations, nil)
	if reached := objective64(gradient, got, rows, labels, classes, strength); reached > lowest+1e-5 {
		t.Errorf("the objective is %.8f where it can be %.8f", reached, lowest)
	}
	for i := range rows.Cols * classes { // the biases may all be shifted by the same number
		if math.Abs(got[i]-want[i]) > 1e-2 {
			t.Errorf("weight %d is %g, want %g", i, got[i], want[i])
		}
	}
}

// objective64 is the objective of logistic, written plainly.
func objective64(gradient, x []float64, rows Matrix, labels []int, classes int, strength float64) float64 {
	clear(gradient)
	loss, n, bias := 0.0, float64(rows.Rows), rows.Cols*classes
	for i, label := range labels {
		logits, total := make([]float64, classes), 0.0
		for c := range logits {
			logits[c] = x[bias+c]
			for j, v := range rows.Row(i) {
				logits[c] += float64(v) * x[j*classes+c]
			}
			total += math.Exp(logits[c])
		}
		loss += (math.Log(total) - logits[label]) / n
		for c, logit := range logits {
			d := math.Exp(logit) / total / n
			if c == label {
				d -= 1 / n
			}
			gradient[bias+c] += d
			for j, v := range rows.Row(i) {
				gradient[j*classes+c] += d * float64(v)
			}
		}
	}
	for i := range bias {
		loss += strength / 2 * x[i] * x[i]
		gradient[i] += strength * x[i]
	}
	return loss
}

// TestLossOfAHopelessLabel: a probability that float32 rounds to zero still has its loss.
func TestLossOfAHopelessLabel(t *testing.T) {
	problem := newLogistic(newEngine(t, 1), Matrix{Rows: 1, Cols: 1, Data: []float32{1}}, []int{0}, 2)
	gradient := make([]float64, 4)
	if loss := problem.evaluate(gradient, []float64{0, 300, 0, 0}, 0); loss != 300 {
		t.Errorf("loss %g, want 300", loss)
	}
	if want := []float64{-1, 1, -1, 1}; !slices.Equal(gradient, want) {
		t.Errorf("gradient %v, want %v", gradient, want)
	}
}

// TestStrengthOfASinglePictureAClass: nothing can be held out, and the probe still predicts.
func TestStrengthOfASinglePictureAClass(t *testing.T) {
	m := Matrix{Rows: 2, Cols: 1, Data: []float32{-1, 1}}
	if got := DefaultLinear(1).Predict(newEngine(t, 1), m, []int{0, 1}, m, 2); got[0] != 0 || got[1] != 1 {
		t.Errorf("predicted %v", got)
	}
}
