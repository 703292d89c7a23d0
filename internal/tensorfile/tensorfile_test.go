package tensorfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"
	"pgregory.net/rapid"
)

func encode(t interface{ Fatal(...any) }, tensors []Tensor, metadata map[string]string) []byte {
	var buffer bytes.Buffer
	if err := Write(&buffer, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func decode(file []byte) ([]Tensor, map[string]string, error) {
	r, err := NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, nil, err
	}
	tensors, err := r.All()
	return tensors, r.Metadata, err
}

// bits makes NaNs and negative zeros comparable.
var bits = cmp.Transformer("bits", math.Float32bits)

var tensorLists = rapid.Custom(func(t *rapid.T) []Tensor {
	names := rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1).Filter(func(s string) bool {
		return s != metadataKey && strings.ToValidUTF8(s, "") == s
	}), 0, 5, rapid.ID).Draw(t, "names")
	tensors := make([]Tensor, len(names))
	for i, name := range names {
		shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4).Draw(t, "shape")
		n := 1
		for _, size := range shape {
			n *= size
		}
		words := rapid.SliceOfN(rapid.Uint32(), n, n).Draw(t, "data")
		data := make([]float32, n)
		for j := range data {
			data[j] = math.Float32frombits(words[j])
		}
		tensors[i] = Tensor{Name: name, Shape: shape, Data: data}
	}
	return tensors
})

func TestRoundTripKeepsEveryBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := tensorLists.Draw(t, "tensors")
		metadata := map[string]string{"key": rapid.StringN(0, 20, -1).Filter(func(s string) bool {
			return strings.ToValidUTF8(s, "") == s
		}).Draw(t, "metadata")}
		found, foundMetadata, err := decode(encode(t, tensors, metadata))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sorted(tensors), found, bits); diff != "" && len(tensors) > 0 {
			t.Error(diff)
		}
		if diff := cmp.Diff(metadata, foundMetadata); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBytesDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := tensorLists.Draw(t, "tensors")
		backwards := slices.Clone(tensors)
		slices.Reverse(backwards)
		metadata := map[string]string{"b": "1", "a": "2", "c": "3"}
		if !bytes.Equal(encode(t, tensors, metadata), encode(t, backwards, metadata)) {
			t.Error("the order of the tensors changed the file")
		}
	})
}

func large() Tensor {
	data := make([]float32, 2*chunk+7)
	for i := range data {
		data[i] = float32(i) / 3
	}
	return Tensor{Name: "large", Shape: []int{len(data)}, Data: data}
}

func TestTensorLargerThanTheBuffer(t *testing.T) {
	want := []Tensor{large()}
	found, _, err := decode(encode(t, want, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
}

// TestLibraryReadsOurFiles holds the writer against an implementation that is not ours.
func TestLibraryReadsOurFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := tensorLists.Draw(t, "tensors")
		file := encode(t, tensors, map[string]string{"k": "v"})
		if start := 8 + binary.LittleEndian.Uint64(file); start%8 != 0 {
			t.Errorf("data start at %d: not aligned to 8", start)
		}
		library, err := safetensors.Deserialize(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tensors {
			view, ok := library.Tensor(want.Name)
			if !ok || fmt.Sprint(view.Shape()) != fmt.Sprint(want.Shape) || view.DType() != safetensors.F32 {
				t.Fatalf("library finds %q as %v %v", want.Name, view.DType(), view.Shape())
			}
			values := make([]float32, len(want.Data))
			if _, err := binary.Decode(view.Data(), binary.LittleEndian, values); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Data, values, bits); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	one := []float32{1}
	tests := map[string]struct {
		tensors []Tensor
		want    string
	}{
		"twice":      {[]Tensor{{"a", []int{1}, one}, {"a", []int{1}, one}}, `"a" is given twice`},
		"reserved":   {[]Tensor{{metadataKey, []int{1}, one}}, `"__metadata__" is empty, reserved`},
		"not UTF-8":  {[]Tensor{{"a\xff", []int{1}, one}}, "not UTF-8"},
		"nameless":   {[]Tensor{{"", []int{1}, one}}, `"" is empty`},
		"too few":    {[]Tensor{{"a", []int{2, 3}, one}}, `"a" has 1 values, which do not fill its shape [2 3]`},
		"negative":   {[]Tensor{{"a", []int{-1, -1}, one}}, "must not be negative"},
		"overflowed": {[]Tensor{{"a", []int{1 << 32, 1 << 32}, nil}}, "do not fill its shape"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := Write(io.Discard, test.tensors, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v: want %q in it", err, test.want)
			}
		})
	}
}

// file puts a hand-written header before n zero bytes.
func file(header string, n int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), make([]byte, n)...)
}

func TestReadRefuses(t *testing.T) {
	tests := map[string]struct {
		file []byte
		want string
	}{
		"empty":         {nil, "file has 0 bytes"},
		"short":         {[]byte("1234567"), "file has 7 bytes"},
		"long header":   {[]byte("\xff\xff\xff\xff\xff\xff\xff\xffabc"), "header length is 18446744073709551615"},
		"not JSON":      {file("not json", 0), "not that of a safetensors file"},
		"other type":    {file(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, 4), `"a" has type F16: expected F32`},
		"unknown type":  {file(`{"a":{"dtype":"F8","shape":[2],"data_offsets":[0,4]}}`, 4), "F8"},
		"gap":           {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "expected to start at 0"},
		"backwards":     {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}}`, 4), "-4"},
		"wrong shape":   {file(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}`, 4), `"a" has shape [3], but 4 bytes`},
		"huge shape":    {file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}`, 0), "but 0 bytes"},
		"not all there": {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4), "should fill 8 bytes, but the file has 4"},
		"something on":  {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 5), "should fill 4 bytes, but the file has 5"},
		"huge zero":     {file(`{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}`, 0), "too large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := decode(test.file)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v: want %q in it", err, test.want)
			}
		})
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	whole := encode(t, []Tensor{{"a", []int{2}, []float32{1, 2}}, {"b", nil, []float32{3}}}, map[string]string{"k": "v"})
	for n := range whole {
		if _, _, err := decode(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes passed for a whole file", n, len(whole))
		}
		// A file that shrinks while it is read.
		r, err := NewReader(bytes.NewReader(whole[:n]), int64(len(whole)))
		if err == nil {
			_, err = r.All()
		}
		if err == nil || strings.HasSuffix(err.Error(), ": EOF") {
			t.Errorf("%d of %d bytes gave error %v", n, len(whole), err)
		}
	}
}

type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left < len(p) {
		return w.left, io.ErrShortWrite
	}
	w.left -= len(p)
	return len(p), nil
}

func TestWriterErrorsArePassedOn(t *testing.T) {
	tensors := []Tensor{large()}
	size := len(encode(t, tensors, nil))
	for _, room := range []int{0, 7, 100, 4 * chunk, size - 1} {
		if err := Write(&failingWriter{room}, tensors, nil); err == nil {
			t.Errorf("room for %d of %d bytes: no error", room, size)
		}
	}
	if err := Write(&failingWriter{size}, tensors, nil); err != nil {
		t.Error(err)
	}
}

func TestChecksumIsThatOfTheBytes(t *testing.T) {
	// CRC-32C of 32 zero bytes, RFC 3720 appendix B.4.
	if sum := Checksum(make([]float32, 8)); sum != 0x8a9136aa {
		t.Errorf("checksum %08x", sum)
	}
}

// FuzzReader feeds arbitrary bytes: never a panic, and what is accepted comes out equal when written and read again.
func FuzzReader(f *testing.F) {
	f.Add(encode(f, []Tensor{{"a", []int{2}, []float32{1, 2}}, {"b", nil, []float32{3}}}, map[string]string{"k": "v"}))
	f.Add(file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 0))
	f.Add(file(`{"__metadata__":null}`, 0))
	f.Fuzz(func(t *testing.T, input []byte) {
		tensors, metadata, err := decode(input)
		if err != nil || slices.ContainsFunc(tensors, func(x Tensor) bool { return check(x) != nil }) {
			return
		}
		again, _, err := decode(encode(t, tensors, metadata))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sorted(tensors), sorted(again), bits); diff != "" {
			t.Error(diff)
		}
	})
}
