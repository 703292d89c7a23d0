package tensorfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestReadersOfEveryKind: a source may give a byte at a time, or its last bytes together with the end.
func TestReadersOfEveryKind(t *testing.T) {
	want := []Tensor{{"a", []int{2, 2}, []float32{1, 2, 3, 4}}, large()}
	whole := encode(t, want, map[string]string{"k": "v"})
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"a byte at a time": iotest.OneByteReader, "half of what is asked for": iotest.HalfReader,
		"data and end at once": iotest.DataErrReader,
	} {
		r, err := NewReader(wrap(bytes.NewReader(whole)), int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		found, err := r.All()
		if diff := cmp.Diff(want, found); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// TestErrorsOfTheSourceArePassedOn, from the length, the header and the data, with what was being read.
func TestErrorsOfTheSourceArePassedOn(t *testing.T) {
	broken := errors.New("disk on fire")
	whole := encode(t, []Tensor{{"first", []int{1}, []float32{1}}, {"second", []int{2}, []float32{2, 3}}}, nil)
	data := 8 + int(binary.LittleEndian.Uint64(whole))
	for n, want := range map[int]string{
		0: "header length: ", 5: "header length: ", 20: "header: ", data: `tensor "first": `, data + 6: `tensor "second": `,
	} {
		source := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken))
		r, err := NewReader(source, int64(len(whole)))
		if err == nil {
			_, err = r.All()
		}
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("after %d of %d bytes: %v, want %q and the cause", n, len(whole), err, want)
		}
	}
}

// TestNextGivesOneTensorAtATime: what was read stays as it is while the next one is read, and the end is io.EOF.
func TestNextGivesOneTensorAtATime(t *testing.T) {
	want := []Tensor{{"a", []int{2}, []float32{1, 2}}, {"b", []int{0, 3}, []float32{}}, {"c", []int{}, []float32{3}}}
	whole := encode(t, want, nil)
	r, err := NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	var found []Tensor
	for left := len(want); left > 0; left-- {
		if r.Len() != left {
			t.Errorf("%d tensors are left, want %d", r.Len(), left)
		}
		tensor, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, tensor)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last tensor the error is %v", err)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
}

// TestOffsetsThatDoNotFitAreRefused: in a header with the ranges of two tensors, or one of their ends, at other places,
// bytes would be read twice or not at all. Only the true ranges pass.
func TestOffsetsThatDoNotFitAreRefused(t *testing.T) {
	type line struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3), 2, 4).Draw(t, "sizes")
		header, used, honest := map[string]line{}, make([]int, 64), rapid.Bool().Draw(t, "honest")
		total := 0
		for i, size := range sizes {
			from := total
			if !honest {
				from = 4 * rapid.IntRange(0, 10).Draw(t, "from")
			}
			header[string(rune('a'+i))] = line{"F32", []int{size}, [2]int{from, from + 4*size}}
			for b := range 4 * size {
				used[from+b]++
			}
			total += 4 * size
		}
		text, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		tensors, _, err := decode(file(string(text), total))
		once := !slices.ContainsFunc(used[:total], func(n int) bool { return n != 1 })
		if err == nil && (!once || len(tensors) != len(sizes)) || honest && err != nil {
			t.Fatalf("%s over %d bytes gives %v", text, total, err)
		}
	})
}

// TestForeignHeadersAreRead: other programs write keys in another order, spaces, and no padding.
func TestForeignHeadersAreRead(t *testing.T) {
	foreign := file(`{ "b":{"data_offsets":[4,8],"shape":[1,1],"dtype":"F32"} , "__metadata__":{"format":"pt"},`+
		`"a":{"shape":[],"dtype":"F32","data_offsets":[0,4]}}`+"\n", 8)
	binary.LittleEndian.PutUint32(foreign[len(foreign)-8:], math.Float32bits(1.5))
	tensors, metadata, err := decode(foreign)
	want := []Tensor{{"a", []int{}, []float32{1.5}}, {"b", []int{1, 1}, []float32{0}}}
	if diff := cmp.Diff(want, tensors); err != nil || diff != "" || metadata["format"] != "pt" {
		t.Errorf("%v, metadata %v %s", err, metadata, diff)
	}
}

// TestDamageIsAnErrorOrMovesNothing: a flipped bit in the header is refused or, in the letters of a name or a value of the
// metadata, leaves every number where it was. (Checkpoints add checksums to find those too.)
func TestDamageIsAnErrorOrMovesNothing(t *testing.T) {
	tensors := []Tensor{{"first", []int{3}, []float32{1, 2, 3}}, {"other", []int{2, 1}, []float32{4, 5}}}
	whole := encode(t, tensors, map[string]string{"key": "value"})
	data := 8 + int(binary.LittleEndian.Uint64(whole))
	refused := 0
	for i := range data {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[i] ^= 1 << bit
			found, _, err := decode(damaged)
			if err != nil {
				refused++
				continue
			}
			var numbers []float32
			for _, tensor := range found {
				numbers = append(numbers, tensor.Data...)
			}
			if !slices.Equal(numbers, []float32{1, 2, 3, 4, 5}) {
				t.Errorf("bit %d of byte %d (%q): read as %v", bit, i, whole[i], numbers)
			}
		}
	}
	if refused < 8*data/2 {
		t.Errorf("%d of %d flipped bits are refused", refused, 8*data)
	}
}
