package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitOptimizers emits the loops of optimizer.go.
func emitOptimizers(l *loops) {
	l.function("adamW", "func(p, g, m, v []float32, c *adamWFactors)")
	n, p := l.length("p"), l.arrays("p", "g", "m", "v")
	c := l.factors(9) // in the order of adamWFactors
	gradient, beta1, keep1, beta2, keep2, shrink, rate, root, epsilon := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
	l.over(n, func(s step) {
		g := s.load(p[1])
		l.VMULPS(gradient, g, g)
		m := s.load(p[2])
		l.VMULPS(beta1, m, m)
		l.VFMADD231PS(keep1, g, m)
		s.store(m, p[2])
		v := s.load(p[3])
		l.VMULPS(beta2, v, v)
		l.VMULPS(g, g, g)
		l.VFMADD231PS(keep2, g, v)
		s.store(v, p[3])
		l.VSQRTPS(v, v)
		l.VFMADD213PS(epsilon, root, v)
		l.VMULPS(rate, m, m)
		l.VDIVPS(v, m, m)
		w := s.load(p[0])
		l.VFMSUB213PS(m, shrink, w)
		s.store(w, p[0])
	})
	l.end()

	l.function("sgd", "func(p, g, momentum []float32, c *sgdFactors)")
	n, p = l.length("p"), l.arrays("p", "g", "momentum")
	c = l.factors(6) // in the order of sgdFactors
	gradient, decay, momentum, direct, buffered, rate := c[0], c[1], c[2], c[3], c[4], c[5]
	l.over(n, func(s step) {
		g, w, buffer := s.load(p[1]), s.load(p[0]), s.load(p[2])
		l.VMULPS(gradient, g, g)
		l.VFMADD231PS(decay, w, g)
		l.VFMADD213PS(g, momentum, buffer)
		s.store(buffer, p[2])
		l.VMULPS(direct, g, g)
		l.VFMADD231PS(buffered, buffer, g)
		l.VFNMADD231PS(rate, g, w)
		s.store(w, p[0])
	})
	l.end()
}

// factors broadcasts the first n fields of the struct behind parameter c.
func (l *loops) factors(n int) []reg.VecVirtual {
	base := l.integer("c")
	var all []reg.VecVirtual
	for i := range n {
		all = append(all, l.spread(Mem{Base: base, Disp: 4 * i}))
	}
	return all
}
