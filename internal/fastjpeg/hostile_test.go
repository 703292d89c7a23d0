package fastjpeg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"testing"
)

// drawing writes a JPEG file of its own making: any sampling factors, sizes and restart intervals, with Huffman codes as
// long as a table says. Coefficients are random.
type drawing struct {
	width, height int
	factors       [][2]int // of each component
	restart       int      // minimum coded units between markers; 0 = none
	long          bool     // codes of 16 bits
	random        *rand.Rand

	out  []byte
	bits uint32
	n    int // bits that are not written yet
}

// symbols of the tables: sizes of DC coefficients; and for AC ones the end of a block, sixteen zeros, and some runs.
var (
	dcSymbols = []byte{0, 1, 2, 3, 5, 8}
	acSymbols = []byte{0x00, 0x01, 0x02, 0x13, 0x25, 0x51, 0xf0, 0xf1}
)

// width of a symbol's code: all codes of a table have the same.
func (d *drawing) codeLength() int {
	if d.long {
		return 16
	}
	return 4
}

// segment appends a marker with parameters.
func (d *drawing) segment(marker byte, body ...byte) {
	d.out = append(d.out, 0xff, marker)
	d.out = binary.BigEndian.AppendUint16(d.out, uint16(len(body)+2))
	d.out = append(d.out, body...)
}

// put writes bits into the entropy-coded data, with a zero behind every byte of ones.
func (d *drawing) put(value, count int) {
	for i := count - 1; i >= 0; i-- {
		d.bits, d.n = d.bits<<1|uint32(value>>i&1), d.n+1
		if d.n == 8 {
			d.out = append(d.out, byte(d.bits))
			if byte(d.bits) == 0xff {
				d.out = append(d.out, 0)
			}
			d.bits, d.n = 0, 0
		}
	}
}

// align fills a byte up with ones.
func (d *drawing) align() {
	for d.n > 0 {
		d.put(1, 1)
	}
}

func (d *drawing) code(symbols []byte, symbol byte) {
	d.put(slices.Index(symbols, symbol), d.codeLength())
}

// block writes 64 coefficients.
func (d *drawing) block() {
	size := dcSymbols[d.random.IntN(len(dcSymbols))]
	d.code(dcSymbols, size)
	d.put(d.random.IntN(1<<size), int(size))
	for k := 1; k < 64; {
		symbol := acSymbols[d.random.IntN(len(acSymbols))]
		run, bits := int(symbol>>4), int(symbol&15)
		if symbol != 0 && k+run > 63 {
			continue
		}
		d.code(acSymbols, symbol)
		if symbol == 0 {
			return
		}
		d.put(d.random.IntN(1<<bits), bits)
		k += run + 1
	}
}

// write returns the file.
func (d *drawing) write() []byte {
	d.out = []byte{0xff, 0xd8}
	quantizer := make([]byte, 65)
	for i := range quantizer[1:] {
		quantizer[1+i] = byte(1 + d.random.IntN(30))
	}
	d.segment(quantization, quantizer...)
	frame := []byte{8, byte(d.height >> 8), byte(d.height), byte(d.width >> 8), byte(d.width), byte(len(d.factors))}
	scan := []byte{byte(len(d.factors))}
	for i, f := range d.factors {
		frame = append(frame, byte(i+1), byte(f[0]<<4|f[1]), 0)
		scan = append(scan, byte(i+1), 0)
	}
	d.segment(startOfFrame, frame...)
	for class, symbols := range [][]byte{dcSymbols, acSymbols} {
		counts := make([]byte, 16)
		counts[d.codeLength()-1] = byte(len(symbols))
		d.segment(defineHuffman, slices.Concat([]byte{byte(class << 4)}, counts, symbols)...)
	}
	if d.restart > 0 {
		d.segment(restartEvery, byte(d.restart>>8), byte(d.restart))
	}
	d.segment(startOfScan, append(scan, 0, 63, 0)...)
	d.units()
	return append(d.out, 0xff, endOfImage)
}

// units writes the entropy-coded data.
func (d *drawing) units() {
	h, v, blocks := 1, 1, 1
	if len(d.factors) > 1 {
		h, v, blocks = d.factors[0][0], d.factors[0][1], 0
		for _, f := range d.factors {
			blocks += f[0] * f[1]
		}
	}
	for unit := range cells(d.width, 8*h) * cells(d.height, 8*v) {
		if d.restart > 0 && unit > 0 && unit%d.restart == 0 {
			d.align()
			d.out = append(d.out, 0xff, restart0+byte((unit/d.restart-1)&7))
		}
		for range blocks {
			d.block()
		}
	}
	d.align()
}

// samplings are those that are read, by name.
var samplings = map[string][][2]int{
	"grey": {{1, 1}}, "grey of 2×2": {{2, 2}}, "grey of 4×1": {{4, 1}},
	"4:4:4": {{1, 1}, {1, 1}, {1, 1}}, "4:2:2": {{2, 1}, {1, 1}, {1, 1}}, "4:4:0": {{1, 2}, {1, 1}, {1, 1}},
	"4:2:0": {{2, 2}, {1, 1}, {1, 1}},
}

// TestEverySizeAndSampling from one pixel on, with and without restarts: all of them are read, to the pixels of image/jpeg,
// by one Decoder whose memory is too large or too small each time.
func TestEverySizeAndSampling(t *testing.T) {
	for name, factors := range samplings {
		t.Run(name, func(t *testing.T) {
			d := new(Decoder)
			for size := range 17 * 17 {
				x := drawing{
					width: size%17 + 1, height: size/17 + 1, factors: factors, restart: size % 4,
					long: size%3 == 0, random: rand.New(rand.NewPCG(uint64(size), 1)),
				}
				if !check(t, d, x.write()) {
					t.Fatalf("%d×%d, restarts every %d: was declined", x.width, x.height, x.restart)
				}
			}
		})
	}
}

// TestOtherSamplings are left to image/jpeg.
func TestOtherSamplings(t *testing.T) {
	for _, factors := range [][][2]int{
		{{3, 1}}, {{1, 3}}, {{1, 1}, {2, 1}, {1, 1}}, {{2, 2}, {1, 2}, {1, 1}}, {{4, 1}, {1, 1}, {1, 1}}, {{1, 4}, {1, 1}, {1, 1}},
		{{4, 4}, {1, 1}, {1, 1}}, {{2, 2}, {2, 2}, {2, 2}}, {{1, 1}, {1, 1}}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}},
	} {
		x := drawing{width: 20, height: 20, factors: factors, random: rand.New(rand.NewPCG(2, 2))}
		if check(t, new(Decoder), x.write()) {
			t.Errorf("%v was read", factors)
		}
	}
}

// smallFile is a picture of 24×17 pixels in 4:2:0 with restarts.
func smallFile() []byte {
	x := drawing{width: 24, height: 17, factors: samplings["4:2:0"], restart: 1, random: rand.New(rand.NewPCG(7, 7))}
	return x.write()
}

// TestEveryPrefix of a file: none is read, and none stops the Decoder from reading the whole.
func TestEveryPrefix(t *testing.T) {
	whole, d := smallFile(), new(Decoder)
	for n := range whole {
		if _, err := d.Decode(whole[:n], plenty); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a file", n, len(whole))
		}
	}
	if !check(t, d, whole) {
		t.Error("the whole was declined")
	}
}

// TestEveryHeaderByte takes each value that there is for each byte before the scan.
func TestEveryHeaderByte(t *testing.T) {
	whole, d := smallFile(), new(Decoder)
	scan := bytes.Index(whole, []byte{0xff, startOfScan})
	for at := range scan + 14 {
		damaged := slices.Clone(whole)
		for value := range 256 {
			if damaged[at] = byte(value); !check(t, d, damaged) {
				continue
			}
			if t.Failed() {
				t.Fatalf("byte %d as %#x is not read as image/jpeg reads it", at, value)
			}
		}
	}
}

// TestEveryMarkerIsLost: without any one of its segments a file is declined, but for those that say nothing of pixels.
func TestEveryMarkerIsLost(t *testing.T) {
	whole := smallFile()
	for rest, at := whole[2:], 2; ; {
		marker, body, after, ok := segment(rest)
		if !ok {
			t.Fatal("the test's own file is damaged")
		}
		length := 4 + len(body)
		for name, damaged := range map[string][]byte{
			"lost":  slices.Delete(slices.Clone(whole), at, at+length),
			"empty": slices.Concat(whole[:at+2], []byte{0, 2}, whole[at+length:]),
			"short": slices.Concat(whole[:at+2], []byte{0, 1}, whole[at+length:]),
			"long":  slices.Concat(whole[:at+2], []byte{0xff, 0xff}, whole[at+4:]),
			"one byte shorter": slices.Concat(whole[:at+2], binary.BigEndian.AppendUint16(nil, uint16(length-3)),
				whole[at+4:at+length-1], whole[at+length:]),
			"one byte longer": slices.Concat(whole[:at+2], binary.BigEndian.AppendUint16(nil, uint16(length-1)),
				whole[at+4:at+length], []byte{0}, whole[at+length:]),
		} {
			if check(t, new(Decoder), damaged) {
				t.Errorf("a file was read whose segment %#x is %s", marker, name)
			}
		}
		if marker == startOfScan {
			return
		}
		rest, at = after, at+length
	}
}

// TestTwice: a second frame, or a second scan, is for image/jpeg, and tables that are defined twice count as they were last.
func TestTwice(t *testing.T) {
	whole := smallFile()
	twice := func(marker byte) []byte {
		at := bytes.Index(whole, []byte{0xff, marker})
		length := 2 + int(binary.BigEndian.Uint16(whole[at+2:]))
		return slices.Insert(slices.Clone(whole), at, whole[at:at+length]...)
	}
	for marker, want := range map[byte]bool{
		startOfFrame: false, startOfScan: false, defineHuffman: true, quantization: true, restartEvery: true,
	} {
		if got := check(t, new(Decoder), twice(marker)); got != want {
			t.Errorf("with the segment %#x twice a file is read: %v, want %v", marker, got, want)
		}
	}
	at := bytes.Index(whole, []byte{0xff, quantization})
	other := slices.Concat([]byte{0xff, quantization, 0, 67, 0}, bytes.Repeat([]byte{99}, 64))
	if !check(t, new(Decoder), slices.Insert(slices.Clone(whole), at, other...)) {
		t.Error("a quantizer that is replaced before it is used was too much")
	}
}

// TestRestartsInDisorder: a marker that is lost, comes twice, has another number or stands elsewhere.
func TestRestartsInDisorder(t *testing.T) {
	whole := smallFile()
	var places []int
	for at := bytes.Index(whole, []byte{0xff, startOfScan}); at+1 < len(whole); at++ {
		if whole[at] == 0xff && whole[at+1]&0xf8 == restart0 {
			places = append(places, at)
		}
	}
	if len(places) != 3 { // between 2×2 units
		t.Fatalf("%d restarts, want 3", len(places))
	}
	for i, at := range places {
		other := slices.Clone(whole)
		other[at+1] = restart0 + byte((i+3)&7)
		for name, damaged := range map[string][]byte{
			"lost": slices.Delete(slices.Clone(whole), at, at+2), "doubled": slices.Insert(slices.Clone(whole), at, whole[at:at+2]...),
			"of another number": other, "early": slices.Insert(slices.Delete(slices.Clone(whole), at, at+2), at-1, whole[at:at+2]...),
		} {
			if check(t, new(Decoder), damaged) {
				t.Errorf("a file was read whose marker %d is %s", i, name)
			}
		}
	}
}

// TestHuffmanTables: more codes of a length than there are, none, or more symbols than bytes.
func TestHuffmanTables(t *testing.T) {
	for name, test := range map[string]struct {
		counts  [16]byte
		symbols int
		want    bool
	}{
		"one code":                     {[16]byte{1}, 1, true},
		"all codes of a bit":           {[16]byte{2}, 2, true},
		"three codes of a bit":         {[16]byte{3}, 3, false},
		"one too many of two bits":     {[16]byte{1, 3}, 4, false},
		"as many of two bits":          {[16]byte{1, 2}, 3, true},
		"no codes":                     {[16]byte{}, 0, false},
		"256 codes of eight bits":      {[16]byte{7: 255, 8: 1}, 256, true},
		"257 codes":                    {[16]byte{8: 255, 9: 2}, 257, false},
		"codes of 16 bits alone":       {[16]byte{15: 200}, 200, true},
		"fewer symbols than codes":     {[16]byte{2: 5}, 4, false},
		"more symbols than codes":      {[16]byte{2: 5}, 6, false},
		"a long code behind all short": {[16]byte{2, 15: 1}, 3, false},
	} {
		body := slices.Concat([]byte{0x10}, test.counts[:], make([]byte, test.symbols))
		if got := new(Decoder).huffmanTables(body); got != test.want {
			t.Errorf("%s: taken %v, want %v", name, got, test.want)
		}
	}
	good := slices.Concat([]byte{0x00}, []byte{1}, make([]byte, 16))
	for _, first := range []byte{0x02, 0x0f, 0x20, 0xf0} {
		body := slices.Clone(good)
		body[0] = first
		if new(Decoder).huffmanTables(body) {
			t.Errorf("a table of class and number %#x was taken", first)
		}
	}
	if !new(Decoder).huffmanTables(slices.Concat(good, good)) || new(Decoder).huffmanTables(good[:16]) {
		t.Error("two tables in a segment are one too many, or half a table is enough")
	}
}

// TestTablesAreReplaced: a table that was damaged does not pass for the one before it, and none of the file before counts.
func TestTablesAreReplaced(t *testing.T) {
	whole, d := smallFile(), new(Decoder)
	if !check(t, d, whole) {
		t.Fatal("was declined")
	}
	at := bytes.Index(whole, []byte{0xff, defineHuffman})
	length := 2 + int(binary.BigEndian.Uint16(whole[at+2:]))
	if check(t, d, slices.Delete(slices.Clone(whole), at, at+length)) {
		t.Error("a file without a table was read by that of another file")
	}
	damaged := slices.Clone(whole)
	damaged[at+5] = 3 // codes of one bit
	if check(t, d, damaged) || !check(t, d, whole) {
		t.Error("a damaged table was taken, or stayed")
	}
}

// TestMemoryIsKept: pictures of one size need no memory but for the header of the image, and the last one is overwritten.
func TestMemoryIsKept(t *testing.T) {
	d := new(Decoder)
	files := [][]byte{file(t, "420"), smallFile()}
	first, err := d.Decode(files[0], plenty)
	if err != nil {
		t.Fatal(err)
	}
	before := &first.(*image.YCbCr).Y[0]
	second, err := d.Decode(files[1], plenty)
	if err != nil || &second.(*image.YCbCr).Y[0] != before {
		t.Errorf("a smaller picture has planes of its own (%v)", err)
	}
	allocations := testing.AllocsPerRun(20, func() {
		for _, contents := range files {
			if _, err := d.Decode(contents, plenty); err != nil {
				t.Fatal(err)
			}
		}
	})
	if perFile := allocations / float64(len(files)); perFile > 4 {
		t.Errorf("%g allocations a file", perFile)
	}
}

// TestLimits of pixels are checked before anything of that size is allocated.
func TestLimits(t *testing.T) {
	x := drawing{width: 65535, height: 65535, factors: samplings["4:4:4"], random: rand.New(rand.NewPCG(1, 1))}
	contents := hugeHeader(t, x)
	if _, err := new(Decoder).Decode(contents, plenty); err == nil {
		t.Error("4 billion pixels were read")
	}
	small := smallFile()
	for limit, want := range map[int]bool{24 * 17: true, 24*17 - 1: false, 0: false, -1: false} {
		if _, err := new(Decoder).Decode(small, limit); (err == nil) != want {
			t.Errorf("at most %d pixels: %v", limit, err)
		}
	}
	for _, size := range [][2]int{{0, 5}, {5, 0}, {0, 0}} {
		contents := slices.Clone(small)
		at := bytes.Index(contents, []byte{0xff, startOfFrame})
		binary.BigEndian.PutUint16(contents[at+5:], uint16(size[0]))
		binary.BigEndian.PutUint16(contents[at+7:], uint16(size[1]))
		if check(t, new(Decoder), contents) {
			t.Errorf("%d×%d pixels were read", size[1], size[0])
		}
	}
}

// hugeHeader is a small file that says it is huge.
func hugeHeader(t *testing.T, x drawing) []byte {
	t.Helper()
	contents := smallFile()
	at := bytes.Index(contents, []byte{0xff, startOfFrame})
	binary.BigEndian.PutUint16(contents[at+5:], uint16(x.height))
	binary.BigEndian.PutUint16(contents[at+7:], uint16(x.width))
	if config, err := jpeg.DecodeConfig(bytes.NewReader(contents)); err != nil || config.Width != x.width || config.Height != x.height {
		t.Fatal(fmt.Errorf("%+v: %w", config, err))
	}
	return contents
}
