package main

// emitPool emits the loop of pool.go.
func emitPool(l *loops) {
	l.function("maximum", "func(y []float32, argmax []int32, x []float32, index int32)")
	n, p := l.length("y"), l.arrays("y", "argmax", "x")
	index := l.broadcast("index")
	l.over(n, func(s step) {
		y, winner, x := s.load(p[0]), s.load(p[1]), s.load(p[2])
		larger, nan := l.compare(x, greater, y), l.compare(x, unordered, x)
		for _, m := range []*mask{larger, nan} {
			m.merge(x, y)
			m.merge(index, winner)
		}
		s.store(y, p[0])
		s.store(winner, p[1])
	})
	l.end()
}
