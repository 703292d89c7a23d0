package main

import (
	"encoding/binary"
	"fmt"
	"go/types"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// span is a slice as an argument.
type span struct {
	*memory
	length int
}

// call runs a kernel on arguments of Go's kinds (pointers are memory, slices are spans) and returns the eight bytes of
// its result. They are laid out by Go's rules, not by avo's.
func (m *machine) call(p *program, arguments ...any) []byte {
	var frame []byte
	align := func(n int) {
		for len(frame)%n != 0 {
			frame = append(frame, 0xcc)
		}
	}
	integer := func(v uint64) { align(8); frame = binary.LittleEndian.AppendUint64(frame, v) }
	for _, a := range arguments {
		switch a := a.(type) {
		case *memory:
			integer(a.base)
		case span:
			integer(a.base)
			integer(uint64(a.length))
			integer(uint64(a.length))
		case int:
			integer(uint64(a))
		case float32:
			align(4)
			frame = binary.LittleEndian.AppendUint32(frame, math.Float32bits(a))
		case int32:
			align(4)
			frame = binary.LittleEndian.AppendUint32(frame, uint32(a))
		case bool:
			frame = append(frame, map[bool]byte{true: 1}[a])
		default:
			panic(fmt.Sprintf("arguments of type %T are not known", a))
		}
	}
	align(8)
	result := len(frame)
	m.run(p, append(frame, make([]byte, 8)...))
	return m.arguments.data[result:]
}

// storage is how an array lies in memory.
type storage int

const (
	singles  storage = iota // float32
	halves                  // bf16
	integers                // int32
)

// size is that of a number in bytes.
func (s storage) size() int {
	if s == halves {
		return 2
	}
	return 4
}

// rounded is the nearest number that the storage holds.
func (s storage) rounded(x float64) float64 {
	switch s {
	case halves:
		return float64(math.Float32frombits(uint32(nearestHalf(float32(x))) << 16))
	case integers:
		return math.Trunc(x)
	}
	return float64(float32(x))
}

// encode is numbers as bytes.
func (s storage) encode(values []float64) (data []byte) {
	for _, v := range values {
		switch s {
		case halves:
			data = binary.LittleEndian.AppendUint16(data, nearestHalf(float32(v)))
		case integers:
			data = binary.LittleEndian.AppendUint32(data, uint32(int32(v)))
		default:
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		}
	}
	return data
}

// decode is the inverse of encode.
func (s storage) decode(data []byte) (values []float64) {
	for ; len(data) > 0; data = data[s.size():] {
		switch s {
		case halves:
			values = append(values, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(data))<<16)))
		case integers:
			values = append(values, float64(int32(binary.LittleEndian.Uint32(data))))
		default:
			values = append(values, float64(math.Float32frombits(binary.LittleEndian.Uint32(data))))
		}
	}
	return values
}

// sample is a call of a loop: its parameters by name, and its numbers before or after.
type sample struct {
	rows, cols, stride, wide int // wide is a second stride
	numbers                  map[string]float64
	arrays                   map[string][]float64
	result                   float64
}

// a is an array, for short.
func (s *sample) a(name string) []float64 { return s.arrays[name] }

// each visits the elements of a rows×cols matrix; at is their place in rows stride apart.
func (s *sample) each(visit func(i, j, at int)) {
	for i := range s.rows {
		for j := range s.cols {
			visit(i, j, i*s.stride+j)
		}
	}
}

// mean is the mean of a row of values.
func (s *sample) mean(value func(j int) float64) float64 {
	total := 0.0
	for j := range s.cols {
		total += value(j)
	}
	return total / float64(s.cols)
}

// kernelCase is a loop and what it computes.
type kernelCase struct {
	arrays string // name:shape of each array, with "!" if it is written only
	least  int    // columns that it needs
	whole  bool   // cols is counted in vectors
	gap    bool   // rows have gaps between them
	exact  bool
	fill   func(s *sample) // changes the random numbers, where not all will do
	want   func(s *sample) // a naive reference in float64, in place
}

// extent is the number of elements of a shape: "rc" is rows times columns, "rs" rows a stride apart, "Rw" twice as many
// rows the other stride apart; a number is a number.
func (s *sample) extent(shape string) int {
	rows := map[byte]int{'r': s.rows, 'R': 2 * s.rows}
	switch {
	case shape == "c":
		return s.cols
	case shape == "r":
		return s.rows
	case len(shape) == 2 && rows[shape[0]] == 0 && strings.ContainsAny(shape, "rR"):
		return 0
	case len(shape) == 2 && shape[1] == 'c':
		return rows[shape[0]] * s.cols
	case len(shape) == 2 && shape[1] == 's':
		return (rows[shape[0]]-1)*s.stride + s.cols
	case len(shape) == 2 && shape[1] == 'w':
		return (rows[shape[0]]-1)*s.wide + s.cols
	}
	n := 0
	if _, err := fmt.Sscan(shape, &n); err != nil {
		panic("no shape " + shape)
	}
	return n
}

// parameters are those of a kernel.
func (p *program) parameters() *types.Tuple {
	return signatureOf("func" + p.Signature.String()).Params()
}

// storageOf is how what a parameter points to is stored; not all parameters point.
func storageOf(v *types.Var) (s storage, points bool) {
	name := v.Type().String()
	if !strings.HasPrefix(name, "[]") && !strings.HasPrefix(name, "*") {
		return 0, false
	}
	switch {
	case strings.HasSuffix(name, halfName):
		return halves, true
	case strings.HasSuffix(name, "int32"):
		return integers, true
	}
	return singles, true
}

// newSample draws the numbers of a call. What is only written, and gaps between rows, hold NaN before.
func (k kernelCase) newSample(p *program, rows, cols int, r *rand.Rand) *sample {
	s := &sample{rows: rows, cols: cols, stride: cols, wide: cols, arrays: map[string][]float64{}}
	if k.gap {
		s.stride, s.wide = cols+3, cols+5
	}
	s.numbers = map[string]float64{"rows": float64(rows), "cols": float64(cols), "stride": float64(s.stride), "dstStride": float64(s.stride), "srcStride": float64(s.wide)}
	shapes := map[string]string{}
	for _, field := range strings.Fields(k.arrays) {
		name, shape, _ := strings.Cut(field, ":")
		shapes[name] = shape
	}
	for v := range p.parameters().Variables() {
		form, points := storageOf(v)
		if !points {
			if _, ok := s.numbers[v.Name()]; !ok {
				s.numbers[v.Name()] = float64(float32(r.Float64()))
			}
			continue
		}
		shape, written := strings.CutSuffix(shapes[v.Name()], "!")
		values := make([]float64, s.extent(shape))
		for i := range values {
			values[i] = form.rounded(4*r.Float64() - 2)
			if gap := k.gap && i%s.step(shape) >= s.cols; written || gap {
				values[i] = math.NaN()
			}
		}
		s.arrays[v.Name()] = values
	}
	if k.fill != nil {
		k.fill(s)
	}
	return s
}

// step is the distance of rows of a shape.
func (s *sample) step(shape string) int {
	switch {
	case strings.HasSuffix(shape, "s"):
		return s.stride
	case strings.HasSuffix(shape, "w"):
		return s.wide
	}
	return math.MaxInt
}

// arguments puts the numbers of a call into the memory of a machine.
func (s *sample) arguments(m *machine, p *program) (arguments []any, held map[string]*memory) {
	held = map[string]*memory{}
	for v := range p.parameters().Variables() {
		form, points := storageOf(v)
		switch {
		case points:
			held[v.Name()] = m.allocate(form.encode(s.arrays[v.Name()]), true)
			arguments = append(arguments, held[v.Name()])
			if _, slice := v.Type().(*types.Slice); slice {
				arguments[len(arguments)-1] = span{held[v.Name()], len(s.arrays[v.Name()])}
			}
		case v.Type().String() == "float32":
			arguments = append(arguments, float32(s.numbers[v.Name()]))
		case v.Type().String() == "int32":
			arguments = append(arguments, int32(s.numbers[v.Name()]))
		default:
			arguments = append(arguments, int(s.numbers[v.Name()]))
		}
	}
	return arguments, held
}

// run calls the kernel and holds everything it may touch against the reference.
func (k kernelCase) run(t *testing.T, p *program, s *sample) {
	t.Helper()
	m := newMachine()
	arguments, held := s.arguments(m, p)
	var result []byte
	if stopped := fault(func() { result = m.call(p, arguments...) }); stopped != "" {
		t.Fatalf("%d rows of %d: %s", s.rows, s.cols, stopped)
	}
	k.want(s)
	for v := range p.parameters().Variables() {
		if form, points := storageOf(v); points {
			k.compare(t, s, v.Name(), form, form.decode(held[v.Name()].data))
		}
	}
	s.compareResult(t, p, result)
}

// compare holds an array against the reference.
func (k kernelCase) compare(t *testing.T, s *sample, name string, form storage, got []float64) {
	t.Helper()
	tolerance := map[storage]float64{singles: 2e-6, halves: 1. / 250}[form]
	if k.exact {
		tolerance = 0
	}
	for i, want := range s.a(name) {
		if !near(got[i], want, tolerance) {
			t.Fatalf("%d rows of %d: %s[%d] is %g, want %g", s.rows, s.cols, name, i, got[i], want)
		}
	}
}

// near reports whether two numbers are the same up to rounding; NaN is near NaN alone.
func near(got, want, tolerance float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return math.IsNaN(got) == math.IsNaN(want) && (got == want || math.IsNaN(want))
	}
	return math.Abs(got-want) <= tolerance*(4+math.Abs(want))
}

// compareResult holds what a kernel returns against the reference.
func (s *sample) compareResult(t *testing.T, p *program, data []byte) {
	t.Helper()
	results := signatureOf("func" + p.Signature.String()).Results()
	if results.Len() == 0 {
		return
	}
	got := 0.0
	switch results.At(0).Type().String() {
	case "float64":
		got = math.Float64frombits(binary.LittleEndian.Uint64(data))
	case "float32":
		got = float64(math.Float32frombits(binary.LittleEndian.Uint32(data)))
	case "bool":
		got = float64(data[0])
	}
	if !near(got, s.result, 1e-6) {
		t.Fatalf("%d rows of %d: the result is %g, want %g", s.rows, s.cols, got, s.result)
	}
}
