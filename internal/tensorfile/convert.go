package tensorfile

import (
	"encoding/binary"
	"fmt"
	"math"
)

// widths are the types that Decode knows, by their names in safetensors, and the bytes that a value takes.
var widths = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8}

// Width is the number of bytes of a value; 0 for types that Decode does not know.
func Width(dtype string) int { return widths[dtype] }

// Decode turns bytes, len(data) values of a type that Width knows, into float32, rounded to nearest even.
func Decode(data []float32, bytes []byte, dtype string, order binary.ByteOrder) {
	width := Width(dtype)
	for i := range data {
		value := bytes[i*width:]
		switch dtype {
		case "F32":
			data[i] = math.Float32frombits(order.Uint32(value))
		case "F64":
			data[i] = float32(math.Float64frombits(order.Uint64(value)))
		case "F16":
			data[i] = half(order.Uint16(value))
		case "BF16":
			data[i] = math.Float32frombits(uint32(order.Uint16(value)) << 16)
		case "I64":
			data[i] = float32(int64(order.Uint64(value)))
		}
	}
}

// half is the value of an IEEE 754 binary16.
func half(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, uint32(bits>>10)&31, uint32(bits)&1023
	switch exponent {
	case 0: // zero and subnormal numbers: fraction·2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent-15+127)<<23 | fraction<<13)
}

// CheckFinite reports the first value that is infinite or no number.
func CheckFinite(data []float32) error {
	for i, value := range data {
		if value-value != 0 {
			return fmt.Errorf("value %d is %v: expected a finite number that float32 can hold", i, value)
		}
	}
	return nil
}
