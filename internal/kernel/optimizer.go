package kernel

import "math"

// AdamWStep are the numbers of one AdamW update (Loshchilov & Hutter 2019, algorithm 2).
type AdamWStep struct {
	LearningRate  float64 // α·η, with the schedule applied
	Beta1, Beta2  float64 // decay rates of the running mean of the gradient and of its square
	Epsilon       float64 // added to the root of the corrected mean square
	WeightDecay   float64 // decoupled decay λ: the weights shrink by LearningRate·λ each step
	Step          int     // number of this update, counted from 1; decides the bias corrections 1−βᵗ
	GradientScale float64 // the gradient is multiplied by it first (clipping, averaging); 1 = as it is
}

// SGDStep are the numbers of one update by stochastic gradient descent with momentum, as torch defines them: weight
// decay is added to the gradient, and the momentum buffer holds μ·buffer + gradient without dampening.
type SGDStep struct {
	LearningRate  float64 // step length, with the schedule applied
	Momentum      float64 // μ; 0 = plain gradient descent
	Nesterov      bool    // step along gradient + μ·buffer instead of along the buffer (Sutskever et al. 2013)
	WeightDecay   float64 // L2 decay: λ·parameter is added to the scaled gradient
	GradientScale float64 // the gradient is multiplied by it first (clipping, averaging); 1 = as it is
}

// adamWFactors are an AdamWStep's numbers as the inner loop takes them; the assembly reads them by offset.
type adamWFactors struct {
	gradient float32 // GradientScale
	beta1    float32
	keep1    float32 // 1 − Beta1
	beta2    float32
	keep2    float32 // 1 − Beta2
	shrink   float32 // 1 − LearningRate·WeightDecay
	rate     float32 // LearningRate/(1 − Beta1ᵗ)
	root     float32 // 1/√(1 − Beta2ᵗ)
	epsilon  float32
}

// sgdFactors are an SGDStep's numbers as the inner loop takes them; the assembly reads them by offset.
type sgdFactors struct {
	gradient float32 // GradientScale
	decay    float32 // WeightDecay
	momentum float32
	direct   float32 // share of the gradient in the step: 1 for Nesterov, else 0
	buffered float32 // share of the momentum buffer in the step: Momentum for Nesterov, else 1
	rate     float32
}

// AdamW updates the parameters p and the moments m and v in one pass over the gradient g:
// m = β1·m + (1−β1)·g, v = β2·v + (1−β2)·g², p −= LearningRate·(m̂/(√v̂ + ε) + λ·p) with m̂ and v̂ corrected for their
// start at zero. The slices are of one length and do not overlap.
func (e *Engine) AdamW(p, g, m, v []float32, h AdamWStep) {
	n := len(p)
	share(e, &e.jobs.adamW, adamWJob{p, g[:n], m[:n], v[:n], h.factors()}, n, elementChunk)
}

type adamWJob struct {
	p, g, m, v []float32
	factors    adamWFactors
}

func (j *adamWJob) run(e *Engine, _, from, to int) {
	e.vector.adamW(j.p[from:to], j.g[from:to], j.m[from:to], j.v[from:to], &j.factors)
}

// SGD updates the parameters p and the momentum buffer (all zeros before the first step) in one pass over the
// gradient g. The slices are of one length and do not overlap.
func (e *Engine) SGD(p, g, momentum []float32, h SGDStep) {
	n := len(p)
	share(e, &e.jobs.sgd, sgdJob{p, g[:n], momentum[:n], h.factors()}, n, elementChunk)
}

type sgdJob struct {
	p, g, momentum []float32
	factors        sgdFactors
}

func (j *sgdJob) run(e *Engine, _, from, to int) {
	e.vector.sgd(j.p[from:to], j.g[from:to], j.momentum[from:to], &j.factors)
}

func (h AdamWStep) factors() adamWFactors {
	correction1 := 1 - math.Pow(h.Beta1, float64(h.Step))
	correction2 := 1 - math.Pow(h.Beta2, float64(h.Step))
	return adamWFactors{
		gradient: float32(h.GradientScale),
		beta1:    float32(h.Beta1), keep1: float32(1 - h.Beta1),
		beta2: float32(h.Beta2), keep2: float32(1 - h.Beta2),
		shrink: float32(1 - h.LearningRate*h.WeightDecay),
		rate:   float32(h.LearningRate / correction1), root: float32(1 / math.Sqrt(correction2)),
		epsilon: float32(h.Epsilon),
	}
}

func (h SGDStep) factors() sgdFactors {
	f := sgdFactors{
		gradient: float32(h.GradientScale), decay: float32(h.WeightDecay), momentum: float32(h.Momentum),
		buffered: 1, rate: float32(h.LearningRate),
	}
	if h.Nesterov {
		f.direct, f.buffered = 1, f.momentum
	}
	return f
}

func adamWPortable(p, g, m, v []float32, c *adamWFactors) {
	g, m, v = g[:len(p)], m[:len(p)], v[:len(p)]
	for i := range p {
		gradient := c.gradient * g[i]
		m[i] = c.beta1*m[i] + c.keep1*gradient
		v[i] = c.beta2*v[i] + c.keep2*gradient*gradient
		root := float32(math.Sqrt(float64(v[i])))*c.root + c.epsilon
		p[i] = c.shrink*p[i] - c.rate*m[i]/root
	}
}

func sgdPortable(p, g, momentum []float32, c *sgdFactors) {
	g, momentum = g[:len(p)], momentum[:len(p)]
	for i := range p {
		gradient := c.gradient*g[i] + c.decay*p[i]
		momentum[i] = c.momentum*momentum[i] + gradient
		p[i] -= c.rate * (c.direct*gradient + c.buffered*momentum[i])
	}
}
