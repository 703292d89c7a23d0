package data

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestWindowsStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := Image{Width: rapid.IntRange(1, 500).Draw(t, "width"), Height: rapid.IntRange(1, 500).Draw(t, "height")}
		a := DefaultAugmentation()
		a.CropScale[0] = rapid.Float64Range(0.01, 1).Draw(t, "scale")
		a.CropRatio[0] = rapid.Float64Range(0.1, 1).Draw(t, "ratio")
		w := NewSample(img, 1, 2, rapid.Uint64().Draw(t, "picture")).Window(a)
		if w.X < 0 || w.Y < 0 || w.Width < 1 || w.Height < 1 || w.X+w.Width > float64(img.Width) || w.Y+w.Height > float64(img.Height) {
			t.Fatalf("window %+v of a picture of %d×%d", w, img.Width, img.Height)
		}
	})
}

// TestWindowStatistics: areas are uniform within crop_scale, half of the views are mirrored.
func TestWindowStatistics(t *testing.T) {
	a := Augmentation{CropScale: [2]float64{0.2, 0.6}, CropRatio: [2]float64{3. / 4, 4. / 3}, Flip: 0.5}
	img := Image{Width: 1000, Height: 1000}
	var sum, flips float64
	const n = 2000
	for i := range uint64(n) {
		w := NewSample(img, 5, 0, i).Window(a)
		area := w.Width * w.Height / 1e6
		if area < 0.199 || area > 0.601 || w.Width/w.Height < 0.747 || w.Width/w.Height > 1.338 {
			t.Fatalf("window %+v is outside of %+v", w, a)
		}
		sum += area
		if w.Flip {
			flips++
		}
	}
	if math.Abs(sum/n-0.4) > 0.01 || math.Abs(flips/n-0.5) > 0.04 {
		t.Errorf("mean area %g, expected 0.4; share of mirrored views %g, expected 0.5", sum/n, flips/n)
	}
}

// TestCentralWindow: a ratio that never fits falls back to the middle, as in torchvision.
func TestCentralWindow(t *testing.T) {
	a := Augmentation{CropScale: [2]float64{1, 1}, CropRatio: [2]float64{0.5, 2}}
	for _, test := range []struct {
		width, height int
		want          Window
	}{
		{400, 100, Window{X: 100, Width: 200, Height: 100}},
		{100, 400, Window{Y: 100, Width: 100, Height: 200}},
		{120, 100, Window{Width: 120, Height: 100}},
	} {
		if got := a.centralWindow(test.width, test.height); got != test.want {
			t.Errorf("%d×%d: %+v, expected %+v", test.width, test.height, got, test.want)
		}
	}
}

// TestWindowsAreRecorded holds the streams of random numbers to what earlier versions drew: runs stay repeatable.
func TestWindowsAreRecorded(t *testing.T) {
	var got bytes.Buffer
	for picture := range uint64(6) {
		for epoch := range uint64(2) {
			fmt.Fprintf(&got, "%d %d %+v\n", picture, epoch, NewSample(Image{Width: 128, Height: 96}, 42, epoch, picture).Window(DefaultAugmentation()))
		}
	}
	const path = "testdata/windows.golden"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("windows changed:\n%s\nexpected:\n%s", got.Bytes(), want)
	}
}

// TestEveryFieldKeysTheStream: augmentations that differ anywhere draw different numbers.
func TestEveryFieldKeysTheStream(t *testing.T) {
	variants := []func(*Augmentation){
		func(a *Augmentation) {}, func(a *Augmentation) { a.CropScale[0] = 0.4 }, func(a *Augmentation) { a.CropScale[1] = 0.9 },
		func(a *Augmentation) { a.CropRatio[0] = 0.8 }, func(a *Augmentation) { a.CropRatio[1] = 1.2 }, func(a *Augmentation) { a.Flip = 0.4 },
		func(a *Augmentation) { a.Brightness = 0.1 }, func(a *Augmentation) { a.Contrast = 0.1 }, func(a *Augmentation) { a.Saturation = 0.1 },
		func(a *Augmentation) { a.Hue = 0.1 }, func(a *Augmentation) { a.Jitter = 0.1 }, func(a *Augmentation) { a.Grey = 0.1 }, func(a *Augmentation) { a.Blur = 0.1 },
	}
	seen := map[uint64]int{}
	for i, change := range variants {
		a := DefaultAugmentation()
		change(&a)
		first := a.stream(1, "purpose", 2, 3).Uint64()
		if j, ok := seen[first]; ok {
			t.Errorf("variants %d and %d share their numbers", i, j)
		}
		seen[first] = i
	}
}

// TestPartLiesWhereItIsSeen: a part of a view is cut from the same place of the picture, mirrored or not.
func TestPartLiesWhereItIsSeen(t *testing.T) {
	img := noise(40, 40)
	s := NewSample(img, 1, 0, 0)
	for _, flip := range []bool{false, true} {
		w := Window{X: 4, Y: 6, Width: 32, Height: 32, Flip: flip} // one pixel of the view is one of the picture
		whole, part := NewPixels(32), NewPixels(8)
		s.Cut(whole, w)
		s.Cut(part, w.Part(3./32, 5./32, 8./32, 8./32))
		for i, got := range part.Data {
			x, y, c := i/3%8, i/3/8, i%3
			if want := whole.Data[3*((y+5)*32+x+3)+c]; math.Abs(float64(got-want)) > 1e-6 {
				t.Fatalf("flip %v: value %d of the part is %g, in the view it is %g", flip, i, got, want)
			}
		}
	}
}

func TestSampleSharesEqualViews(t *testing.T) {
	s := NewSample(noise(96, 96), 1, 2, 3)
	a, b := DefaultAugmentation(), DefaultAugmentation()
	b.Grey = 1
	first := s.Crop(a, 32)
	if s.Crop(a, 32) != first {
		t.Error("an equal view was computed again")
	}
	if s.Crop(b, 32) == first || s.Crop(a, 48) == first {
		t.Error("different views are shared")
	}
	kept := slices.Clone(first.Data)
	s.Reset(noise(64, 80), 1, 2, 4)
	s.Crop(a, 32)
	s.Reset(noise(96, 96), 1, 2, 3)
	if !slices.Equal(s.Crop(a, 32).Data, kept) {
		t.Error("the same picture gave another view after the sample was used for another one")
	}
}

// TestScratchIsReused: lent buffers are distinct, and come back by Reset.
func TestScratchIsReused(t *testing.T) {
	s := NewSample(noise(8, 8), 1, 0, 0)
	a, b := s.Scratch(4), s.Scratch(4)
	if a == b {
		t.Error("one buffer was lent twice")
	}
	s.Reset(noise(8, 8), 1, 0, 1)
	if c := s.Scratch(4); c != a && c != b {
		t.Error("buffers are not used again")
	}
}

func TestSampleRandIsAFunctionOfItsPurpose(t *testing.T) {
	s := NewSample(noise(8, 8), 1, 0, 0)
	first := s.Rand("rotation").Uint64()
	s.Rand("other").Uint64()
	if s.Rand("rotation").Uint64() != first || s.Rand("other").Uint64() == first {
		t.Error("a stream depends on what was drawn before, or not on its purpose")
	}
	if NewSample(noise(8, 8), 1, 1, 0).Rand("rotation").Uint64() == first {
		t.Error("another epoch draws the same numbers")
	}
}
