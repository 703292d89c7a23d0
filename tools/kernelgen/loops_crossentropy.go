package main

import "math"

// emitSoftmax emits the loops of crossentropy.go.
func emitSoftmax(l *loops) {
	emitCombine(l)
	emitSoftmaxRows(l)
	emitExponentialRows(l)
	emitSoftmaxBackward(l)
}

func emitCombine(l *loops) {
	l.function("combine", "func(a, b []float32, factorA, factorB float32)")
	n, p := l.length("a"), l.arrays("a", "b")
	factorA, factorB := l.broadcast("factorA"), l.broadcast("factorB")
	l.over(n, func(s step) {
		v := s.load(p[0])
		l.VMULPS(factorA, v, v)
		l.VFMADD231PS(s.load(p[1]), factorB, v)
		s.store(v, p[0])
	})
	l.end()
}

func emitSoftmaxRows(l *loops) {
	l.function("softmaxRows", "func(p, maxima, sums, x []float32, rows, cols, stride int, factor float32)")
	p := l.arrays("p", "maxima", "sums", "x")
	rows, cols, stride, factor := l.integer("rows"), l.integer("cols"), l.integer("stride"), l.broadcast("factor")
	lowest := l.constant(math.Inf(-1))
	l.rows(rows, func() {
		largest := l.vector()
		l.VMOVUPS(lowest, largest)
		l.over(cols, func(s step) {
			v := s.load(p[3])
			l.VMULPS(factor, v, v)
			s.fill(v, lowest)
			l.VMAXPS(v, largest, largest)
		})
		top := l.fold(largest, l.VMAXPS)
		l.VMOVSS(top, at(p[1]))
		shift, sum := l.spread(top), l.zeros()
		l.over(cols, func(s step) {
			v := s.load(p[3])
			l.VFMSUB213PS(shift, factor, v)
			l.exponential(v)
			s.keep(v)
			l.VADDPS(v, sum, sum)
			s.store(v, p[0])
		})
		l.VMOVSS(l.fold(sum, l.VADDPS), at(p[2]))
		l.advance(stride, p[0], p[3])
		l.next(p[1], p[2])
	})
	l.end()
}

func emitExponentialRows(l *loops) {
	l.function("exponentialRows", "func(p, x, shift []float32, rows, cols, stride int, factor float32)")
	p := l.arrays("p", "x", "shift")
	rows, cols, stride, factor := l.integer("rows"), l.integer("cols"), l.integer("stride"), l.broadcast("factor")
	l.rows(rows, func() {
		shift := l.spread(at(p[2]))
		l.over(cols, func(s step) {
			v := s.load(p[1])
			l.VFMSUB213PS(shift, factor, v)
			l.exponential(v)
			s.store(v, p[0])
		})
		l.advance(stride, p[0], p[1])
		l.next(p[2])
	})
	l.end()
}

func emitSoftmaxBackward(l *loops) {
	l.function("softmaxBackward", "func(dx, p, dp, delta []float32, rows, cols, stride int, factor float32)")
	p := l.arrays("dx", "p", "dp", "delta")
	rows, cols, stride, factor := l.integer("rows"), l.integer("cols"), l.integer("stride"), l.broadcast("factor")
	l.rows(rows, func() {
		delta := l.spread(at(p[3]))
		l.over(cols, func(s step) {
			g := s.load(p[2])
			l.VSUBPS(delta, g, g)
			l.VMULPS(factor, g, g)
			l.VMULPS(s.load(p[1]), g, g)
			s.store(g, p[0])
		})
		l.advance(stride, p[0], p[1], p[2])
		l.next(p[3])
	})
	l.end()
}
