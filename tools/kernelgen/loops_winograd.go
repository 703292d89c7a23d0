package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitWinograd emits the transforms of winograd.go: L·D·Lᵀ for a matrix D of vectors over channels and a small constant
// matrix L. Those of maps come for float32 and for bf16, which is widened and rounded in registers.
func emitWinograd(l *loops) {
	w := &winograd{loops: l}
	l.storages(func() {
		w.scatter("winogradInput", 6, "[36]", w.input())
		w.scatter("winogradGradient", 4, "[16]", w.gradient())
		w.gather("winogradOutput", 4, "[16]", w.output())
	})
	w.scatter("winogradWeights", 3, "[9]", w.weights())
	w.gather("winogradWeightsGradient", 3, "[9]", w.weightsGradient())
}

// winograd emits transforms.
type winograd struct {
	*loops
	held map[float64]reg.VecVirtual // constants in registers, where there are enough
}

// line is a transform of one row or column: groups of results that share terms, so that only two rows of the first
// pass stand in registers.
type line []group

// group is some consecutive results of a line, computed from its elements by emit.
type group struct {
	results []int
	emit    func(d elements) []reg.VecVirtual
}

// elements are those of one line: at gives one to read, fresh one to overwrite.
type elements struct{ at, fresh func(i int) reg.VecVirtual }

// begin begins a function and loads the constants it needs.
func (w *winograd) begin(name, signature string, constants ...float64) {
	w.function(name, signature)
	w.held = map[float64]reg.VecVirtual{}
	for _, c := range constants {
		if w.wide() {
			w.held[c] = w.vector()
			w.VMOVUPS(w.constant(c), w.held[c])
		}
	}
}

// factor is a constant as an operand of a multiplication.
func (w *winograd) factor(value float64) Op {
	if r, ok := w.held[value]; ok {
		return r
	}
	return w.constant(value)
}

// add and subtract return a + b and a - b in a fresh register.
func (w *winograd) add(a, b reg.VecVirtual) reg.VecVirtual {
	v := w.vector()
	w.VADDPS(b, a, v)
	return v
}

func (w *winograd) subtract(a, b reg.VecVirtual) reg.VecVirtual {
	v := w.vector()
	w.VSUBPS(b, a, v)
	return v
}

// plus adds factor·x to sum in place.
func (w *winograd) plus(sum reg.VecVirtual, factor float64, x reg.VecVirtual) reg.VecVirtual {
	if factor < 0 {
		w.VFNMADD231PS(w.factor(-factor), x, sum)
	} else {
		w.VFMADD231PS(w.factor(factor), x, sum)
	}
	return sum
}

// times multiplies v in place.
func (w *winograd) times(v reg.VecVirtual, factor float64) reg.VecVirtual {
	w.VMULPS(w.factor(factor), v, v)
	return v
}

// both returns even + odd and even - odd.
func (w *winograd) both(even, odd reg.VecVirtual) []reg.VecVirtual {
	return []reg.VecVirtual{w.add(even, odd), w.subtract(even, odd)}
}

// one makes a group of one result.
func one(result int, emit func(d elements) reg.VecVirtual) group {
	return group{[]int{result}, func(d elements) []reg.VecVirtual { return []reg.VecVirtual{emit(d)} }}
}

// input is Bᵀ.
func (w *winograd) input() line {
	return line{
		one(0, func(d elements) reg.VecVirtual { return w.plus(w.plus(d.fresh(4), -5, d.at(2)), 4, d.at(0)) }),
		{[]int{1, 2}, func(d elements) []reg.VecVirtual {
			return w.both(w.plus(d.fresh(4), -4, d.at(2)), w.plus(d.fresh(3), -4, d.at(1)))
		}},
		{[]int{3, 4}, func(d elements) []reg.VecVirtual {
			even, odd := w.subtract(d.at(4), d.at(2)), w.subtract(d.at(3), d.at(1))
			low := w.vector()
			w.VMOVAPS(even, low)
			return []reg.VecVirtual{w.plus(even, 2, odd), w.plus(low, -2, odd)}
		}},
		one(5, func(d elements) reg.VecVirtual { return w.plus(w.plus(d.fresh(5), -5, d.at(3)), 4, d.at(1)) }),
	}
}

// gradient is A.
func (w *winograd) gradient() line {
	return line{
		one(0, func(d elements) reg.VecVirtual { return d.fresh(0) }),
		{[]int{1, 2}, func(d elements) []reg.VecVirtual {
			return w.both(w.add(d.at(0), d.at(2)), w.add(d.at(1), d.at(3)))
		}},
		{[]int{3, 4}, func(d elements) []reg.VecVirtual {
			return w.both(w.plus(d.fresh(0), 4, d.at(2)), w.plus(w.times(d.fresh(3), 8), 2, d.at(1)))
		}},
		one(5, func(d elements) reg.VecVirtual { return d.fresh(3) }),
	}
}

// weights is G.
func (w *winograd) weights() line {
	return line{
		one(0, func(d elements) reg.VecVirtual { return w.times(d.fresh(0), 1./4) }),
		{[]int{1, 2}, func(d elements) []reg.VecVirtual {
			even, odd := w.times(w.add(d.at(0), d.at(2)), -1./6), w.times(d.fresh(1), -1./6)
			return w.both(even, odd)
		}},
		{[]int{3, 4}, func(d elements) []reg.VecVirtual {
			even, odd := w.plus(w.times(d.fresh(0), 1./24), 1./6, d.at(2)), w.times(d.fresh(1), 1./12)
			return w.both(even, odd)
		}},
		one(5, func(d elements) reg.VecVirtual { return d.fresh(2) }),
	}
}

// output is Aᵀ. Results that share terms are not neighbours: 0 and 2, 1 and 3.
func (w *winograd) output() line {
	return line{
		{[]int{0, 2}, func(d elements) []reg.VecVirtual {
			near, far := w.add(d.at(1), d.at(2)), w.add(d.at(3), d.at(4))
			first := w.add(w.add(d.at(0), near), far)
			return []reg.VecVirtual{first, w.plus(near, 4, far)}
		}},
		{[]int{1, 3}, func(d elements) []reg.VecVirtual {
			near, far := w.subtract(d.at(1), d.at(2)), w.subtract(d.at(3), d.at(4))
			last := w.plus(w.add(near, d.at(5)), 8, far)
			return []reg.VecVirtual{w.plus(near, 2, far), last}
		}},
	}
}

// weightsGradient is Gᵀ.
func (w *winograd) weightsGradient() line {
	return line{
		{[]int{0, 2}, func(d elements) []reg.VecVirtual {
			near, far := w.add(d.at(1), d.at(2)), w.add(d.at(3), d.at(4))
			first := w.plus(w.plus(w.times(d.fresh(0), 1./4), -1./6, near), 1./24, far)
			last := w.plus(w.plus(d.fresh(5), -1./6, near), 1./6, far)
			return []reg.VecVirtual{first, last}
		}},
		one(1, func(d elements) reg.VecVirtual {
			return w.plus(w.times(w.subtract(d.at(3), d.at(4)), 1./12), -1./6, w.subtract(d.at(1), d.at(2)))
		}),
	}
}

var winogradConstants = []float64{4, 5, 2, 8, 1. / 4, 1. / 6, -1. / 6, 1. / 12, 1. / 24}

// once reads each element at most once, by load, which gives a fresh register.
func once(load func(i int) reg.VecVirtual) elements {
	read := map[int]reg.VecVirtual{}
	return elements{
		at: func(i int) reg.VecVirtual {
			if _, ok := read[i]; !ok {
				read[i] = load(i)
			}
			return read[i]
		},
		fresh: load,
	}
}

// passes emits the first pass down the columns and the second along the rows of its results, group by group.
func (w *winograd) passes(l line, columns int, load func(row, column int) reg.VecVirtual, store func(v reg.VecVirtual, row, column int), rowDone func(row int)) {
	for _, g := range l {
		rows := make([][]reg.VecVirtual, len(g.results))
		for column := range columns {
			for i, v := range g.emit(once(func(row int) reg.VecVirtual { return load(row, column) })) {
				rows[i] = append(rows[i], v)
			}
		}
		for i, row := range g.results {
			in := elements{at: func(k int) reg.VecVirtual { return rows[i][k] }, fresh: func(k int) reg.VecVirtual {
				v := w.vector()
				w.VMOVAPS(rows[i][k], v)
				return v
			}}
			for _, across := range l {
				for k, v := range across.emit(in) {
					store(v, row, across.results[k])
				}
			}
			rowDone(row)
		}
	}
}

// table reads entry k of a table of pointers.
func (w *winograd) table(table reg.GPVirtual, k int) array {
	p := w.GP64()
	w.MOVQ(Mem{Base: table, Disp: 8 * k}, p)
	return array{p, w.half}
}

// scatter emits a transform of side×side vectors at the places of a table into 6×6 vectors a stride apart.
func (w *winograd) scatter(name string, side int, size string, l line) {
	w.begin(name, "func(dst []float32, stride int, places *"+size+"place, n int)", winogradConstants...)
	dst, n := w.arrays("dst")[0], w.integer("n")
	taps, stride := w.integer("places"), w.integer("stride")
	w.SHLQ(Imm(2), stride)
	triple, fivefold := w.GP64(), w.GP64()
	w.LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, triple)
	w.LEAQ(Mem{Base: stride, Index: stride, Scale: 4}, fivefold)
	w.over(n, func(s step) {
		to := w.GP64()
		w.LEAQ(s.at(dst), to)
		places := []Mem{{Base: to}, {Base: to, Index: stride, Scale: 1}, {Base: to, Index: stride, Scale: 2}, {Base: to, Index: triple, Scale: 1}, {Base: to, Index: stride, Scale: 4}, {Base: to, Index: fivefold, Scale: 1}}
		w.passes(l, side,
			func(row, column int) reg.VecVirtual { return s.load(w.table(taps, row*side+column)) },
			func(v reg.VecVirtual, _, column int) { s.put(v, places[column]) },
			func(int) { w.LEAQ(Mem{Base: to, Index: triple, Scale: 2}, to) })
	})
	w.end()
}

// gather emits a transform of 6×6 vectors a stride apart into side×side vectors at the places of a table.
func (w *winograd) gather(name string, side int, size string, l line) {
	w.begin(name, "func(places *"+size+"place, src []float32, stride, n int)", winogradConstants...)
	src, n := w.arrays("src")[0], w.integer("n")
	taps, stride := w.integer("places"), w.integer("stride")
	w.SHLQ(Imm(2), stride)
	down, triple, fivefold := w.GP64(), w.GP64(), w.GP64()
	w.LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, down)
	w.ADDQ(down, down)
	w.LEAQ(Mem{Base: down, Index: down, Scale: 2}, triple)
	w.LEAQ(Mem{Base: down, Index: down, Scale: 4}, fivefold)
	results := w.results(side * side)
	w.over(n, func(s step) {
		from, last := w.GP64(), 6
		places := []Mem{{Base: from}, {Base: from, Index: down, Scale: 1}, {Base: from, Index: down, Scale: 2}, {Base: from, Index: triple, Scale: 1}, {Base: from, Index: down, Scale: 4}, {Base: from, Index: fivefold, Scale: 1}}
		w.passes(l, 6,
			func(row, column int) reg.VecVirtual {
				switch {
				case column < last:
					w.LEAQ(s.at(src), from)
				case column > last:
					w.ADDQ(stride, from)
				}
				last = column
				return s.get(places[row])
			},
			func(v reg.VecVirtual, row, column int) {
				if k := row*side + column; results != nil {
					w.VMOVUPS(v, results[k])
				} else {
					s.store(v, w.table(taps, k))
				}
			},
			func(int) {})
		for k, from := range results {
			v := w.vector()
			w.VMOVUPS(from, v)
			s.store(v, w.table(taps, k))
		}
	})
	w.end()
}

// results is where n results wait to be rounded when the registers are full without what rounding needs; else none.
func (w *winograd) results(n int) []Mem {
	if w.wide() || !w.half {
		return nil
	}
	room, all := w.AllocLocal(n*w.bytes), make([]Mem, n)
	for i := range all {
		all[i] = room.Offset(i * w.bytes)
	}
	return all
}

// get and put are load and store at any address.
func (s step) get(from Mem) reg.VecVirtual {
	v := s.vector()
	if s.tail != nil {
		s.tail.load(from, v)
	} else {
		s.VMOVUPS(from, v)
	}
	return v
}

func (s step) put(v reg.VecVirtual, to Mem) {
	if s.tail != nil {
		s.tail.store(v, to)
	} else {
		s.VMOVUPS(v, to)
	}
}
