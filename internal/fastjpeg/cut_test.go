package fastjpeg

import (
	"bytes"
	"errors"
	"image"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestEveryCut: wherever a file ends, it is declined, or read as image/jpeg reads it, and the same Decoder then reads whole files.
func TestEveryCut(t *testing.T) {
	d := new(Decoder)
	for _, name := range []string{"tiny", "grey", "420"} {
		whole := file(t, name)
		for end := range len(whole) {
			if check(t, d, whole[:end]) {
				t.Errorf("%s was decoded from %d of %d bytes", name, end, len(whole))
			}
		}
		if !check(t, d, whole) {
			t.Errorf("%s was declined after its parts", name)
		}
	}
}

// TestWhatFollowsIsIgnored, as cameras put previews and notes behind the picture.
func TestWhatFollowsIsIgnored(t *testing.T) {
	for _, tail := range [][]byte{{0}, {0xff}, bytes.Repeat([]byte{0xff, 0xd8}, 40), file(t, "tiny")} {
		if !check(t, new(Decoder), append(file(t, "444"), tail...)) {
			t.Errorf("%d bytes behind the end are too much", len(tail))
		}
	}
}

// TestHalvedDownwards: chroma that is halved in height alone, which no common program writes. A file halved in width alone becomes
// one when its factors and its sides are exchanged: it then has as many units of as many blocks.
func TestHalvedDownwards(t *testing.T) {
	contents := slices.Clone(file(t, "422"))
	at := bytes.Index(contents, []byte{0xff, startOfFrame, 0, 17, 8}) + 5
	height, width := slices.Clone(contents[at:at+2]), slices.Clone(contents[at+2:at+4])
	copy(contents[at:], append(width, height...))
	turned := replaced(contents, []byte{1, 0x21, 0}, []byte{1, 0x12, 0})
	if !check(t, new(Decoder), turned) {
		t.Fatal("was declined")
	}
	got, err := new(Decoder).Decode(turned, plenty)
	if ycbcr, ok := got.(*image.YCbCr); err != nil || !ok || ycbcr.SubsampleRatio != image.YCbCrSubsampleRatio440 {
		t.Errorf("%T, %v", got, err)
	}
}

// inFrame changes bytes of the frame of a file, counted from its marker.
func inFrame(contents []byte, changes map[int]byte) []byte {
	return changed(contents, []byte{0xff, startOfFrame, 0}, changes)
}

// changed changes bytes that are counted from a place in a file, which has to be there.
func changed(contents, place []byte, changes map[int]byte) []byte {
	at := bytes.Index(contents, place)
	if at < 0 {
		panic("the file does not hold what the test changes")
	}
	copied := slices.Clone(contents)
	for offset, value := range changes {
		copied[at+offset] = value
	}
	return copied
}

// without takes away the first segment of a marker.
func without(contents []byte, marker byte) []byte {
	at := bytes.Index(contents, []byte{0xff, marker, 0})
	return slices.Delete(slices.Clone(contents), at, at+2+int(contents[at+2])<<8+int(contents[at+3]))
}

// TestHeadersOutOfTheOrdinary are declined by the header alone, before anything is computed; a Decoder that has seen them reads
// whole files as before, and takes no table of an earlier file for one that is missing.
func TestHeadersOutOfTheOrdinary(t *testing.T) {
	whole, grey := file(t, "420"), file(t, "grey")
	d := new(Decoder)
	for name, contents := range map[string][]byte{
		"no width":               inFrame(whole, map[int]byte{7: 0, 8: 0}),
		"no height":              inFrame(whole, map[int]byte{5: 0, 6: 0}),
		"two components":         inFrame(whole, map[int]byte{9: 2}),
		"four components":        inFrame(whole, map[int]byte{9: 4}),
		"no components":          inFrame(whole, map[int]byte{9: 0}),
		"thirds":                 inFrame(whole, map[int]byte{11: 0x31}),
		"finer chroma":           inFrame(whole, map[int]byte{14: 0x22}),
		"no sampling":            inFrame(whole, map[int]byte{11: 0}),
		"grey in thirds":         inFrame(grey, map[int]byte{11: 0x33}),
		"grey without sampling":  inFrame(grey, map[int]byte{11: 0x01}),
		"quantizer 4":            inFrame(whole, map[int]byte{12: 4}),
		"a frame too short":      inFrame(whole, map[int]byte{3: 16}),
		"two frames":             inserted(inserted(whole, greyFrame), greyFrame),
		"no frame":               without(whole, startOfFrame),
		"no quantizers":          without(grey, quantization),
		"no tables":              without(grey, defineHuffman),
		"a quantizer cut short":  changed(whole, []byte{0xff, quantization, 0, 67}, map[int]byte{3: 66}),
		"a number of quantizers": changed(whole, []byte{0xff, quantization, 0, 67}, map[int]byte{4: 4}),
		"restarts of 3 bytes":    inserted(whole, []byte{0xff, restartEvery, 0, 5, 0, 0, 0}),
		"a scan of other parts":  changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{5: 9}),
		"a scan of one part":     changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{4: 1}),
		"table 2":                changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{6: 0x20}),
		"table 3 of AC":          changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{6: 0x03}),
		"some of the spectrum":   changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{12: 62}),
		"from the fifth on":      changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{11: 5}),
		"half the bits":          changed(whole, []byte{0xff, startOfScan, 0}, map[int]byte{13: 0x10}),
		"a segment of 1 byte":    inserted(whole, []byte{0xff, comment, 0, 1}),
		"a segment to the end":   inserted(whole, []byte{0xff, comment, 0xff, 0xff}),
		"no marker":              inserted(whole, []byte{0x12, 0x34, 0, 2}),
		"arithmetic coding":      inserted(whole, []byte{0xff, 0xcc, 0, 3, 0}),
		"a second beginning":     inserted(whole, []byte{0xff, 0xd8, 0, 2}),
	} {
		if check(t, d, contents) {
			t.Errorf("%s: was decoded", name)
		}
		if _, err := d.Decode(contents, plenty); !errors.Is(err, ErrDeclined) {
			t.Errorf("%s: %v", name, err)
		}
		if !check(t, d, whole) || !check(t, d, grey) {
			t.Fatalf("%s: whole files are declined after it", name)
		}
	}
}

// greyFrame is the frame of a grey picture of 8×8 pixels.
var greyFrame = []byte{0xff, startOfFrame, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0}

// TestUnusualButOrdinary: what may be in a file without being looked at, and may be in another order.
func TestUnusualButOrdinary(t *testing.T) {
	whole := file(t, "422")
	table := []byte{0xff, quantization, 0, 67, 3}
	for name, contents := range map[string][]byte{
		"a profile":               inserted(whole, append([]byte{0xff, 0xe2, 0, 14}, "ICC_PROFILE\x00"...)),
		"an empty comment":        inserted(whole, []byte{0xff, comment, 0, 2}),
		"a table that is unused":  inserted(whole, append(table, bytes.Repeat([]byte{1}, 64)...)),
		"a table that is defined": inserted(whole, append([]byte{0xff, quantization, 0, 67, 0}, bytes.Repeat([]byte{9}, 64)...)),
		"Adobe's YCbCr":           inserted(whole, append([]byte{0xff, app14, 0, 14}, "Adobe\x00\x64\x00\x00\x00\x00\x01"...)),
		"no restarts at all":      inserted(whole, []byte{0xff, restartEvery, 0, 4, 0, 0}),
		"no JFIF":                 replaced(whole, []byte("JFIF"), []byte("none")),
	} {
		if !check(t, new(Decoder), contents) {
			t.Errorf("%s: was declined", name)
		}
	}
	adobe := append([]byte{0xff, app14, 0, 14}, "Adobe\x00\x64\x00\x00\x00\x00\x00"...)
	if check(t, new(Decoder), replaced(inserted(whole, adobe), []byte("JFIF"), []byte("none"))) {
		t.Error("Adobe's RGB was taken for YCbCr")
	}
}

// TestLimitOfPixels is exact: a picture of so many is decoded, and one more is declined whatever the header says of it.
func TestLimitOfPixels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 0xffff).Draw(t, "width"), rapid.IntRange(1, 0xffff).Draw(t, "height")
		body := []byte{8, byte(height >> 8), byte(height), byte(width >> 8), byte(width), 1, 1, 0x11, 0}
		limit := rapid.IntRange(0, 1<<33).Draw(t, "limit")
		for _, most := range []int{limit, width * height, width*height - 1} {
			d := new(Decoder)
			if got := d.frame(body, most); got != (width*height <= most) {
				t.Fatalf("%d×%d of at most %d: %v", width, height, most, got)
			}
		}
	})
}
