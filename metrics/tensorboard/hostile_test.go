package tensorboard

import (
	"bytes"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"pretrain/metrics/tensorboard/tensorboardtest"
)

// TestChecksum: the published values of CRC-32C (RFC 3720, appendix B.4), masked as TFRecord files have it.
func TestChecksum(t *testing.T) {
	ascending := make([]byte, 32)
	for i := range ascending {
		ascending[i] = byte(i)
	}
	for _, test := range []struct {
		data []byte
		crc  uint32
	}{{make([]byte, 32), 0x8a9136aa}, {bytes.Repeat([]byte{0xff}, 32), 0x62a8ab43}, {ascending, 0x46dd794e}} {
		if want := (test.crc>>15 | test.crc<<17) + 0xa282ead8; checksum(test.data) != want {
			t.Errorf("% x: %#x, want %#x", test.data[:4], checksum(test.data), want)
		}
	}
}

// TestEveryDamageIsFound: a record that has one bit turned, or lacks its end, is no record.
func TestEveryDamageIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "data")
		record := frame(data)
		got, rest, err := unframe(slices.Concat(record, data))
		if err != nil || !bytes.Equal(got, data) || !bytes.Equal(rest, data) {
			t.Fatalf("it came back as %x and %x, %v", got, rest, err)
		}
		bit := rapid.IntRange(0, 8*len(record)-1).Draw(t, "bit")
		damaged := slices.Clone(record)
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, _, err := unframe(damaged); !errors.Is(err, errTorn) {
			t.Fatalf("with bit %d turned: %v", bit, err)
		}
		if _, _, err := unframe(record[:rapid.IntRange(0, len(record)-1).Draw(t, "length")]); !errors.Is(err, errTorn) {
			t.Fatalf("torn: %v", err)
		}
	})
}

func TestStepOf(t *testing.T) {
	for name, test := range map[string]struct {
		data []byte
		want int64
		ok   bool
	}{
		"nothing":          {nil, 0, true},
		"an event":         {event{step: 300, values: [][]byte{scalarValue("a", 1)}}.encode(), 300, true},
		"the first event":  {event{fileVersion: version}.encode(), 0, true},
		"a negative step":  {event{step: -1}.encode(), -1, true},
		"fields before it": {appendInt(appendBytes(nil, 9, []byte("x")), eventStep, 7), 7, true},
		"a step of bytes":  {appendBytes(nil, eventStep, []byte{7}), 0, true}, // of another definition: not our step
		"half a tag":       {[]byte{0x80}, 0, false},
		"half a step":      {[]byte{eventStep << 3, 0x80}, 0, false},
		"half a field":     {[]byte{9<<3 | byte(protowire.BytesType), 5, 1}, 0, false},
	} {
		got, err := stepOf(test.data)
		if got != test.want && test.ok || (err == nil) != test.ok {
			t.Errorf("%s: step %d, %v", name, got, err)
		}
	}
}

// TestCutBackOfDamagedFiles: what is whole before the damage stays, and what follows it goes, for nobody can find its
// beginning.
func TestCutBackOfDamagedFiles(t *testing.T) {
	event := func(step int64) []byte { return frame(event{step: step, at: time.Unix(1, 0)}.encode()) }
	whole := slices.Concat(event(1), event(2))
	damaged := slices.Clone(event(3))
	damaged[len(damaged)-1] ^= 1
	for name, test := range map[string]struct {
		content, want []byte
		step          int64
	}{
		"empty":              {nil, nil, 9},
		"nothing to cut":     {whole, whole, 2},
		"a later step":       {slices.Concat(whole, event(3), event(4)), whole, 2},
		"all of it":          {whole, nil, 0},
		"a torn end":         {slices.Concat(whole, event(3)[:9]), whole, 9},
		"a damaged record":   {slices.Concat(whole, damaged, event(4)), whole, 9},
		"no event in it":     {slices.Concat(whole, frame([]byte{0x80}), event(4)), whole, 9},
		"another format":     {[]byte("step,loss\n1,2\n"), nil, 9},
		"a length too large": {slices.Concat(whole, bytes.Repeat([]byte{0xff}, 40)), whole, 9},
	} {
		path := filepath.Join(t.TempDir(), nextName(nil, time.Unix(1, 0)))
		must(t, os.WriteFile(path, test.content, 0o644))
		files, err := CutBack(filepath.Dir(path), test.step)
		if err != nil || !slices.Equal(files, []string{path}) {
			t.Errorf("%s: %v, %v", name, files, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("%s: %d bytes are left of %d, want %d (%v)", name, len(got), len(test.content), len(test.want), err)
		}
	}
}

func TestCutBackOfFoldersThatAreNone(t *testing.T) {
	if files, err := CutBack(filepath.Join(t.TempDir(), "none"), 1); len(files) != 0 || err != nil {
		t.Errorf("no folder: %v, %v", files, err)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, nextName(nil, time.Now()))
	must(t, os.Mkdir(path, 0o755))
	if _, err := CutBack(folder, 1); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a folder named as a file: %v", err)
	}
	if _, err := Open(folder, 1); err == nil || !strings.Contains(err.Error(), "tensorboard") {
		t.Errorf("a file cannot be begun there: %v", err)
	}
}

// TestAnyResumption: whenever a run is killed, and however often, what a reader finds in the end is every step once, in order.
func TestAnyResumption(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		folder, err := os.MkdirTemp(t.TempDir(), "run")
		must(t, err)
		last := int64(0) // step of the last line
		for range rapid.IntRange(1, 4).Draw(rt, "processes") {
			from := rapid.Int64Range(0, last).Draw(rt, "checkpoint")
			w, err := Open(folder, from)
			must(t, err)
			last = from
			for range rapid.IntRange(0, 5).Draw(rt, "steps") {
				last++
				must(t, w.Append(record(last)))
			}
			if rapid.Bool().Draw(rt, "torn") {
				whole := frame(event{step: last + 1}.encode())
				_, err := w.file.Write(whole[:rapid.IntRange(0, len(whole)-1).Draw(rt, "bytes")])
				must(t, err)
			}
			must(t, w.Close())
		}
		_, err = CutBack(folder, last)
		must(t, err)
		steps := tensorboardtest.Scalars(tensorboardtest.Read(t, folder))["loss/weighted"]
		if int64(len(steps)) != last {
			rt.Fatalf("steps %v, want 1 to %d", steps, last)
		}
		for i, step := range steps {
			if step != int64(i+1) {
				rt.Fatalf("steps %v", steps)
			}
		}
	})
}

// TestManyWriters: records of several goroutines do not run into each other.
func TestManyWriters(t *testing.T) {
	folder := t.TempDir()
	w := open(t, folder, 0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for step := range int64(20) {
				if err := w.Append(record(step)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if events := tensorboardtest.Read(t, folder); len(events) != 1+8*20 {
		t.Errorf("%d events", len(events))
	}
}

// TestHistogramsThatAreEmpty, or hold nothing finite, are not written.
func TestHistogramsThatAreEmpty(t *testing.T) {
	folder := t.TempDir()
	w := open(t, folder, 0)
	var odd, one Histogram
	odd.Add([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32}, 2)
	one.Add([]float32{0}, 1)
	for _, h := range []*Histogram{{}, &odd, &one} {
		must(t, w.Histogram(3, "weights", h))
	}
	events := tensorboardtest.Read(t, folder)
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	histogram := events[1].Summary.Value[0].Histo
	sum := 0.0
	for _, count := range histogram.Bucket {
		sum += count
	}
	if histogram.Num != 1 || sum != 1 || len(histogram.Bucket) != len(histogram.BucketLimit) || !slices.IsSorted(histogram.BucketLimit) {
		t.Errorf("%+v", histogram)
	}
}

// TestPicturesThatAreNone are an error that names what they are of.
func TestPicturesThatAreNone(t *testing.T) {
	w := open(t, t.TempDir(), 0)
	if err := w.Image(1, "views/rotation", image.NewRGBA(image.Rectangle{})); err == nil || !strings.Contains(err.Error(), "views/rotation") {
		t.Errorf("no pixels: %v", err)
	}
}

// TestAFullDisk is an error, not a torn file that nobody knows of.
func TestAFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	w := &Writer{file: file}
	defer w.Close()
	if err := w.Append(record(1)); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("got %v", err)
	}
}
