package tensorfile

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"
)

// headerLimit is the container's own limit on the header, in bytes.
const headerLimit = 100_000_000

// Reader reads a file from front to back. The header is checked whole before any tensor is allocated, so that a
// damaged file costs no more memory than its size. A Reader belongs to one goroutine.
type Reader struct {
	// Metadata is the header's map of strings; nil if there is none.
	Metadata map[string]string
	// Header is the file's part before the data, as it was read.
	Header []byte

	source  io.Reader
	entries []named
	buffer  []byte
	checked bool // every value must be finite in float32
}

type named struct {
	name string
	safetensors.TensorInfo
}

// NewReader reads and checks the header of a file of size bytes, all of whose tensors must be float32.
func NewReader(source io.Reader, size int64) (*Reader, error) {
	return newReader(source, size, safetensors.F32)
}

// NewConverter is NewReader for files of others: tensors of type F64, F32, F16, BF16 and I64 are read as float32,
// rounded to nearest even. Values that float32 cannot hold, infinities and NaN among them, are errors of Next.
func NewConverter(source io.Reader, size int64) (*Reader, error) {
	r, err := newReader(source, size, safetensors.F32, safetensors.F16, safetensors.BF16, safetensors.F64, safetensors.I64)
	if err == nil {
		r.checked = true
	}
	return r, err
}

func newReader(source io.Reader, size int64, types ...safetensors.DType) (*Reader, error) {
	header, err := readHeader(source, size)
	if err != nil {
		return nil, err
	}
	var parsed safetensors.Metadata
	if err := json.Unmarshal(header[8:], &parsed); err != nil {
		return nil, fmt.Errorf("header is not that of a safetensors file: %w", err)
	}
	r := &Reader{Metadata: parsed.Metadata(), Header: header, source: source}
	for name, info := range parsed.Tensors() {
		r.entries = append(r.entries, named{name, *info})
	}
	slices.SortFunc(r.entries, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.DataOffsets[0], b.DataOffsets[0]),
			cmp.Compare(a.DataOffsets[1], b.DataOffsets[1]), cmp.Compare(a.name, b.name))
	})
	if err := checkEntries(r.entries, uint64(size)-uint64(len(header)), types); err != nil {
		return nil, err
	}
	return r, nil
}

func readHeader(source io.Reader, size int64) ([]byte, error) {
	if size < 8 {
		return nil, fmt.Errorf("file has %d bytes: expected at least 8", size)
	}
	var length [8]byte
	if _, err := io.ReadFull(source, length[:]); err != nil {
		return nil, fmt.Errorf("header length: %w", noEOF(err))
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > headerLimit || n > uint64(size)-8 {
		return nil, fmt.Errorf("header length is %d bytes, but the file has %d: truncated, or not a safetensors file", n, size)
	}
	header := append(length[:], make([]byte, n)...)
	if _, err := io.ReadFull(source, header[8:]); err != nil {
		return nil, fmt.Errorf("header: %w", noEOF(err))
	}
	return header, nil
}

// checkEntries makes sure that the tensors, sorted by offset, fill the available bytes without gap or overlap.
func checkEntries(entries []named, available uint64, types []safetensors.DType) error {
	end := uint64(0)
	for _, e := range entries {
		if !slices.Contains(types, e.DType) {
			return fmt.Errorf("tensor %q has type %s: expected %s", e.name, e.DType, oneOf(types))
		}
		from, to := e.DataOffsets[0], e.DataOffsets[1]
		if from != end || to < from {
			return fmt.Errorf("tensor %q has bytes %d to %d: expected to start at %d", e.name, from, to, end)
		}
		if !fits(e.Shape, to-from, e.DType.Size()) {
			return fmt.Errorf("tensor %q has shape %v, but %d bytes", e.name, e.Shape, to-from)
		}
		end = to
	}
	if end != available {
		return fmt.Errorf("tensors should fill %d bytes, but the file has %d: truncated, or something was added", end, available)
	}
	return nil
}

// oneOf lists types for an error.
func oneOf(types []safetensors.DType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// fits says whether values of this shape, of width bytes each, take exactly bytes bytes.
func fits(shape []uint64, bytes, width uint64) bool {
	if slices.Contains(shape, 0) {
		return bytes == 0
	}
	for _, size := range shape {
		if bytes%size != 0 { // dividing down cannot overflow as multiplying up can
			return false
		}
		bytes /= size
	}
	return bytes == width
}

// Len is the number of tensors that Next has not yet given.
func (r *Reader) Len() int { return len(r.entries) }

// Next reads the next tensor, in file order; its slices belong to the caller. It returns io.EOF after the last one.
func (r *Reader) Next() (Tensor, error) {
	if len(r.entries) == 0 {
		return Tensor{}, io.EOF
	}
	e := r.entries[0]
	r.entries = r.entries[1:]
	t := Tensor{Name: e.name, Shape: make([]int, len(e.Shape))}
	for i, size := range e.Shape {
		if size > math.MaxInt {
			return Tensor{}, fmt.Errorf("tensor %q has shape %v: too large", e.name, e.Shape)
		}
		t.Shape[i] = int(size)
	}
	t.Data = make([]float32, (e.DataOffsets[1]-e.DataOffsets[0])/e.DType.Size())
	if err := r.readValues(t.Data, e.DType); err != nil {
		return Tensor{}, fmt.Errorf("tensor %q: %w", e.name, noEOF(err))
	}
	return t, nil
}

// All reads the tensors that remain.
func (r *Reader) All() ([]Tensor, error) {
	tensors := make([]Tensor, 0, r.Len())
	for r.Len() > 0 {
		t, err := r.Next()
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}

func (r *Reader) readValues(data []float32, dtype safetensors.DType) error {
	width := int(dtype.Size())
	if r.buffer == nil {
		r.buffer = make([]byte, 8*chunk)
	}
	for part := range slices.Chunk(data, chunk) {
		bytes := r.buffer[:width*len(part)]
		if _, err := io.ReadFull(r.source, bytes); err != nil {
			return err
		}
		if err := r.convert(part, bytes, dtype); err != nil {
			return err
		}
	}
	return nil
}

// convert decodes values of the type.
func (r *Reader) convert(data []float32, bytes []byte, dtype safetensors.DType) error {
	Decode(data, bytes, dtype.String(), binary.LittleEndian)
	if !r.checked {
		return nil
	}
	return CheckFinite(data)
}

// noEOF keeps a file that is too short from looking like a clean end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
