package history

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"pretrain/internal/tensorfile"
	"pretrain/train"
)

// SameWeight tells whether a run has the weights of another, byte for byte.
type SameWeight struct {
	Name      string   `json:"name"`
	Compared  bool     `json:"compared"`       // false: Note says why not
	What      string   `json:"what,omitempty"` // that was compared
	Equal     bool     `json:"equal"`
	Tensors   int      `json:"tensors"`           // compared
	Different int      `json:"different"`         // of those, and of those that one run lacks
	Because   []string `json:"because,omitempty"` // differences that explain it; none: nothing that is recorded does
	Note      string   `json:"note,omitempty"`
}

// compareWeights compares the newest checkpoints, which hold all that training changes, if they are of the same step;
// otherwise the exported backbones.
func compareWeights(a, b *Run) SameWeight {
	if len(a.Checkpoints) > 0 && len(b.Checkpoints) > 0 && a.Checkpoints[0].Info.Step == b.Checkpoints[0].Info.Step {
		first, second := a.Checkpoints[0], b.Checkpoints[0]
		return compareFiles(fmt.Sprintf("checkpoints of step %d", first.Info.Step), first.Path, second.Path)
	}
	first, second := a.exported(), b.exported()
	for _, path := range []string{first, second} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return SameWeight{Note: "the runs have neither checkpoints of the same step nor both an exported backbone"}
		}
	}
	return compareFiles("exported backbones", first, second)
}

func (r *Run) exported() string {
	return filepath.Join(r.Directory.Exported(), "backbone.safetensors")
}

// pictureSet is that of the newest checkpoint.
func (r *Run) pictureSet() string {
	if len(r.Checkpoints) == 0 {
		return ""
	}
	return train.PictureSet(r.Checkpoints[0].Info)
}

// compareFiles compares two files of tensors bit by bit; metadata such as dates and paths do not count.
func compareFiles(what, first, second string) SameWeight {
	same := SameWeight{What: what}
	err := withTensors(first, func(a *tensorfile.Reader) error {
		return withTensors(second, func(b *tensorfile.Reader) error { return same.compare(a, b) })
	})
	if err != nil {
		same.Note = fmt.Sprintf("the %s cannot be compared: %v", what, err)
		return same
	}
	same.Compared, same.Equal = true, same.Different == 0
	return same
}

func withTensors(path string, use func(*tensorfile.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	reader, err := tensorfile.NewReader(file, stat.Size())
	if err == nil {
		err = use(reader)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// compare walks two files whose tensors are sorted by name, one tensor of each in memory.
func (s *SameWeight) compare(a, b *tensorfile.Reader) error {
	first, err := next(a)
	if err != nil {
		return err
	}
	second, err := next(b)
	for ; err == nil && (first != nil || second != nil); s.Tensors++ {
		moveFirst := second == nil || first != nil && first.Name <= second.Name
		moveSecond := first == nil || second != nil && second.Name <= first.Name
		if !moveFirst || !moveSecond || !sameTensor(first, second) {
			s.Different++
		}
		if moveFirst {
			if first, err = next(a); err != nil {
				return err
			}
		}
		if moveSecond {
			second, err = next(b)
		}
	}
	return err
}

// next is the next tensor; nil after the last.
func next(r *tensorfile.Reader) (*tensorfile.Tensor, error) {
	tensor, err := r.Next()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return &tensor, err
}

func sameTensor(a, b *tensorfile.Tensor) bool {
	return slices.Equal(a.Shape, b.Shape) &&
		slices.EqualFunc(a.Data, b.Data, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func layerName(layer int) string { return strconv.Itoa(layer) }

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
