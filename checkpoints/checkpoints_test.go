package checkpoints

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"
	"pgregory.net/rapid"

	"pretrain/internal/tensorfile"
)

// example is a small state that uses every field.
func example(step int64) State {
	score := 0.75
	return State{
		Info: Info{
			Step: step, Epoch: 3, Position: 17, Pictures: 1 << 40, Views: math.MaxInt64, Score: &score,
			Meta: map[string]string{"kernels": "avx512", "config": `quotes " and "header_crc32c":"00000000" inside`},
		},
		Tensors: []Tensor{
			{Name: "backbone.norm.weight", Shape: []int{3}, Data: []float32{1, float32(math.Copysign(0, -1)), 1e-40}},
			{Name: "empty", Shape: []int{0, 2}, Data: []float32{}},
			{Name: "optimizer.moment1", Shape: []int{2, 2}, Data: []float32{1, 2, 3, float32(math.Inf(1))}},
			{Name: "scalar", Shape: []int{}, Data: []float32{5}},
		},
	}
}

func encoded(t testing.TB, state State) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := encode(&buffer, state); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// store writes bytes under the name of a checkpoint.
func store(t testing.TB, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "step=00000001.ckpt")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ckpt")
	want := example(12)
	size, err := Save(path, want)
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Size() != size {
		t.Errorf("Save says %d bytes, the file has %v (%v)", size, stat.Size(), err)
	}
	found, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	if info, err := ReadInfo(path); err != nil || !cmp.Equal(want.Info, info) {
		t.Errorf("ReadInfo gave %+v, %v", info, err)
	}
	if moment, ok := found.Tensor("optimizer.moment1"); !ok || moment.Data[2] != 3 {
		t.Errorf("Tensor found %v, %v", moment, ok)
	}
	if _, ok := found.Tensor("absent"); ok {
		t.Error("Tensor found what is not there")
	}
}

func TestRoundTripOfAnyNumbers(t *testing.T) {
	numbers := rapid.Int64()
	rapid.Check(t, func(t *rapid.T) {
		info := Info{
			Step: numbers.Draw(t, "step"), Epoch: numbers.Draw(t, "epoch"), Position: numbers.Draw(t, "position"),
			Pictures: numbers.Draw(t, "pictures"), Views: numbers.Draw(t, "views"),
		}
		if score := rapid.Float64().Draw(t, "score"); rapid.Bool().Draw(t, "scored") {
			info.Score = &score
		}
		var buffer bytes.Buffer
		if err := encode(&buffer, State{Info: info}); err != nil {
			t.Fatal(err)
		}
		r, err := tensorfile.NewReader(&buffer, int64(buffer.Len()))
		if err != nil {
			t.Fatal(err)
		}
		found, err := decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(info, found.Info); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEqualStatesGiveEqualBytes(t *testing.T) {
	first, second := example(1), example(1)
	second.Tensors[0], second.Tensors[2] = second.Tensors[2], second.Tensors[0]
	if !bytes.Equal(encoded(t, first), encoded(t, second)) {
		t.Error("equal states gave different files")
	}
}

func TestLibraryOpensCheckpoints(t *testing.T) {
	file, err := safetensors.Deserialize(encoded(t, example(1)))
	if err != nil {
		t.Fatal(err)
	}
	if tensor, ok := file.Tensor("optimizer.moment1"); !ok || tensor.DataLen() != 16 {
		t.Errorf("tensor found: %v, %d bytes", ok, tensor.DataLen())
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	whole := encoded(t, example(1))
	for i := range whole {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[i] ^= 1 << bit
			r, err := tensorfile.NewReader(bytes.NewReader(damaged), int64(len(damaged)))
			if err == nil {
				_, err = decode(r)
			}
			if err == nil {
				t.Fatalf("bit %d of byte %d (%q) of %d is flipped, and nobody noticed", bit, i, whole[i], len(whole))
			}
			if newer := (*VersionError)(nil); errors.As(err, &newer) {
				t.Fatalf("bit %d of byte %d is flipped: taken for version %d", bit, i, newer.Found)
			}
		}
	}
}

func TestEveryTruncationIsFound(t *testing.T) {
	whole := encoded(t, example(1))
	for n := range whole {
		r, err := tensorfile.NewReader(bytes.NewReader(whole[:n]), int64(n))
		if err == nil {
			_, err = decode(r)
		}
		if err == nil {
			t.Fatalf("the first %d of %d bytes passed for a whole checkpoint", n, len(whole))
		}
	}
}

// resealed is a checkpoint whose metadata were changed by edit, under a header checksum that is right.
func resealed(t *testing.T, edit func(metadata map[string]string)) []byte {
	t.Helper()
	state := example(1)
	metadata, err := describe(state)
	if err != nil {
		t.Fatal(err)
	}
	edit(metadata)
	header, err := tensorfile.Header(state.Tensors, metadata)
	if err != nil {
		t.Fatal(err)
	}
	buffer := bytes.NewBuffer(seal(header))
	if err := tensorfile.WriteData(buffer, state.Tensors); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func foreign(t *testing.T) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := tensorfile.Write(&buffer, example(1).Tensors, nil); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	whole := encoded(t, example(1))
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-1] ^= 1 // in the last tensor
	set := func(key, value string) []byte {
		return resealed(t, func(metadata map[string]string) { metadata[key] = value })
	}
	tests := map[string]struct {
		file []byte
		want string
	}{
		"empty":          {nil, "file has 0 bytes"},
		"truncated":      {whole[:len(whole)-3], "truncated"},
		"flipped":        {damaged, `tensor "scalar" is damaged: expected checksum "`},
		"header flipped": {bytes.Replace(whole, []byte("avx512"), []byte("avx513"), 1), "header is damaged: expected checksum"},
		"picture":        {[]byte("\x89PNG\r\n\x1a\n and so on"), "not a safetensors file"},
		"other weights":  {foreign(t), `expected format "pretrain.checkpoint", found ""`},
		"no version":     {set(keyVersion, "x"), `format version is "x"`},
		"version 0":      {set(keyVersion, "0"), `format version is "0"`},
		"state":          {set(keyState, "{"), `metadata "state"`},
		"checksums":      {set(keyTensors, "[]"), `metadata "tensors_crc32c"`},
		"tensor missing": {set(keyTensors, `{"a":"0"}`), "expected 1 tensors, found 4"},
		"other tensors":  {set(keyTensors, `{"a":"","b":"","c":"","d":""}`), `"backbone.norm.weight" is damaged: expected checksum ""`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := store(t, test.file)
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v: want the path and %q in it", err, test.want)
			}
		})
	}
}

func TestNewerVersion(t *testing.T) {
	path := store(t, resealed(t, func(metadata map[string]string) { metadata[keyVersion] = "2" }))
	_, err := Load(path)
	newer := (*VersionError)(nil)
	if !errors.As(err, &newer) || newer.Found != 2 || newer.Path != path {
		t.Fatalf("Load gave %v", err)
	}
	if want := path + " has format version 2, newer than the 1"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q: want %q in it", err, want)
	}
	if _, err := Latest(filepath.Dir(path)); !errors.As(err, &newer) {
		t.Errorf("Latest gave %v: must not go on from an older file", err)
	}
}

func TestAbsentFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "absent.ckpt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load gave %v", err)
	}
}

func TestSaveRefusesWhatCannotBeStored(t *testing.T) {
	nan, one := math.NaN(), []float32{1}
	tests := map[string]State{
		"score is NaN":          {Info: Info{Score: &nan}},
		`"a" is given twice`:    {Tensors: []Tensor{{Name: "a", Data: one}, {Name: "a", Data: one}}},
		"do not fill its shape": {Tensors: []Tensor{{Name: "a", Shape: []int{7}, Data: one}}},
		`tensor name "" is`:     {Tensors: []Tensor{{Data: one}}},
	}
	for want, state := range tests {
		path := filepath.Join(t.TempDir(), "a.ckpt")
		_, err := Save(path, state)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v: want the path and %q in it", err, want)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
			t.Errorf("left %v (%v)", entries, err)
		}
	}
}

// fullDisk takes some bytes and no more.
type fullDisk struct{ left int }

func (w *fullDisk) Write(p []byte) (int, error) {
	n := min(w.left, len(p))
	w.left -= n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestEncodePassesOnEveryWriteError(t *testing.T) {
	size := len(encoded(t, example(1)))
	for room := range size {
		if err := encode(&fullDisk{room}, example(1)); !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("room for %d of %d bytes gave error %v", room, size, err)
		}
	}
}

// FuzzLoad feeds arbitrary bytes, with the header's checksum made right so that what is behind it is reached: never a
// panic, and whatever is accepted can be written and is accepted again.
func FuzzLoad(f *testing.F) {
	f.Add(encoded(f, example(1)))
	f.Add(encoded(f, State{}))
	f.Fuzz(func(t *testing.T, input []byte) {
		load := func(file []byte) (State, error) {
			r, err := tensorfile.NewReader(bytes.NewReader(file), int64(len(file)))
			if err != nil || r.Metadata == nil {
				return State{}, errors.Join(err, fs.ErrInvalid)
			}
			r.Metadata[keyChecksum] = checksumText(headerChecksum(r.Header))
			return decode(r)
		}
		state, err := load(input)
		if err != nil {
			return
		}
		var buffer bytes.Buffer
		if err := encode(&buffer, state); err != nil {
			return // names that we would not write
		}
		if _, err := load(buffer.Bytes()); err != nil {
			t.Errorf("written again: %v", err)
		}
	})
}
