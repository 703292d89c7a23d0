package main

// emitElementwise emits the loops of elementwise.go.
func emitElementwise(l *loops) {
	l.storages(func() { elementwise(l) })
}

func elementwise(l *loops) {
	l.function("add", "func(dst, a, b []T)")
	n, p := l.length("dst"), l.arrays("dst", "a", "b")
	l.over(n, func(s step) {
		v := s.load(p[1])
		l.VADDPS(s.load(p[2]), v, v)
		s.store(v, p[0])
	})
	l.end()

	l.function("scale", "func(dst, a []T, factor float32)")
	n, p = l.length("dst"), l.arrays("dst", "a")
	factor := l.broadcast("factor")
	l.over(n, func(s step) {
		v := s.load(p[1])
		l.VMULPS(factor, v, v)
		s.store(v, p[0])
	})
	l.end()

	l.function("relu", "func(y, x []T)")
	n, p = l.length("y"), l.arrays("y", "x")
	zero := l.zeros()
	l.over(n, func(s step) {
		v := s.load(p[1])
		l.VMAXPS(v, zero, v) // the first operand is the result where it is NaN
		s.store(v, p[0])
	})
	l.end()

	l.function("reluBackward", "func(dx, dy, y []T)")
	n, p = l.length("dx"), l.arrays("dx", "dy", "y")
	zero = l.zeros()
	l.over(n, func(s step) {
		gradient := s.load(p[1])
		l.compare(s.load(p[2]), greater, zero).keep(gradient)
		s.store(gradient, p[0])
	})
	l.end()
}
