package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	T "gorgonia.org/tensor"

	"pretrain/internal/kernel"
)

// Do runs the operation inside gorgonia's tape machine, which tests use as an oracle for our executor. The engine is
// that of the first Compile of the graph. Programs never call Do.
func (op *operation) Do(inputs ...G.Value) (G.Value, error) {
	engine := op.ctx.graph.engine
	if engine == nil {
		return nil, fmt.Errorf("%v: the tape machine needs an engine: Compile the graph first", op)
	}
	out := make([]float32, op.shape.TotalSize())
	b := &buffers{out: kernel.F32(out)}
	for i, input := range inputs {
		data, err := floatsOf(input)
		if err != nil {
			return nil, fmt.Errorf("%v: input %d: %w", op, i, err)
		}
		b.in = append(b.in, kernel.F32(data))
	}
	for _, size := range op.side {
		b.side = append(b.side, kernel.F32(make([]float32, size)))
	}
	if op.saved != nil {
		b.saved = operationOf(op.saved).oracle
	}
	op.run(engine, b)()
	op.oracle = b.side
	if op.shape.IsScalar() {
		return G.NewF32(out[0]), nil
	}
	return T.New(T.WithShape(op.shape...), T.WithBacking(out)), nil
}

// floatsOf returns the numbers of a value of the tape machine.
func floatsOf(value G.Value) ([]float32, error) {
	switch data := value.Data().(type) {
	case []float32:
		return data, nil
	case float32:
		return []float32{data}, nil
	default:
		return nil, fmt.Errorf("a %T is not float32", data)
	}
}
