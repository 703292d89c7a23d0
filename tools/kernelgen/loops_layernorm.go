package main

import "github.com/mmcloughlin/avo/reg"

// emitLayerNorm emits the loops of layernorm.go.
func emitLayerNorm(l *loops) {
	l.storages(func() {
		layerNorm(l)
		layerNormBackward(l)
	})
}

func layerNorm(l *loops) {
	l.function("layerNorm", "func(y []T, mean, rstd []float32, x []T, gamma, beta []float32, rows, cols int, eps float32)")
	p := l.arrays("y", "mean", "rstd", "x", "gamma", "beta")
	y, mean, rstd, x, gamma, beta := p[0], p[1], p[2], p[3], p[4], p[5]
	rows, cols := l.integer("rows"), l.integer("cols")
	body := func(n int) { // of n rows at once, whose sums and divisions need not wait for each other
		in, out := l.successive(x, cols, n), l.successive(y, cols, n)
		sums, squares := l.vectors(n), l.vectors(n)
		center, inverse := make([]reg.VecVirtual, n), make([]reg.VecVirtual, n)
		for i := range n {
			l.zero(sums[i])
			l.zero(squares[i])
		}
		for i := range n {
			l.over(cols, func(s step) { l.VADDPS(s.load(in[i]), sums[i], sums[i]) })
		}
		for i := range n {
			center[i] = l.rowMean(sums[i], cols)
			l.VMOVSS(center[i].AsX(), at(mean).Offset(4*i))
		}
		l.over(cols, func(s step) {
			for i := range n {
				d := s.load(in[i])
				l.VSUBPS(center[i], d, d)
				s.keep(d)
				l.VFMADD231PS(d, d, squares[i])
			}
		})
		for i := range n {
			variance, one := l.rowMean(squares[i], cols), l.vector()
			l.VADDPS(l.broadcast("eps"), variance, variance)
			l.VSQRTPS(variance, variance)
			l.VMOVUPS(l.constant(1), one)
			l.VDIVPS(variance, one, variance)
			l.VMOVSS(variance.AsX(), at(rstd).Offset(4*i))
			inverse[i] = variance
		}
		for i := range n {
			l.over(cols, func(s step) {
				h := s.load(in[i])
				l.VSUBPS(center[i], h, h)
				l.VMULPS(inverse[i], h, h)
				l.VFMADD213PS(s.load(beta), s.load(gamma), h)
				s.store(h, out[i])
			})
		}
		for range n {
			l.advance(cols, x, y)
			l.next(mean, rstd)
		}
	}
	if l.half { // float32 waits for memory rather than for sums
		l.rowsBy(2, rows, func() { body(2) })
	}
	l.rows(rows, func() { body(1) })
	l.end()
}

func layerNormBackward(l *loops) {
	l.function("layerNormBackward", "func(dx []T, dgamma, dbeta []float32, dy, x []T, gamma, mean, rstd []float32, rows, cols int)")
	p := l.arrays("dx", "dgamma", "dbeta", "dy", "x", "gamma", "mean", "rstd")
	dx, dgamma, dbeta, dy := p[0], p[1], p[2], p[3]
	x, gamma, mean, rstd := p[4], p[5], p[6], p[7]
	rows, cols := l.integer("rows"), l.integer("cols")
	l.rows(rows, func() {
		center, inverse := l.spread(at(mean)), l.spread(at(rstd))
		sum, product := l.zeros(), l.zeros()
		l.over(cols, func(s step) {
			h, gradient, g := s.load(x), s.load(dy), s.load(gamma)
			l.VSUBPS(center, h, h)
			l.VMULPS(inverse, h, h)
			l.VMULPS(gradient, g, g) // zero beyond the tail, which also keeps h out of the sums
			l.VADDPS(g, sum, sum)
			l.VFMADD231PS(g, h, product)
			total := s.load(dbeta)
			l.VADDPS(gradient, total, total)
			s.store(total, dbeta)
			weighted := s.load(dgamma)
			l.VFMADD231PS(gradient, h, weighted)
			s.store(weighted, dgamma)
		})
		meanGradient, meanProduct := l.rowMean(sum, cols), l.rowMean(product, cols)
		l.over(cols, func(s step) {
			h, g := s.load(x), s.load(dy)
			l.VSUBPS(center, h, h)
			l.VMULPS(inverse, h, h)
			l.VFMSUB213PS(meanGradient, s.load(gamma), g)
			l.VFNMADD231PS(meanProduct, h, g)
			l.VMULPS(inverse, g, g)
			s.store(g, dx)
		})
		l.advance(cols, x, dx, dy)
		l.next(mean, rstd)
	})
	l.end()
}

// rowMean is the sum of all lanes divided by an integer, in all lanes.
func (l *loops) rowMean(sum reg.VecVirtual, count reg.GPVirtual) reg.VecVirtual {
	total, divisor := l.fold(sum, l.VADDPS), l.XMM()
	l.VXORPS(divisor, divisor, divisor)
	l.VCVTSI2SSQ(count, divisor, divisor)
	l.VDIVSS(divisor, total, total)
	return l.spread(total)
}
