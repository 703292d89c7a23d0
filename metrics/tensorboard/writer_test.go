package tensorboard

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pretrain/metrics"
	"pretrain/metrics/tensorboard/tensorboardtest"
)

func open(t *testing.T, folder string, step int64) *Writer {
	t.Helper()
	w, err := Open(folder, step)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(step int64) metrics.Record {
	accuracy := metrics.Number(0.5)
	return metrics.Record{
		Step: step, Time: time.Unix(1700000000, 500e6), Loss: 1.5, GradientNorm: metrics.Number(math.NaN()),
		Tasks: map[string]metrics.Task{"rotation": {Loss: 1.25, Weight: 1, Accuracy: &accuracy}},
	}
}

// TestFileIsReadByItsDefinitions reads back everything that can be written.
func TestFileIsReadByItsDefinitions(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tensorboard")
	w := open(t, folder, 0)
	must(t, w.Append(record(10)))
	picture := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range 6 {
		picture.SetRGBA(i%3, i/3, color.RGBA{uint8(40 * i), 1, 2, 255})
	}
	must(t, w.Image(10, "views/rotation", picture))
	var h Histogram
	h.Add([]float32{-1, 0, 0.5, 2, float32(math.NaN())}, 2)
	must(t, w.Histogram(10, "weights/head", &h))
	must(t, w.Histogram(10, "weights/none", &Histogram{}))

	events := tensorboardtest.Read(t, folder)
	if len(events) != 4 || events[0].FileVersion != "brain.Event:2" || events[0].SessionLog != nil {
		t.Fatalf("%d events, the first is %+v", len(events), events[0])
	}
	numbers := map[string]float64{}
	for _, value := range events[1].Summary.Value {
		numbers[value.Tag] = *value.SimpleValue
	}
	if numbers["loss/weighted"] != 1.5 || numbers["loss/rotation"] != 1.25 || numbers["tasks/rotation/accuracy"] != 0.5 {
		t.Errorf("the numbers are %v", numbers)
	}
	if _, there := numbers["optimizer/gradient_norm"]; there || events[1].Step != 10 || events[1].WallTime != 1700000000.5 {
		t.Errorf("the event is %+v", events[1])
	}
	shown := events[2].Summary.Value[0].Image
	decoded, err := png.Decode(bytes.NewReader(shown.EncodedImageString))
	if err != nil || shown.Height != 2 || shown.Width != 3 || shown.Colorspace != 3 || !sameColours(decoded, picture) {
		t.Errorf("the picture is %+v, %v", shown, err)
	}
	told := events[3].Summary.Value[0]
	if told.Tag != "weights/head" || told.Histo.Min != -2 || told.Histo.Max != 4 ||
		told.Histo.Num != 4 || told.Histo.Sum != 3 || told.Histo.SumSquares != 21 {
		t.Errorf("the histogram is %+v", told.Histo)
	}
}

func sameColours(a, b image.Image) bool {
	for i := range 6 {
		if color.RGBAModel.Convert(a.At(i%3, i/3)) != color.RGBAModel.Convert(b.At(i%3, i/3)) {
			return false
		}
	}
	return true
}

// TestStepsAreNotDoubled: a run that goes on from step 2 writes 3 and 4 again. What the dead process wrote of them is cut
// off, its torn last record too, and a reader that saw it is told to drop it.
func TestStepsAreNotDoubled(t *testing.T) {
	folder := t.TempDir()
	first := open(t, folder, 0)
	for step := range int64(4) {
		must(t, first.Append(record(step+1)))
	}
	torn := frame(event{step: 5}.encode())
	_, err := first.file.Write(torn[:len(torn)-1])
	must(t, err)
	for range 2 { // the second process dies before its first step
		second := open(t, folder, 2)
		must(t, second.Append(record(3)))
	}
	last := open(t, folder, 2)
	must(t, last.Append(record(3)))
	must(t, last.Append(record(4)))

	events := tensorboardtest.Read(t, folder)
	if steps := tensorboardtest.Scalars(events)["loss/weighted"]; !slices.Equal(steps, []int64{1, 2, 3, 4}) {
		t.Errorf("the steps are %v", steps)
	}
	starts := 0
	for _, event := range events {
		if event.SessionLog != nil {
			starts++
			if event.SessionLog.Status != "START" || event.Step != 3 {
				t.Errorf("a restart is told by %+v of step %d", event.SessionLog, event.Step)
			}
		}
	}
	if starts == 0 {
		t.Error("no restart is told")
	}
	files, err := CutBack(folder, math.MaxInt64)
	if err != nil || len(files) != 4 || !slices.IsSorted(files) {
		t.Errorf("the files are %v, %v", files, err)
	}
}

// TestNamesAscend though the clock went back.
func TestNamesAscend(t *testing.T) {
	now := time.Unix(1700000000, 0)
	name := nextName(nil, now)
	if want := "events.out.tfevents.1700000000.pretrain"; name != want {
		t.Errorf("the name is %s, want %s", name, want)
	}
	for _, later := range []time.Time{now, now.Add(-time.Hour), now.Add(time.Hour)} {
		if next := nextName([]string{"folder/" + name}, later); next <= name {
			t.Errorf("%s follows %s", next, name)
		}
	}
}

// TestFilesOfOthersStay: only what this program wrote is cut.
func TestFilesOfOthersStay(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "events.out.tfevents.1600000000.host")
	must(t, os.WriteFile(path, []byte("not ours"), 0o644))
	open(t, folder, 0)
	if content, err := os.ReadFile(path); err != nil || string(content) != "not ours" {
		t.Errorf("the file has %q, %v", content, err)
	}
}

func TestOpenWhereThereIsNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o644))
	if _, err := Open(path, 0); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestWriteAfterClose(t *testing.T) {
	w := open(t, t.TempDir(), 0)
	must(t, w.Close())
	if err := w.Append(record(1)); err == nil || !strings.Contains(err.Error(), "tensorboard") {
		t.Errorf("got %v", err)
	}
}

// TestBuckets: a bucket is an eighth of an octave wide, and the buckets ascend.
func TestBuckets(t *testing.T) {
	for _, test := range []struct {
		value     float32
		from, end float64
	}{
		{0, 0, 0x1p-129}, {1, 1, 1.125}, {-1, -1.125, -1}, {1.124, 1, 1.125}, {1.125, 1.125, 1.25},
		{math.MaxFloat32, 0x1.ep127, math.MaxFloat64},
	} {
		bucket := bucketOf(test.value)
		from, end := upperLimit(bucket-1), upperLimit(bucket)
		if from != test.from || end != test.end {
			t.Errorf("%g is put between %g and %g, want %g and %g", test.value, from, end, test.from, test.end)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float32().Draw(t, "a"), rapid.Float32().Draw(t, "b")
		if a < b && bucketOf(a) > bucketOf(b) {
			t.Fatalf("%g is in bucket %d, %g in %d", a, bucketOf(a), b, bucketOf(b))
		}
	})
}

// TestHistogramCountsEverything against sums and counts of the naive kind.
func TestHistogramCountsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float32Range(-10, 10), 1, 200).Draw(t, "values")
		var h Histogram
		h.Add(values[:len(values)/2], 1)
		h.Add(values[len(values)/2:], 1)
		limits, counts := h.buckets()
		if !slices.IsSorted(limits) || counts[0] != 0 || limits[0] > float64(slices.Min(values)) {
			t.Fatalf("limits %v, counts %v", limits, counts)
		}
		for i := 1; i < len(limits); i++ {
			inside := 0.0
			for _, value := range values {
				if bucket := upperLimit(bucketOf(value)); limits[i-1] < bucket && bucket <= limits[i] {
					inside++
				}
			}
			if counts[i] != inside {
				t.Fatalf("%g values up to %g, want %g", counts[i], limits[i], inside)
			}
		}
	})
}

// FuzzUnframe: rubbish is an error and never a panic, and what frame made comes back.
func FuzzUnframe(f *testing.F) {
	f.Add(frame([]byte("data")))
	f.Add(frame(nil)[:15])
	f.Fuzz(func(t *testing.T, content []byte) {
		data, rest, err := unframe(content)
		if err == nil && !bytes.Equal(append(frame(data), rest...), content) {
			t.Errorf("%x became %x and %x", content, data, rest)
		}
		stepOf(content)
	})
}
