package kernel

import (
	"math"
	"time"
)

// Measurement is how fast one family multiplies on this machine.
type Measurement struct {
	Family            Family
	Float32, BFloat16 float64 // products of either kind in operations a second; a multiplication and an addition are two
	Preferred         bool    // the table over CPU models puts the family first
	// Agrees says that the table is right about the family: a preferred one is the fastest, the others are not faster
	// than the preferred one, and MultipliesBFloat16 tells which of the two products is faster.
	Agrees bool
}

// Rate is the rate in the precision that "auto" chooses for the family.
func (m Measurement) Rate() float64 {
	if m.Family.MultipliesBFloat16() {
		return m.BFloat16
	}
	return m.Float32
}

// calibrationMargin is the share by which a rate must be better to contradict the table: repeated measurements differ.
const calibrationMargin = 0.05

// Calibrate measures every family that runs here with all cores, each product for about the duration given and at
// least once, and compares the rates with the table over CPU models. It changes nothing: a choice by measurement could
// give the same run other bits tomorrow. Where the table is wrong, PRETRAIN_KERNELS overrides it, and the table wants a
// line. Other work on the machine spoils the measurement.
func Calibrate(duration time.Duration) []Measurement {
	all := make([]Measurement, 0, len(AllFamilies()))
	for i, family := range Families() {
		e, err := New(Options{Family: family})
		if err != nil {
			panic(err) // New runs what Families lists
		}
		m := Measurement{Family: family, Preferred: i == 0}
		m.Float32, m.BFloat16 = e.productRate(false, duration), e.productRate(true, duration)
		e.Close()
		all = append(all, m)
	}
	compare(all)
	return all
}

// compare sets Agrees; the first measurement is of the preferred family.
func compare(all []Measurement) {
	better := func(a, b float64) bool { return a > (1+calibrationMargin)*b }
	for i := range all {
		m := &all[i]
		other := m.Float32
		if !m.Family.MultipliesBFloat16() {
			other = m.BFloat16
		}
		m.Agrees = !better(other, m.Rate()) && !better(m.Rate(), all[0].Rate())
		if m.Preferred {
			for _, rival := range all[1:] {
				m.Agrees = m.Agrees && !better(rival.Rate(), m.Rate())
			}
		}
	}
}

// productRate is the best rate of a product of activations and weights, the size of a linear layer of a small ViT.
func (e *Engine) productRate(pairs bool, duration time.Duration) float64 {
	const rows, in, out = 1024, 384, 768
	x, y := F32(make([]float32, rows*in)), F32(make([]float32, rows*out))
	if pairs {
		x, y = BF16(make([]BFloat16, rows*in)), BF16(make([]BFloat16, rows*out))
	}
	for i := range rows * in {
		x.set(i, float32(i%7-3)/4)
	}
	weights := make([]float32, in*out)
	for i := range weights {
		weights[i] = float32(i%5-2) / 4
	}
	p := Product{M: rows, N: out, K: in, A: Operand{x, in, 1}, B: Operand{F32(weights), 1, in}, C: y, CStride: out}
	best, end := time.Duration(math.MaxInt64), time.Now().Add(duration)
	for {
		start := time.Now()
		e.MatMul(p)
		best = min(best, max(1, time.Since(start)))
		if !time.Now().Before(end) {
			return 2 * rows * in * out / best.Seconds()
		}
	}
}
