package tensorfile

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Shape is a float32 array whose numbers are not there yet.
type Shape struct {
	Name  string
	Sizes []int
}

// bytes is the room that the numbers will take; false if that is more than a file holds.
func (s Shape) bytes() (int64, bool) {
	bytes := int64(4)
	if slices.Contains(s.Sizes, 0) {
		return 0, true
	}
	for _, size := range s.Sizes {
		if size < 0 || bytes > math.MaxInt64/int64(size) {
			return 0, false
		}
		bytes *= int64(size)
	}
	return bytes, true
}

// ShapesHeader is the part of a file before tensors that are written later, in any order: length and JSON. The tensors lie
// in the order of the argument, from the returned offsets in the file on, at multiples of 4 bytes.
func ShapesHeader(shapes []Shape, metadata map[string]string) (header []byte, offsets []int64, err error) {
	fields := make(map[string]any, len(shapes)+1)
	if len(metadata) > 0 {
		fields[metadataKey] = metadata
	}
	end := int64(0)
	for _, s := range shapes {
		bytes, ok := s.bytes()
		if _, doubled := fields[s.Name]; doubled || s.Name == "" || s.Name == metadataKey || !ok {
			return nil, nil, fmt.Errorf("tensor %q of shape %v: names must differ and be neither empty nor reserved, sizes must fit a file", s.Name, s.Sizes)
		}
		fields[s.Name] = entry{DType: "F32", Shape: append([]int{}, s.Sizes...), Offsets: [2]int64{end, end + bytes}}
		offsets = append(offsets, end)
		end += bytes
	}
	if header, err = encodeHeader(fields); err != nil {
		return nil, nil, err
	}
	for i := range offsets {
		offsets[i] += int64(len(header))
	}
	return header, offsets, nil
}

// encodeHeader puts the length before the JSON, padded so that the data are 8-byte aligned.
func encodeHeader(fields map[string]any) ([]byte, error) {
	text, err := json.Marshal(fields) // sorts the keys
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	text = append(text, strings.Repeat(" ", -len(text)&7)...)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}
