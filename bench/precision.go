package bench

import "fmt"

// Precision is the number format of activations and working weights.
type Precision string

// The precisions.
const (
	Float32  Precision = "fp32"
	BFloat16 Precision = "bf16"
)

// check reports a precision that this build does not compute in.
func (p Precision) check() error {
	if p == BFloat16 {
		return fmt.Errorf("precision %s: bf16 not available; take %s", p, Float32)
	}
	return nil
}

// PrecisionNames lists the precisions, available or not.
func PrecisionNames() []string { return []string{string(Float32), string(BFloat16)} }

// Available lists the precisions that this build computes in.
func Available() []string {
	var names []string
	for _, name := range PrecisionNames() {
		if Precision(name).check() == nil {
			names = append(names, name)
		}
	}
	return names
}
