package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Initializer fills the value of a new parameter from its own stream of random numbers.
type Initializer func(r *rand.Rand, p *Parameter) error

// fill makes an Initializer that draws every element on its own.
func fill(draw func(r *rand.Rand) float64) Initializer {
	return func(r *rand.Rand, p *Parameter) error {
		for i := range p.Value {
			p.Value[i] = float32(draw(r))
		}
		return nil
	}
}

// Zeros starts at 0.
func Zeros() Initializer { return fill(func(*rand.Rand) float64 { return 0 }) }

// Ones starts at 1.
func Ones() Initializer { return fill(func(*rand.Rand) float64 { return 1 }) }

// TruncatedNormal draws from a normal distribution of mean 0 and the given standard deviation, cut off at two of them
// (the initialisation of ViT, with 0.02).
func TruncatedNormal(std float64) Initializer {
	return fill(func(r *rand.Rand) float64 {
		for {
			if x := r.NormFloat64(); math.Abs(x) <= 2 {
				return x * std
			}
		}
	})
}

// KaimingNormal draws from a normal distribution of variance 2/fanOut (He et al. 2015, eq. 14), where fanOut is
// filters × kernel area for a convolution.
func KaimingNormal(fanOut int) Initializer {
	std := math.Sqrt(2 / float64(fanOut))
	return fill(func(r *rand.Rand) float64 { return r.NormFloat64() * std })
}

// XavierUniform draws uniformly from ±√(6/(fanIn+fanOut)) (Glorot & Bengio 2010, eq. 16).
func XavierUniform(fanIn, fanOut int) Initializer {
	limit := math.Sqrt(6 / float64(fanIn+fanOut))
	return fill(func(r *rand.Rand) float64 { return (2*r.Float64() - 1) * limit })
}

// Values takes the numbers that the function returns, row-major; it is called only when the parameter is new.
func Values(values func() []float32) Initializer {
	return func(_ *rand.Rand, p *Parameter) error {
		v := values()
		if len(v) != len(p.Value) {
			return fmt.Errorf("the initial values are %d numbers: %d are needed", len(v), len(p.Value))
		}
		copy(p.Value, v)
		return nil
	}
}
