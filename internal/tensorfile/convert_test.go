package tensorfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typed is a file of one tensor of the type, whose values are these bytes.
func typed(dtype string, count int, values []byte) []byte {
	header := fmt.Sprintf(`{"a":{"dtype":%q,"shape":[%d],"data_offsets":[0,%d]}}`, dtype, count, len(values))
	return append(file(header, 0), values...)
}

func convert(input []byte) ([]Tensor, error) {
	r, err := NewConverter(bytes.NewReader(input), int64(len(input)))
	if err != nil {
		return nil, err
	}
	return r.All()
}

func little(values any) []byte {
	encoded, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		panic(err)
	}
	return encoded
}

// TestConverter: the bit patterns are those of IEEE 754 (binary16: 1, −2, the smallest normal and subnormal, the largest).
func TestConverter(t *testing.T) {
	for _, test := range []struct {
		dtype  string
		values []byte
		want   []float32
	}{
		{"F32", little([]float32{1.5, -3}), []float32{1.5, -3}},
		{"F64", little([]float64{0.1, -1e-50}), []float32{0.1, float32(math.Copysign(0, -1))}},
		{"F16", little([]uint16{0x3c00, 0xc000, 0x0400, 0x0001, 0x7bff, 0x8000}),
			[]float32{1, -2, 1.0 / (1 << 14), 1.0 / (1 << 24), 65504, float32(math.Copysign(0, -1))}},
		{"BF16", little([]uint16{0x3f80, 0xc040}), []float32{1, -3}},
		{"I64", little([]int64{7, -1}), []float32{7, -1}},
	} {
		found, err := convert(typed(test.dtype, len(test.want), test.values))
		if err != nil {
			t.Fatal(test.dtype, err)
		}
		if diff := cmp.Diff(test.want, found[0].Data, bits); diff != "" {
			t.Error(test.dtype, diff)
		}
	}
}

func TestConverterRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"NaN":        {typed("F32", 2, little([]float32{1, float32(math.NaN())})), `"a": value 1 is NaN`},
		"infinity":   {typed("F16", 1, little([]uint16{0x7c00})), "value 0 is +Inf"},
		"too large":  {typed("F64", 1, little([]float64{1e300})), "value 0 is +Inf"},
		"other type": {typed("U8", 1, []byte{1}), "has type U8: expected F32, F16, BF16, F64, I64"},
		"width":      {typed("F16", 1, little([]float32{1})), "shape [1], but 4 bytes"},
		"cut":        {typed("F64", 2, little([]float64{1, 2}))[:80], "truncated"},
	} {
		if _, err := convert(test.file); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

// TestCounters: they come before the tensors, 8-byte aligned, and are read by the converter and not by the strict reader.
func TestCounters(t *testing.T) {
	var buffer bytes.Buffer
	tensors := []Tensor{{"w", []int{1}, []float32{0.5}}}
	if err := Write(&buffer, tensors, nil, Counter{"b", 1 << 20}, Counter{"a", 3}); err != nil {
		t.Fatal(err)
	}
	found, err := convert(buffer.Bytes())
	want := []Tensor{{"a", []int{}, []float32{3}}, {"b", []int{}, []float32{1 << 20}}, {"w", []int{1}, []float32{0.5}}}
	if diff := cmp.Diff(want, found); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, _, err := decode(buffer.Bytes()); err == nil || !strings.Contains(err.Error(), "I64: expected F32") {
		t.Errorf("the strict reader gives %v", err)
	}
	if err := Write(&bytes.Buffer{}, tensors, nil, Counter{"w", 1}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a counter with the name of a tensor gives %v", err)
	}
}

// FuzzConverter feeds arbitrary bytes: never a panic, and all that is accepted is finite and fits its shape.
func FuzzConverter(f *testing.F) {
	f.Add(typed("F16", 2, little([]uint16{0x3c00, 0x0001})))
	f.Add(typed("I64", 1, little([]int64{1 << 60})))
	f.Fuzz(func(t *testing.T, input []byte) {
		tensors, err := convert(input)
		if err != nil {
			return
		}
		for _, tensor := range tensors {
			if err := CheckFinite(tensor.Data); err != nil {
				t.Error(err)
			}
			tensor.Name = "a"
			if err := check(tensor); err != nil {
				t.Error(err)
			}
		}
	})
}
