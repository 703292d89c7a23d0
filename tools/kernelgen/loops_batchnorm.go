package main

// emitBatchNorm emits the loops of batchnorm.go.
func emitBatchNorm(l *loops) {
	l.storages(func() {
		normalize(l, false)
		normalize(l, true)
		normGradientSums(l, false)
		normGradientSums(l, true)
		normGradientApply(l)
	})
}

// normalize emits normalize, or normalizeAdd with a residual.
func normalize(l *loops, residual bool) {
	var skip array
	if residual {
		l.function("normalizeAdd", "func(y, x, residual []T, mean, factor, beta []float32, rows, cols int, floor float32)")
		skip = l.arrays("residual")[0]
	} else {
		l.function("normalize", "func(y, x []T, mean, factor, beta []float32, rows, cols int, floor float32)")
	}
	p := l.arrays("y", "x", "mean", "factor", "beta")
	rows, cols, floor := l.integer("rows"), l.integer("cols"), l.broadcast("floor")
	l.rows(rows, func() {
		l.over(cols, func(s step) {
			v := s.load(p[1])
			l.VSUBPS(s.load(p[2]), v, v)
			l.VFMADD213PS(s.load(p[4]), s.load(p[3]), v)
			if residual {
				l.VADDPS(s.load(skip), v, v)
			}
			l.VMAXPS(v, floor, v) // the first operand is the result where it is NaN
			s.store(v, p[0])
		})
		l.advance(cols, p[0], p[1])
		if residual {
			l.advance(cols, skip)
		}
	})
	l.end()
}

// normGradientSums emits normGradientSums, or normGradientSumsReLU, which cuts dy where y is and keeps that in dz.
func normGradientSums(l *loops, relu bool) {
	var dz, y array
	if relu {
		l.function("normGradientSumsReLU", "func(sums, products []float32, dz, dy, y, x []T, mean, rstd []float32, rows, cols int)")
		p := l.arrays("dz", "y")
		dz, y = p[0], p[1]
	} else {
		l.function("normGradientSums", "func(sums, products []float32, dy, x []T, mean, rstd []float32, rows, cols int)")
	}
	p := l.arrays("sums", "products", "dy", "x", "mean")
	sums, products, dy, x, mean := p[0], p[1], p[2], p[3], p[4]
	rows, cols, zero := l.integer("rows"), l.integer("cols"), l.zeros()
	l.clear(cols, sums, products)
	l.rows(rows, func() {
		l.over(cols, func(s step) {
			g, d, sum, product := s.load(dy), s.load(x), s.load(sums), s.load(products)
			if relu {
				l.compare(s.load(y), greater, zero).keep(g)
			}
			l.VADDPS(g, sum, sum)
			s.store(sum, sums)
			l.VSUBPS(s.load(mean), d, d)
			l.VFMADD231PS(g, d, product)
			s.store(product, products)
			if relu {
				s.store(g, dz)
			}
		})
		l.advance(cols, dy, x)
		if relu {
			l.advance(cols, dz, y)
		}
	})
	rstd := l.arrays("rstd")[0]
	l.over(cols, func(s step) {
		product := s.load(products)
		l.VMULPS(s.load(rstd), product, product)
		s.store(product, products)
	})
	l.end()
}

func normGradientApply(l *loops) {
	l.function("normGradientApply", "func(dx, dy, x []T, mean, factor, meanGradient, slope []float32, rows, cols int)")
	p := l.arrays("dx", "dy", "x", "mean", "factor", "meanGradient", "slope")
	rows, cols := l.integer("rows"), l.integer("cols")
	l.rows(rows, func() {
		l.over(cols, func(s step) {
			g, d := s.load(p[1]), s.load(p[2])
			l.VSUBPS(s.load(p[3]), d, d)
			l.VSUBPS(s.load(p[5]), g, g)
			l.VFNMADD231PS(s.load(p[6]), d, g)
			l.VMULPS(s.load(p[4]), g, g)
			s.store(g, p[0])
		})
		l.advance(cols, p[0], p[1], p[2])
	})
	l.end()
}
