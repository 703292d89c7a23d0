package kernel

import "math"

// GELUForward sets y = x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016; the exact form, not the
// tanh approximation), with an absolute error below 5e-7. Vector kernels of float32 take x·Φ(x) and its slope as polynomials
// in pieces, found by a permutation: no exponential and no division. The slices are of one length; y may be x.
func (e *Engine) GELUForward(y, x Array) {
	if allHalf(y, x) {
		n := y.Len()
		share(e, &e.jobs.geluHalf, geluHalfJob{e.vector.geluTables(), y.bf16, x.bf16[:n]}, n, elementChunk)
		return
	}
	e.unary(e.vector.gelu, nil, y, x)
}

// GELUBackward sets dx = dy·(Φ(x) + x·φ(x)), φ the normal density. The slices are of one length; dx may be dy or x.
func (e *Engine) GELUBackward(dx, dy, x Array) {
	if allHalf(dx, dy, x) {
		n := dx.Len()
		share(e, &e.jobs.geluHalfBackward, geluHalfBackwardJob{e.vector.geluTables(), dx.bf16, dy.bf16[:n], x.bf16[:n]}, n, elementChunk)
		return
	}
	e.binary(e.vector.geluBackward, nil, dx, dy, x)
}

// geluTables are GELU and its slope at every bf16 number, as the family computes them in float32. Looking a number up
// costs less than polynomials and rounding: most numbers have one of a few thousand patterns, whose entries stay
// in a core's first-level cache.
type geluTables struct {
	values tableOf[BFloat16]
	slopes tableOf[float32]
}

// tableOf holds a function's value at every bf16 number, by its bits.
type tableOf[T storage] [1 << 16]T

// geluTables returns the family's tables.
func (v *vectorUnit) geluTables() *geluTables {
	if v.tables != nil {
		return v.tables
	}
	v.tables = new(geluTables)
	const piece = 1 << 10
	var pattern [piece]BFloat16
	var x, y, ones [piece]float32
	for i := range ones {
		ones[i] = 1
	}
	for first := 0; first < len(v.tables.values); first += piece {
		for i := range pattern {
			pattern[i] = BFloat16(first + i)
		}
		v.widen(x[:], pattern[:])
		v.gelu(y[:], x[:])
		v.narrow(v.tables.values[first:first+piece], y[:])
		v.geluBackward(v.tables.slopes[first:first+piece], ones[:], x[:])
	}
	return v.tables
}

type geluHalfJob struct {
	*geluTables
	y, x []BFloat16
}

func (j *geluHalfJob) run(e *Engine, _, from, to int) {
	e.vector.lookUp(j.y[from:to], j.x[from:to], &j.values)
}

type geluHalfBackwardJob struct {
	*geluTables
	dx, dy, x []BFloat16
}

func (j *geluHalfBackwardJob) run(e *Engine, _, from, to int) {
	e.vector.weigh(j.dx[from:to], j.dy[from:to], j.x[from:to], &j.slopes)
}

// lookUpPortable sets y to the entries of a table at x.
func lookUpPortable(y, x []BFloat16, table *tableOf[BFloat16]) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] = table[v]
	}
}

// weighPortable sets dx = dy times the entries of a table at x.
func weighPortable(dx, dy, x []BFloat16, table *tableOf[float32]) {
	dy, x = dy[:len(dx)], x[:len(dx)]
	for i, v := range x {
		dx[i] = stored[BFloat16](table[v] * value(dy[i]))
	}
}

func geluPortable(y, x []float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] = v * normalDistribution(v)
	}
}

func geluBackwardPortable(dx, dy, x []float32) {
	dy, x = dy[:len(dx)], x[:len(dx)]
	for i, v := range x {
		density := math.Exp(-0.5*float64(v)*float64(v)) / math.Sqrt(2*math.Pi)
		dx[i] = dy[i] * (normalDistribution(v) + v*float32(density))
	}
}

// normalDistribution is Φ(x) = erfc(−x/√2)/2, accurate relative to Φ in both tails.
func normalDistribution(x float32) float32 {
	return float32(0.5 * math.Erfc(-float64(x)/math.Sqrt2))
}
