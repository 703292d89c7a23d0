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
}

type named struct {
	name string
	safetensors.TensorInfo
}

// NewReader reads and checks the header of a file of size bytes.
func NewReader(source io.Reader, size int64) (*Reader, error) {
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
	if err := checkEntries(r.entries, uint64(size)-uint64(len(header))); err != nil {
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
func checkEntries(entries []named, available uint64) error {
	end := uint64(0)
	for _, e := range entries {
		if e.DType != safetensors.F32 {
			return fmt.Errorf("tensor %q has type %s: expected F32", e.name, e.DType)
		}
		from, to := e.DataOffsets[0], e.DataOffsets[1]
		if from != end || to < from {
			return fmt.Errorf("tensor %q has bytes %d to %d: expected to start at %d", e.name, from, to, end)
		}
		if !fits(e.Shape, to-from) {
			return fmt.Errorf("tensor %q has shape %v, but %d bytes", e.name, e.Shape, to-from)
		}
		end = to
	}
	if end != available {
		return fmt.Errorf("tensors should fill %d bytes, but the file has %d: truncated, or something was added", end, available)
	}
	return nil
}

// fits says whether float32 values of this shape take exactly bytes bytes.
func fits(shape []uint64, bytes uint64) bool {
	if slices.Contains(shape, 0) {
		return bytes == 0
	}
	for _, size := range shape {
		if bytes%size != 0 { // dividing down cannot overflow as multiplying up can
			return false
		}
		bytes /= size
	}
	return bytes == 4
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
	t.Data = make([]float32, (e.DataOffsets[1]-e.DataOffsets[0])/4)
	if err := r.readValues(t.Data); err != nil {
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

func (r *Reader) readValues(data []float32) error {
	if r.buffer == nil {
		r.buffer = make([]byte, 4*chunk)
	}
	for part := range slices.Chunk(data, chunk) {
		bytes := r.buffer[:4*len(part)]
		if _, err := io.ReadFull(r.source, bytes); err != nil {
			return err
		}
		for i := range part {
			part[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
		}
	}
	return nil
}

// noEOF keeps a file that is too short from looking like a clean end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
