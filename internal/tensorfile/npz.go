package tensorfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// ErrForeignEntry is wrapped by the error of ReadNPZ about an archive that holds something else than arrays.
var ErrForeignEntry = errors.New("expected names that end in .npy")

// ReadNPZ reads the arrays of an .npz file of size bytes as float32, named as they are there, without ".npy". The types
// are those of NewConverter that NumPy has, in either byte order; Fortran's order is turned into C's. Values that float32
// cannot hold are errors.
func ReadNPZ(source io.ReaderAt, size int64) ([]Tensor, error) {
	archive, err := zip.NewReader(source, size)
	if err != nil {
		return nil, fmt.Errorf("not a .npz file: %w", err)
	}
	var tensors []Tensor
	for _, file := range archive.File {
		name, ok := strings.CutSuffix(file.Name, ".npy")
		if !ok {
			return nil, fmt.Errorf("entry %q is no array: %w", file.Name, ErrForeignEntry)
		}
		t, err := readNPY(file)
		if err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
		t.Name = name
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// readNPY reads one array. The buffer grows with what there is to read, whatever the file claims.
func readNPY(file *zip.File) (Tensor, error) {
	stream, err := file.Open()
	if err != nil {
		return Tensor{}, err
	}
	defer stream.Close()
	content, err := io.ReadAll(stream)
	if err != nil {
		return Tensor{}, noEOF(err)
	}
	header, values, err := cutNPY(content)
	if err != nil {
		return Tensor{}, err
	}
	return header.decode(values)
}

// npyHeader is what numpy.lib.format says of an array.
type npyHeader struct {
	dtype   string // as Decode has it
	order   binary.ByteOrder
	fortran bool
	shape   []int
}

var (
	npyMagic = []byte("\x93NUMPY")
	npyTypes = map[string]string{"f2": "F16", "f4": "F32", "f8": "F64", "i8": "I64"}
	npyDescr = regexp.MustCompile(`'descr': *'([<>=|]?)([^']*)'`)
	npyOrder = regexp.MustCompile(`'fortran_order': *(True|False)`)
	npyShape = regexp.MustCompile(`'shape': *\(([0-9, ]*)\)`)
)

// cutNPY separates the header, a Python dictionary of three known keys, from the values. Versions 1 to 3 of the format
// differ in the width of its length and in its encoding only.
func cutNPY(content []byte) (npyHeader, []byte, error) {
	if len(content) < 12 || !bytes.HasPrefix(content, npyMagic) {
		return npyHeader{}, nil, fmt.Errorf("expected an array that begins with %q", npyMagic)
	}
	start, length := 10, int64(binary.LittleEndian.Uint16(content[8:]))
	if content[6] > 1 {
		start, length = 12, int64(binary.LittleEndian.Uint32(content[8:]))
	}
	if length > int64(len(content)-start) {
		return npyHeader{}, nil, fmt.Errorf("the header has %d bytes, but only %d are there: truncated", length, len(content)-start)
	}
	header, err := parseNPY(string(content[start : start+int(length)]))
	return header, content[start+int(length):], err
}

func parseNPY(text string) (npyHeader, error) {
	descr, order, shape := npyDescr.FindStringSubmatch(text), npyOrder.FindStringSubmatch(text), npyShape.FindStringSubmatch(text)
	if descr == nil || order == nil || shape == nil {
		return npyHeader{}, fmt.Errorf("the header %.80q lacks one of descr, fortran_order and shape", text)
	}
	h := npyHeader{dtype: npyTypes[descr[2]], order: binary.LittleEndian, fortran: order[1] == "True"}
	if h.dtype == "" {
		return h, fmt.Errorf("the type is %q: expected float16, float32, float64 or int64 (f2, f4, f8, i8); convert it with astype('float32')", descr[1]+descr[2])
	}
	if descr[1] == ">" {
		h.order = binary.BigEndian
	}
	for size := range strings.SplitSeq(shape[1], ",") {
		if size = strings.TrimSpace(size); size == "" {
			continue
		}
		number, err := strconv.Atoi(size)
		if err != nil {
			return h, fmt.Errorf("shape (%s): %w", shape[1], err)
		}
		h.shape = append(h.shape, number)
	}
	return h, nil
}

// decode turns the bytes behind the header into a tensor.
func (h npyHeader) decode(values []byte) (Tensor, error) {
	t := Tensor{Shape: append([]int{}, h.shape...)}
	shape := make([]uint64, len(h.shape))
	for i, size := range h.shape {
		shape[i] = uint64(size)
	}
	if width := Width(h.dtype); !fits(shape, uint64(len(values)), uint64(width)) {
		return t, fmt.Errorf("%d bytes of values do not fill the shape %v of %d bytes each: truncated, or something was added", len(values), h.shape, width)
	}
	t.Data = make([]float32, len(values)/Width(h.dtype))
	Decode(t.Data, values, h.dtype, h.order)
	if h.fortran {
		t.Data = cOrder(t.Data, t.Shape)
	}
	return t, CheckFinite(t.Data)
}

// cOrder reorders values whose first index runs fastest, so that the last one does.
func cOrder(data []float32, shape []int) []float32 {
	ordered := make([]float32, len(data))
	for i := range ordered {
		from, rest, stride := 0, i, len(data)
		for axis := len(shape) - 1; axis >= 0; axis-- {
			stride /= shape[axis]
			from += rest % shape[axis] * stride
			rest /= shape[axis]
		}
		ordered[i] = data[from]
	}
	return ordered
}
