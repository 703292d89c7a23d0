package tensorfile

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// TestShapesHeaderFitsTheReader: numbers put at the offsets, in any order, are read back as the tensors of those names.
func TestShapesHeaderFitsTheReader(t *testing.T) {
	shapes := []Shape{{"b", []int{2, 2}}, {"a", []int{3}}, {"none", []int{0, 5}}, {"one", nil}}
	header, offsets, err := ShapesHeader(shapes, map[string]string{"k": "v"})
	if err != nil {
		t.Fatal(err)
	}
	if len(header)%8 != 0 || offsets[0] != int64(len(header)) {
		t.Errorf("header of %d bytes, first offset %d", len(header), offsets[0])
	}
	file := append(header, make([]byte, 4*8)...)
	for i, number := range []byte{1, 2, 3, 4} {
		if i != 2 { // has no numbers
			file[offsets[i]+3], file[offsets[i]+2] = 0x40, number // 2 + number/64
		}
	}
	tensors, metadata, err := decode(file)
	if err != nil || metadata["k"] != "v" {
		t.Fatal(metadata, err)
	}
	for _, tensor := range tensors {
		i := slices.IndexFunc(shapes, func(s Shape) bool { return s.Name == tensor.Name })
		if !slices.Equal(tensor.Shape, shapes[i].Sizes) || i != 2 && tensor.Data[0] != 2+float32(i+1)/64 {
			t.Errorf("%+v", tensor)
		}
	}
}

// TestShapesHeaderIsThatOfTensors: written with their numbers at once, the same tensors have the same header.
func TestShapesHeaderIsThatOfTensors(t *testing.T) {
	tensors := []Tensor{{"a", []int{2}, []float32{1, 2}}, {"b", []int{1, 1}, []float32{3}}}
	want, err := Header(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := ShapesHeader([]Shape{{"a", []int{2}}, {"b", []int{1, 1}}}, nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, want %q, %v", got, want, err)
	}
}

func TestShapesHeaderRefuses(t *testing.T) {
	for _, shapes := range [][]Shape{
		{{"", []int{1}}}, {{metadataKey, []int{1}}}, {{"twice", []int{1}}, {"twice", []int{1}}}, {{"less", []int{-1}}},
		{{"huge", []int{math.MaxInt32, math.MaxInt32, 16}}},
	} {
		name := shapes[len(shapes)-1].Name
		if _, _, err := ShapesHeader(shapes, map[string]string{"k": "v"}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: error %v", shapes, err)
		}
	}
}
