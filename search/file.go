package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"pretrain/eval"
	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// Key says what an index was made of. An index serves only a search whose key is the same.
type Key struct {
	Weights  string // digest of the network's weights
	Layer    int
	Pictures string // digest of the names, sizes and times of the pictures
}

// StaleError says why an index that was kept cannot serve.
type StaleError struct{ Reason string }

func (e *StaleError) Error() string { return e.Reason }

// format is the version of the file. It is a safetensors file: vectors [rows, dim], and for a graph the links of each
// level [rows on it, width] and the rows that stand on the upper ones [rows on it], all as float32, which holds row
// numbers up to 2^24 exactly. Metadata has the key, the unreadable pictures and a checksum of each tensor.
const format = "pretrain search index 1"

// Names in the file.
const (
	vectorsName    = "vectors"
	formatKey      = "format"
	weightsKey     = "weights"
	layerKey       = "layer"
	picturesKey    = "pictures"
	unreadableKey  = "unreadable"
	entryKey       = "entry"
	checksumPrefix = "crc32c "
)

func linksName(level int) string { return fmt.Sprintf("level %d links", level) }
func rowsName(level int) string  { return fmt.Sprintf("level %d rows", level) }

// WriteFile keeps the index, whole or not at all, in place of an older one.
func (x *Index) WriteFile(path string, key Key) error {
	unreadable, err := json.Marshal(x.Unreadable)
	if err != nil {
		return err
	}
	tensors := []tensorfile.Tensor{{Name: vectorsName, Shape: []int{x.Vectors.Rows, x.Vectors.Cols}, Data: x.Vectors.Data}}
	metadata := map[string]string{
		formatKey: format, weightsKey: key.Weights, layerKey: strconv.Itoa(key.Layer), picturesKey: key.Pictures,
		unreadableKey: string(unreadable),
	}
	if x.Graph != nil {
		metadata[entryKey] = strconv.Itoa(x.Graph.entry)
		tensors = append(tensors, x.Graph.tensors()...)
	}
	for _, t := range tensors {
		metadata[checksumPrefix+t.Name] = checksum(t)
	}
	return atomicfile.Write(path, true, func(w io.Writer) error { return tensorfile.Write(w, tensors, metadata) })
}

func checksum(t tensorfile.Tensor) string { return fmt.Sprintf("%08x", tensorfile.Checksum(t.Data)) }

// tensors are the levels of the graph as a file keeps them.
func (g *Graph) tensors() []tensorfile.Tensor {
	var tensors []tensorfile.Tensor
	for i := range g.levels {
		l := &g.levels[i]
		count := len(l.links) / l.width
		tensors = append(tensors, tensorfile.Tensor{Name: linksName(i), Shape: []int{count, l.width}, Data: floats(l.links)})
		if l.slot == nil {
			continue
		}
		rows := make([]float32, 0, count)
		for row, slot := range l.slot {
			if slot >= 0 {
				rows = append(rows, float32(row))
			}
		}
		tensors = append(tensors, tensorfile.Tensor{Name: rowsName(i), Shape: []int{count}, Data: rows})
	}
	return tensors
}

func floats(numbers []int32) []float32 {
	converted := make([]float32, len(numbers))
	for i, n := range numbers {
		converted[i] = float32(n)
	}
	return converted
}

// ReadFile reads an index back. A file that is missing, of another format, damaged, or made of something else than key
// says is a StaleError, whose reason is for the user: the index must be made anew. Errors of the disk are others.
func ReadFile(path string, key Key) (*Index, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &StaleError{"none is kept yet"}
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	reader, err := tensorfile.NewReader(file, info.Size())
	if err != nil {
		return nil, damaged(path, err)
	}
	if err := checkKey(reader.Metadata, key); err != nil {
		return nil, err
	}
	x, err := readIndex(reader)
	if err != nil {
		return nil, damaged(path, err)
	}
	return x, nil
}

func damaged(path string, err error) error {
	return &StaleError{fmt.Sprintf("%s is damaged (%v)", path, err)}
}

// checkKey says which part of the key differs.
func checkKey(metadata map[string]string, key Key) error {
	for _, part := range []struct{ name, want, reason string }{
		{formatKey, format, "the one that is kept is of another version"},
		{weightsKey, key.Weights, "the weights of the run have changed"},
		{layerKey, strconv.Itoa(key.Layer), "the layer is another"},
		{picturesKey, key.Pictures, "the pictures have changed"},
	} {
		if metadata[part.name] != part.want {
			return &StaleError{part.reason}
		}
	}
	return nil
}

func readIndex(reader *tensorfile.Reader) (*Index, error) {
	x := &Index{}
	if err := json.Unmarshal([]byte(reader.Metadata[unreadableKey]), &x.Unreadable); err != nil {
		return nil, fmt.Errorf("list of unreadable pictures: %w", err)
	}
	read, err := reader.All()
	if err != nil {
		return nil, err
	}
	tensors := map[string]tensorfile.Tensor{}
	for _, t := range read {
		if reader.Metadata[checksumPrefix+t.Name] != checksum(t) {
			return nil, fmt.Errorf("tensor %q does not match its checksum", t.Name)
		}
		tensors[t.Name] = t
	}
	vectors := tensors[vectorsName]
	if len(vectors.Shape) != 2 {
		return nil, fmt.Errorf("tensor %q has shape %v: expected rows and columns", vectorsName, vectors.Shape)
	}
	x.Vectors = eval.Matrix{Rows: vectors.Shape[0], Cols: vectors.Shape[1], Data: vectors.Data}
	if entry, ok := reader.Metadata[entryKey]; ok {
		x.Graph, err = newGraphOf(x.Vectors, tensors, entry)
	}
	return x, err
}

// newGraphOf puts the levels of a file together.
func newGraphOf(vectors eval.Matrix, tensors map[string]tensorfile.Tensor, entry string) (*Graph, error) {
	g := &Graph{vectors: vectors}
	_, g.copies = distinct(vectors)
	var err error
	if g.entry, err = strconv.Atoi(entry); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	for i := 0; ; i++ {
		links, ok := tensors[linksName(i)]
		if !ok {
			break
		}
		if len(links.Shape) != 2 || links.Shape[1] < 1 {
			return nil, fmt.Errorf("tensor %q has shape %v: expected rows and links", links.Name, links.Shape)
		}
		l := level{width: links.Shape[1], links: integers(links.Data)}
		rows := tensors[rowsName(i)]
		if i > 0 {
			l.slot = places(vectors.Rows, rows.Data)
		}
		if i == 0 && links.Shape[0] != vectors.Rows || i > 0 && links.Shape[0] != len(rows.Data) {
			return nil, fmt.Errorf("tensor %q has %d rows, which are not those of its level", links.Name, links.Shape[0])
		}
		g.levels = append(g.levels, l)
	}
	if len(g.levels) == 0 {
		return nil, errors.New("the graph has no levels")
	}
	return g, g.check()
}

func integers(values []float32) []int32 {
	converted := make([]int32, len(values))
	for i, v := range values {
		converted[i] = int32(v)
	}
	return converted
}

// places gives the rows of a level their places in its links; numbers out of range have none, which Graph.check finds.
func places(count int, rows []float32) []int32 {
	slot := slices.Repeat([]int32{-1}, count)
	for place, row := range rows {
		if row >= 0 && int(row) < count {
			slot[int(row)] = int32(place)
		}
	}
	return slot
}
