package fastjpeg

import (
	"encoding/binary"

	"pretrain/internal/pixel"
)

// stream reads bits of entropy-coded data (section F.2.2.5).
type stream struct {
	data []byte
	at   int
	bits uint64 // those not read yet, from the highest on; zeros follow
	n    int    // how many there are
}

// fill makes at least 32 bits available, if there are as many before the next marker.
func (s *stream) fill() {
	if s.at+4 <= len(s.data) {
		four := binary.BigEndian.Uint32(s.data[s.at:])
		if inverse := ^four; (inverse-0x01010101)&^inverse&0x80808080 == 0 { // no byte is 0xff
			s.bits |= uint64(four) << (32 - s.n)
			s.n += 32
			s.at += 4
			return
		}
	}
	for s.n <= 56 && s.at < len(s.data) {
		b, step := s.data[s.at], 1
		if b == 0xff {
			if s.at+1 >= len(s.data) || s.data[s.at+1] != 0 {
				return // a marker
			}
			step = 2
		}
		s.bits |= uint64(b) << (56 - s.n)
		s.n += 8
		s.at += step
	}
}

// drop forgets bits; n falls below zero when there were fewer.
func (s *stream) drop(bits int) {
	s.bits <<= uint(bits) & 63
	s.n -= bits
}

// symbol reads a code; false if there is none such. There are 32 bits, or all that is left.
func (s *stream) symbol(h *huffman) (uint8, bool) {
	if entry := h.short[s.bits>>(64-peek)]; entry != 0 {
		s.drop(int(entry & 255))
		return uint8(entry >> 8), true
	}
	next := uint32(s.bits >> 48)
	for length := peek + 1; length <= 16; length++ {
		if next < h.limit[length] {
			s.drop(length)
			return h.symbols[int32(next>>(16-length))+h.offset[length]], true
		}
	}
	return 0, false
}

// number reads a signed number of at most 16 bits.
func (s *stream) number(size int) int {
	if size == 0 {
		return 0
	}
	bits := int(s.bits >> (64 - size))
	s.drop(size)
	return extend(bits, size)
}

// scan decodes the only scan, which the end of the image must follow at once.
func (d *Decoder) scan(data []byte) bool {
	d.stream = stream{data: data}
	defer func() { d.data = nil }() // contents are the caller's
	luma := d.components[0]
	columns, rows := cells(d.width, 8*luma.h), cells(d.height, 8*luma.v)
	for i := range d.components {
		c := &d.components[i]
		c.stride = columns * c.h * 8
		d.planes[i] = grow(d.planes[i], c.stride*rows*c.v*8)
		c.plane = d.planes[i]
	}
	for unit := range columns * rows {
		if d.restartInterval > 0 && unit > 0 && unit%d.restartInterval == 0 && !d.restart(unit/d.restartInterval-1) {
			return false
		}
		if !d.unit(unit%columns, unit/columns) {
			return false
		}
	}
	return d.follows(endOfImage)
}

// cells is how many cells of the given size cover a length.
func cells(length, size int) int { return (length + size - 1) / size }

// restart reads the restart marker of the given number.
func (d *Decoder) restart(number int) bool {
	if !d.follows(restart0 + uint8(number&7)) {
		return false
	}
	d.bits, d.n, d.at = 0, 0, d.at+2
	for i := range d.components {
		d.components[i].prediction = 0
	}
	return true
}

// follows reports whether nothing is left before the next marker, which has to be the given one.
func (d *Decoder) follows(marker uint8) bool {
	return d.n < 8 && d.at+2 <= len(d.data) && d.data[d.at] == 0xff && d.data[d.at+1] == marker
}

// unit decodes the blocks of one minimum coded unit (section A.2.3).
func (d *Decoder) unit(column, row int) bool {
	for i := range d.components {
		c := &d.components[i]
		for y := range c.v {
			for x := range c.h {
				first := ((row*c.v+y)*c.stride + (column*c.h + x)) * 8
				if !d.decodeBlock(c, c.plane[first:]) {
					return false
				}
			}
		}
	}
	return true
}

// decodeBlock reads 64 coefficients and writes 8×8 pixels.
func (d *Decoder) decodeBlock(c *component, dst []uint8) bool {
	if d.n < 32 {
		d.fill()
	}
	size, ok := d.symbol(&d.codes[0][c.dc])
	if !ok || size > 16 {
		return false
	}
	c.prediction += int32(d.number(int(size)))
	q := &d.quantizers[c.quantizer]
	d.block[0] = c.prediction * q[0]
	last, ok := d.coefficients(&d.codes[1][c.ac], q)
	if !ok || d.n < 0 {
		return false
	}
	if last == 0 {
		pixel.InverseFlat(dst, c.stride, d.block[0])
		return true
	}
	pixel.InverseDCT(dst, c.stride, &d.block)
	clear(d.block[:])
	return true
}

// coefficients reads those after the first into the block and returns the position of the last (section F.2.2.2).
func (d *Decoder) coefficients(h *huffman, q *[64]int32) (last int, ok bool) {
	block, s := &d.block, d.stream
	for k := 1; k < 64; k++ {
		if s.n < 32 {
			if s.n < 0 {
				return 0, false
			}
			s.fill()
		}
		if entry := h.quick[s.bits>>(64-peek)]; entry.bits != 0 {
			s.drop(int(entry.bits))
			if k += int(entry.run); k > 63 {
				d.stream = s
				return last, k >= endOfBlock
			}
			block[natural[k]&63], last = int32(entry.value)*q[k], k
			continue
		}
		symbol, ok := s.symbol(h)
		run, size := int(symbol>>4), int(symbol&15)
		if !ok || size == 0 && run != 0 && run != 15 {
			return 0, false
		}
		if symbol == 0 {
			break
		}
		value := int32(s.number(size))
		if k += run; k > 63 {
			return 0, false
		}
		block[natural[k]&63], last = value*q[k], k
	}
	d.stream = s
	return last, true
}

// natural is where the coefficients of a zigzag (figure A.6) stand in a transposed block.
var natural = [64]uint8{
	0, 8, 1, 2, 9, 16, 24, 17, 10, 3, 4, 11, 18, 25, 32, 40,
	33, 26, 19, 12, 5, 6, 13, 20, 27, 34, 41, 48, 56, 49, 42, 35,
	28, 21, 14, 7, 15, 22, 29, 36, 43, 50, 57, 58, 51, 44, 37, 30,
	23, 31, 38, 45, 52, 59, 60, 53, 46, 39, 47, 54, 61, 62, 55, 63,
}

// grow returns n bytes with undefined content, in the memory of s where it suffices.
func grow(s []uint8, n int) []uint8 {
	if cap(s) < n {
		return make([]uint8, n)
	}
	return s[:n]
}
