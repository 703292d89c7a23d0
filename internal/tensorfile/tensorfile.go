// Package tensorfile reads and writes named float32 tensors in the safetensors container
// (https://huggingface.co/docs/safetensors): 8 bytes little-endian header length, a JSON header that gives each
// tensor's type, shape and byte range, then the tensors' bytes. Checkpoints and exported weights share it.
//
// Both directions stream through one small buffer, so that saving a model never needs the memory of a second
// one. Reading takes the header's grammar from nlpodyssey/safetensors; writing is done here because a checkpoint
// must take a checksum of the finished header before it goes out, for which the library has no place.
package tensorfile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// metadataKey is the one name of the header that is no tensor: a map from string to string.
const metadataKey = "__metadata__"

// chunk is the number of values encoded at a time.
const chunk = 16 << 10

// Tensor is a named float32 array.
type Tensor struct {
	Name  string
	Shape []int     // row-major; empty for a single number
	Data  []float32 // product of Shape values
}

// Counter is a named whole number, stored as an I64 of shape []: PyTorch keeps some beside the weights.
type Counter struct {
	Name  string
	Value int64
}

// entry is one tensor's line of the header, in the container's own key names.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Write writes tensors and counters, each sorted by name, and metadata: the bytes depend on nothing else, not on the
// order given.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string, counters ...Counter) error {
	header, err := Header(tensors, metadata, counters...)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return WriteData(w, tensors, counters...)
}

// Header is the file's part before the tensors' bytes: length and JSON, padded so that the data are 8-byte aligned.
// Counters come first, so that they stay aligned. It refuses names that are empty, reserved, doubled or not UTF-8, and
// data that do not fit their shape.
func Header(tensors []Tensor, metadata map[string]string, counters ...Counter) ([]byte, error) {
	fields := make(map[string]any, len(tensors)+len(counters)+1)
	if len(metadata) > 0 {
		fields[metadataKey] = metadata
	}
	offset := int64(0)
	for _, c := range sortedCounters(counters) {
		if err := check(Tensor{Name: c.Name, Data: make([]float32, 1)}); err != nil {
			return nil, err
		}
		if _, doubled := fields[c.Name]; doubled {
			return nil, fmt.Errorf("counter %q is given twice: names must differ", c.Name)
		}
		fields[c.Name] = entry{DType: "I64", Shape: []int{}, Offsets: [2]int64{offset, offset + 8}}
		offset += 8
	}
	for _, t := range sorted(tensors) {
		if err := check(t); err != nil {
			return nil, err
		}
		if _, doubled := fields[t.Name]; doubled {
			return nil, fmt.Errorf("tensor %q is given twice: names must differ", t.Name)
		}
		end := offset + 4*int64(len(t.Data))
		fields[t.Name] = entry{DType: "F32", Shape: append([]int{}, t.Shape...), Offsets: [2]int64{offset, end}}
		offset = end
	}
	return encodeHeader(fields)
}

func check(t Tensor) error {
	if t.Name == "" || t.Name == metadataKey || !utf8.ValidString(t.Name) {
		return fmt.Errorf("tensor name %q is empty, reserved or not UTF-8: choose another", t.Name)
	}
	shape := make([]uint64, len(t.Shape))
	for i, size := range t.Shape {
		if size < 0 {
			return fmt.Errorf("tensor %q has shape %v: sizes must not be negative", t.Name, t.Shape)
		}
		shape[i] = uint64(size)
	}
	if !fits(shape, 4*uint64(len(t.Data)), 4) {
		return fmt.Errorf("tensor %q has %d values, which do not fill its shape %v", t.Name, len(t.Data), t.Shape)
	}
	return nil
}

// WriteData writes the part after the header.
func WriteData(w io.Writer, tensors []Tensor, counters ...Counter) error {
	for _, c := range sortedCounters(counters) {
		if err := binary.Write(w, binary.LittleEndian, c.Value); err != nil {
			return fmt.Errorf("counter %q: %w", c.Name, err)
		}
	}
	buffer := make([]byte, 4*chunk)
	for _, t := range sorted(tensors) {
		if err := writeValues(w, t.Data, buffer); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// Checksum is the CRC-32C of data's bytes in the file.
func Checksum(data []float32) uint32 {
	hash := crc32.New(Castagnoli)
	_ = writeValues(hash, data, make([]byte, 4*chunk)) // a hash never fails
	return hash.Sum32()
}

// Castagnoli is the table of CRC-32C, which amd64 and arm64 compute in hardware.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

func writeValues(w io.Writer, data []float32, buffer []byte) error {
	for part := range slices.Chunk(data, chunk) {
		for i, value := range part {
			binary.LittleEndian.PutUint32(buffer[4*i:], math.Float32bits(value))
		}
		if _, err := w.Write(buffer[:4*len(part)]); err != nil {
			return err
		}
	}
	return nil
}

func sorted(tensors []Tensor) []Tensor {
	return slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
}

func sortedCounters(counters []Counter) []Counter {
	return slices.SortedFunc(slices.Values(counters), func(a, b Counter) int { return strings.Compare(a.Name, b.Name) })
}
