package tensorfile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pretrain/internal/pythontest"
)

// npy is an array of version 1 of the format.
func npy(header string, values []byte) []byte {
	content := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(content, header...), values...)
}

func npzOf(t interface{ Fatal(...any) }, entries map[string][]byte) []byte {
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for name, content := range entries {
		w, err := archive.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func readNPZ(content []byte) ([]Tensor, error) {
	return ReadNPZ(bytes.NewReader(content), int64(len(content)))
}

func TestNPZ(t *testing.T) {
	content := npzOf(t, map[string][]byte{
		"a/b.npy": npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }\n", little([]float64{1, 4, 2, 5, 3, 6})),
		"n.npy":   npy("{'descr': '>f2', 'fortran_order': False, 'shape': (), }", []byte{0x3c, 0}),
		"e.npy":   npy("{'descr': '|f4', 'fortran_order': True, 'shape': (0, 5), }", nil),
		"i.npy":   npy("{'fortran_order': False, 'shape': (1,), 'descr': '<i8'}", little([]int64{-3})),
	})
	found, err := readNPZ(content)
	if err != nil {
		t.Fatal(err)
	}
	want := []Tensor{
		{"a/b", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}, {"e", []int{0, 5}, []float32{}},
		{"i", []int{1}, []float32{-3}}, {"n", []int{}, []float32{1}},
	}
	if diff := cmp.Diff(want, sorted(found)); diff != "" {
		t.Error(diff)
	}
}

func TestNPZRefuses(t *testing.T) {
	one := little([]float32{1})
	array := func(content []byte) []byte { return npzOf(t, map[string][]byte{"w.npy": content}) }
	cut := npzOf(t, map[string][]byte{"w.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", one)})
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"no archive":   {[]byte("abc"), "not a .npz file"},
		"cut":          {cut[:len(cut)-8], "not a .npz file"},
		"other entry":  {npzOf(t, map[string][]byte{"model/data.pkl": one}), `entry "model/data.pkl" is no array`},
		"no array":     {array([]byte("0123456789abcdef")), `array "w": expected an array that begins with`},
		"header":       {array(npy("{'descr': '<f4'}", one)), "lacks one of descr"},
		"long header":  {array([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff...")), "the header has 4294967295 bytes"},
		"bfloat16":     {array(npy("{'descr': '|V2', 'fortran_order': False, 'shape': (2,)}", one)), `the type is "|V2": expected float16`},
		"structured":   {array(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", one)), "lacks one of descr"},
		"short":        {array(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", one)), "4 bytes of values do not fill the shape [2]"},
		"huge":         {array(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", one)), "do not fill"},
		"size":         {array(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", one)), "out of range"},
		"not a number": {array(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", little([]float32{float32(math.NaN())}))), "value 0 is NaN"},
	} {
		if _, err := readNPZ(test.file); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

// TestCOrder: an index of C's order finds what the same index of Fortran's order has.
func TestCOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 4), 0, 4).Draw(t, "shape")
		count := 1
		for _, size := range shape {
			count *= size
		}
		data := make([]float32, count)
		for i := range data {
			data[i] = float32(i)
		}
		ordered := cOrder(data, shape)
		index := make([]int, len(shape))
		for i := range ordered {
			want, stride := 0, 1
			for axis, size := range shape {
				want += index[axis] * stride
				stride *= size
			}
			if ordered[i] != float32(want) {
				t.Fatalf("%v at %v: %v, want %d", shape, index, ordered[i], want)
			}
			for axis := len(shape) - 1; axis >= 0; axis-- {
				if index[axis]++; index[axis] < shape[axis] {
					break
				}
				index[axis] = 0
			}
		}
	})
}

// TestNumPyWritesNPZ: what numpy.savez and savez_compressed write is read.
func TestNumPyWritesNPZ(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	pythontest.Run(t, []string{"python3-numpy"}, filepath.Join("testdata", "write_npz.py"), nil, path)
	for _, ending := range []string{".npz", "-compressed.npz"} {
		content, err := os.ReadFile(path + ending)
		if err != nil {
			t.Fatal(err)
		}
		found, err := readNPZ(content)
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, tensor := range sorted(found) {
			names = append(names, fmt.Sprint(tensor.Name, tensor.Shape, tensor.Data))
		}
		want := []string{"double[2] [0.5 -3]", "fortran[2 3] [0 1 2 3 4 5]", "half[1] [65504]", "number[] [7]"}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %q", ending, names)
		}
	}
}

// FuzzNPZ feeds arbitrary bytes as an archive and as an array in one: never a panic.
func FuzzNPZ(f *testing.F) {
	array := npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2)}", little([]float32{1, 2}))
	f.Add(array)
	f.Add(npzOf(f, map[string][]byte{"w.npy": array}))
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, content := range [][]byte{input, npzOf(t, map[string][]byte{"w.npy": input})} {
			tensors, err := readNPZ(content)
			if err != nil {
				continue
			}
			for i := range tensors {
				tensors[i].Name = fmt.Sprint(i)
			}
			if err := Write(io.Discard, tensors, nil); err != nil {
				t.Errorf("accepted, but %v", err)
			}
		}
	})
}
