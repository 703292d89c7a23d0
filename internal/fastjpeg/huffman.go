package fastjpeg

import "bytes"

// peek is the number of bits that the quick tables look at.
const peek = 10

// huffman decodes the codes of one table.
type huffman struct {
	defined bool
	spec    []byte // the parameters that the tables below were made from

	// quick[b] is what begins with the bits b: a code and the number that follows it, where both together fit.
	quick [1 << peek]quickEntry
	// short[b] is the code that b begins with: its length in the low byte, its symbol above; 0 for codes longer than peek.
	short [1 << peek]uint16
	// A code of n bits, padded to 16, is less than limit[n], and its symbol is at its value plus offset[n].
	limit   [17]uint32
	offset  [17]int32
	symbols []byte
}

// quickEntry is a coefficient.
type quickEntry struct {
	bits  uint8 // of code and number; 0 if they are longer than peek
	run   uint8 // zeros before the coefficient, or endOfBlock
	value int16
}

// endOfBlock as a run leads beyond the block.
const endOfBlock = 128

// huffmanTables reads tables (section B.2.4.2); for baseline there are two of each class.
func (d *Decoder) huffmanTables(body []byte) bool {
	for len(body) >= 17 {
		class, number, count := body[0]>>4, body[0]&15, 0
		for _, n := range body[1:17] {
			count += int(n)
		}
		if class > 1 || number > 1 || count < 1 || count > 256 || len(body) < 17+count {
			return false
		}
		if !d.codes[class][number].define(body[1:17+count], class == 1) {
			return false
		}
		body = body[17+count:]
	}
	return len(body) == 0
}

// define makes the tables of a specification: how many codes of 1 to 16 bits there are, and their symbols.
func (h *huffman) define(spec []byte, ac bool) bool {
	if bytes.Equal(spec, h.spec) {
		h.defined = true
		return true
	}
	h.defined, h.spec = false, append(h.spec[:0], spec...)
	h.symbols = h.spec[16:]
	clear(h.short[:])
	code, next := 0, 0
	for bits := 1; bits <= 16; bits++ {
		n := int(spec[bits-1])
		if code+n > 1<<bits {
			h.spec = h.spec[:0]
			return false // more codes than there are
		}
		h.offset[bits] = int32(next - code)
		if bits <= peek {
			h.fillShort(code, bits, h.symbols[next:next+n])
		}
		code, next = code+n, next+n
		h.limit[bits] = uint32(code) << (16 - bits)
		code <<= 1
	}
	if ac {
		h.fillQuick()
	}
	h.defined = true
	return true
}

// fillShort enters successive codes of one length.
func (h *huffman) fillShort(code, bits int, symbols []byte) {
	for i, symbol := range symbols {
		first := (code + i) << (peek - bits)
		for j := range 1 << (peek - bits) {
			h.short[first+j] = uint16(symbol)<<8 | uint16(bits)
		}
	}
}

// fillQuick enters the coefficients that peek bits tell (section F.2.2.2).
func (h *huffman) fillQuick() {
	for b := range h.quick {
		entry := h.short[b]
		length, run, size := int(entry&255), uint8(entry>>12), int(entry>>8&15)
		h.quick[b] = quickEntry{}
		switch {
		case length == 0 || length+size > peek:
		case size > 0:
			number := b >> (peek - length - size) & (1<<size - 1)
			h.quick[b] = quickEntry{bits: uint8(length + size), run: run, value: int16(extend(number, size))}
		case run == 0:
			h.quick[b] = quickEntry{bits: uint8(length), run: endOfBlock}
		case run == 15: // sixteen zeros
			h.quick[b] = quickEntry{bits: uint8(length), run: run}
		}
	}
}

// extend gives numbers of size bits their sign (section F.2.2.1): those that begin with 0 are negative.
func extend(number, size int) int {
	if number < 1<<(size-1) {
		return number - 1<<size + 1
	}
	return number
}
