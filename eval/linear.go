package eval

import (
	"math"
	"math/rand/v2"
	"slices"

	"pretrain/internal/kernel"
	"pretrain/internal/random"

	"gonum.org/v1/gonum/optimize"
)

// Linear is multinomial logistic regression on standardised features, fitted by L-BFGS. Its L2 strength is chosen on
// a fifth of the training part that is held out class by class; the test part plays no role in it.
type Linear struct {
	Strengths  []float64 // candidate L2 penalties on the mean loss, strongest first
	Iterations int       // of L-BFGS a fit
	Seed       uint64    // of the held-out split
}

// DefaultLinear spans five decades of penalties in steps of about 3.
func DefaultLinear(seed uint64) Linear {
	return Linear{Strengths: []float64{10, 3, 1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4}, Iterations: 100, Seed: seed}
}

// Predict gives the class of every row of test. Labels are classes 0 to classes-1, one a row of train.
func (l Linear) Predict(engine *kernel.Engine, train Matrix, labels []int, test Matrix, classes int) []int {
	scaler := fitScaler(train)
	train, test = scaler.apply(train), scaler.apply(test)
	strength := l.chooseStrength(engine, train, labels, classes)
	problem := newLogistic(engine, train, labels, classes)
	weights := problem.fit(strength, l.Iterations, nil)
	return argmaxRows(problem.logits(test, weights), classes)
}

// chooseStrength fits every penalty on four fifths of the rows, each from the solution of the one before, and returns
// the one with the least loss on the rest. The loss tells penalties apart that have equally many right answers among a
// few held-out pictures. Penalties are tried from the strongest on until the loss has risen twice.
func (l Linear) chooseStrength(engine *kernel.Engine, train Matrix, labels []int, classes int) float64 {
	fit, held := holdOut(labels, classes, random.New(l.Seed, "linear probe split"))
	if len(held) == 0 {
		return l.Strengths[len(l.Strengths)/2]
	}
	problem := newLogistic(engine, train.Select(fit), pick(labels, fit), classes)
	rest := newLogistic(engine, train.Select(held), pick(labels, held), classes)
	best, least, rises := l.Strengths[0], math.Inf(1), 0
	var weights []float64
	for _, strength := range l.Strengths {
		weights = problem.fit(strength, l.Iterations, weights)
		loss := rest.meanLoss(weights)
		if loss < least {
			best, least, rises = strength, loss, 0
			continue
		}
		if rises++; rises == 2 {
			break
		}
	}
	return best
}

// holdOut splits the rows of each class four to one; a class of one row stays in the fitting part.
func holdOut(labels []int, classes int, r *rand.Rand) (fit, held []int) {
	for _, rows := range rowsOfClasses(labels, classes) {
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		count := len(rows) / 5
		if count == 0 && len(rows) > 1 {
			count = 1
		}
		held = append(held, rows[:count]...)
		fit = append(fit, rows[count:]...)
	}
	slices.Sort(fit)
	slices.Sort(held)
	return fit, held
}

// rowsOfClasses lists the rows of each class.
func rowsOfClasses(labels []int, classes int) [][]int {
	byClass := make([][]int, classes)
	for i, class := range labels {
		byClass[class] = append(byClass[class], i)
	}
	return byClass
}

func pick(labels []int, rows []int) []int {
	picked := make([]int, len(rows))
	for i, row := range rows {
		picked[i] = labels[row]
	}
	return picked
}

// scaler standardises features by the mean and deviation of the training part.
type scaler struct{ mean, scale []float32 }

func fitScaler(m Matrix) scaler {
	s := scaler{make([]float32, m.Cols), make([]float32, m.Cols)}
	for j := range m.Cols {
		var sum, squares float64
		for i := range m.Rows {
			sum += float64(m.Data[i*m.Cols+j])
		}
		mean := sum / float64(m.Rows)
		for i := range m.Rows {
			d := float64(m.Data[i*m.Cols+j]) - mean
			squares += d * d
		}
		s.mean[j] = float32(mean)
		if deviation := math.Sqrt(squares / float64(m.Rows)); deviation > 1e-6 {
			s.scale[j] = float32(1 / deviation)
		}
	}
	return s
}

func (s scaler) apply(m Matrix) Matrix {
	out := Matrix{Rows: m.Rows, Cols: m.Cols, Data: make([]float32, len(m.Data))}
	for i := range m.Rows {
		from, to := m.Row(i), out.Row(i)
		for j, x := range from {
			to[j] = (x - s.mean[j]) * s.scale[j]
		}
	}
	return out
}

// logistic is the objective mean(−log softmax(X·W+b)[label]) + strength/2·|W|². Products, softmax and losses run in
// float32 on the engine; parameters, a [cols+1, classes] matrix whose last row is the bias, stay in float64 for L-BFGS.
type logistic struct {
	engine  *kernel.Engine
	rows    Matrix
	labels  []float32 // class of each row
	classes int
	weights []float32 // parameters rounded for the product
	outputs []float32 // [rows, classes] logits, then their gradient
	losses  []float32 // of each row
	product []float32 // [cols+1, classes] gradient
}

func newLogistic(engine *kernel.Engine, rows Matrix, labels []int, classes int) *logistic {
	l := &logistic{
		engine: engine, rows: rows, classes: classes,
		labels:  make([]float32, rows.Rows),
		weights: make([]float32, (rows.Cols+1)*classes),
		outputs: make([]float32, rows.Rows*classes),
		losses:  make([]float32, rows.Rows),
		product: make([]float32, (rows.Cols+1)*classes),
	}
	for i, label := range labels {
		l.labels[i] = float32(label)
	}
	return l
}

// fit minimises the objective from start, or from zero. A line search that ends at the rounding of float32 products
// has converged for our purpose, so the optimizer's complaints are not errors.
func (l *logistic) fit(strength float64, iterations int, start []float64) []float64 {
	if start == nil {
		start = make([]float64, len(l.weights))
	}
	memo := &evaluation{objective: l, strength: strength, lowest: math.Inf(1), best: slices.Clone(start)}
	problem := optimize.Problem{
		Func: func(x []float64) float64 { return memo.at(x).loss },
		Grad: func(gradient, x []float64) { copy(gradient, memo.at(x).gradient) },
	}
	settings := &optimize.Settings{MajorIterations: iterations, GradientThreshold: 1e-5, Concurrent: 1,
		Converger: &optimize.FunctionConverge{Relative: 1e-6, Iterations: 5}}
	_, _ = optimize.Minimize(problem, start, settings, &optimize.LBFGS{})
	return memo.best
}

// evaluation remembers the last point, because L-BFGS asks for the loss and the gradient of a point separately, and
// the best point, because a search may end on another one.
type evaluation struct {
	objective *logistic
	strength  float64
	x         []float64
	loss      float64
	gradient  []float64
	best      []float64
	lowest    float64
}

func (e *evaluation) at(x []float64) *evaluation {
	if slices.Equal(x, e.x) {
		return e
	}
	e.x = append(e.x[:0], x...)
	e.gradient = append(e.gradient[:0], x...)
	e.loss = e.objective.evaluate(e.gradient, x, e.strength)
	if e.loss < e.lowest {
		e.lowest = e.loss
		copy(e.best, x)
	}
	return e
}

// evaluate returns the objective at x and writes its gradient.
func (l *logistic) evaluate(gradient, x []float64, strength float64) float64 {
	loss, features := l.meanLoss(x), l.rows.Cols*l.classes
	l.engine.CrossEntropyBackward(l.outputs, l.outputs, l.labels, 1/float32(l.rows.Rows), l.rows.Rows, l.classes)
	l.engine.MatMul(kernel.Product{
		M: l.rows.Cols, N: l.classes, K: l.rows.Rows,
		A: kernel.Operand{Data: kernel.F32(l.rows.Data), RowStride: 1, ColStride: l.rows.Cols},
		B: kernel.Operand{Data: kernel.F32(l.outputs), RowStride: l.classes, ColStride: 1},
		C: kernel.F32(l.product), CStride: l.classes,
	})
	l.engine.ColumnSums(l.product[features:], kernel.F32(l.outputs), l.rows.Rows, l.classes)
	penalty := 0.0
	for i, g := range l.product {
		gradient[i] = float64(g)
		if i < features { // the bias is not penalised
			gradient[i] += strength * x[i]
			penalty += x[i] * x[i]
		}
	}
	return loss + strength/2*penalty
}

// meanLoss is the mean of −log softmax(logits)[label] over the rows; it leaves the logits in outputs.
func (l *logistic) meanLoss(x []float64) float64 {
	logits := l.logitsInto(l.outputs, l.rows, x)
	l.engine.CrossEntropyForward(l.losses, logits, l.labels, l.rows.Rows, l.classes)
	return l.engine.Sum(l.losses) / float64(l.rows.Rows)
}

// logits computes the class scores of any rows.
func (l *logistic) logits(rows Matrix, x []float64) []float32 {
	return l.logitsInto(make([]float32, rows.Rows*l.classes), rows, x)
}

func (l *logistic) logitsInto(out []float32, rows Matrix, x []float64) []float32 {
	for i, w := range x {
		l.weights[i] = float32(w)
	}
	bias := len(x) - l.classes
	l.engine.MatMul(kernel.Product{
		M: rows.Rows, N: l.classes, K: rows.Cols,
		A: kernel.Operand{Data: kernel.F32(rows.Data), RowStride: rows.Cols, ColStride: 1},
		B: kernel.Operand{Data: kernel.F32(l.weights[:bias]), RowStride: l.classes, ColStride: 1},
		C: kernel.F32(out), CStride: l.classes, Bias: l.weights[bias:],
	})
	return out
}

// argmaxRows gives the column of each row's largest value.
func argmaxRows(values []float32, cols int) []int {
	best := make([]int, len(values)/cols)
	for i := range best {
		best[i] = argmax(values[i*cols : (i+1)*cols])
	}
	return best
}
