// Package perceptual finds pictures that look the same although their files differ: smaller, compressed again, or
// slightly changed in colour.
package perceptual

import (
	"math"
	"math/bits"
	"slices"
)

// Picture is packed 8-bit sRGB, three bytes a pixel, rows from top to bottom without padding. It has the fields of
// data.Image, so that Picture(image) converts one without a copy.
type Picture struct {
	Width, Height int
	Pix           []uint8 // Height·Width·3
}

// Fingerprint is a hash that near-duplicates share but for a few bits.
type Fingerprint uint64

// Bits is the length of a fingerprint.
const Bits = 64

// NearDuplicate is the largest distance at which two pictures are usually the same one. Fingerprints have 32 bits set, so
// distances are even; among a million pairs of different photographs of clothes the least was 6, and a copy that is
// compressed again or reduced to a third of its side rarely differs in more than 4.
const NearDuplicate = 4

// Distance is the number of bits that differ, 0 to 64.
func (f Fingerprint) Distance(other Fingerprint) int { return bits.OnesCount64(uint64(f ^ other)) }

const (
	side        = 32 // of the grey picture that is transformed
	frequencies = 8  // kept along each axis
)

// Hash is the DCT hash of Zauner (2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section
// 3.2.1): the picture as 32×32 grey values, their cosine transform, and of the 8×8 lowest frequencies beyond the constant
// rows and columns one bit each, whether the coefficient exceeds their median. A flat picture has the hash 0. It may be
// called concurrently.
func Hash(picture Picture) Fingerprint {
	coefficients := transform(grey(picture))
	sorted := slices.Sorted(slices.Values(coefficients[:]))
	median := (sorted[Bits/2-1] + sorted[Bits/2]) / 2
	var f Fingerprint
	for i, c := range coefficients {
		if c > median {
			f |= 1 << i
		}
	}
	return f
}

// grey reduces the picture to the mean luma (ITU-R BT.601, 0 to 255) of 32×32 equal rectangles, whose edges need not fall
// on whole pixels: copies of any size give nearly the same values.
func grey(p Picture) (values [side][side]float64) {
	for y := range p.Height {
		var row [side]float64 // of the columns' means
		line := p.Pix[y*p.Width*3:][:p.Width*3]
		for x := range p.Width {
			luma := 0.299*float64(line[3*x]) + 0.587*float64(line[3*x+1]) + 0.114*float64(line[3*x+2])
			share(x, p.Width, func(cell int, weight float64) { row[cell] += weight * luma })
		}
		share(y, p.Height, func(cell int, weight float64) {
			for x, v := range row {
				values[cell][x] += weight * v
			}
		})
	}
	return values
}

// share tells which of the 32 cells along an axis of that many pixels a pixel lies in, and what share of each cell it
// covers. The shares of a cell sum to 1.
func share(pixel, pixels int, visit func(cell int, weight float64)) {
	scale := float64(side) / float64(pixels)
	from, to := float64(pixel)*scale, float64(pixel+1)*scale
	for cell := int(from); cell < side && float64(cell) < to; cell++ {
		if weight := min(to, float64(cell+1)) - max(from, float64(cell)); weight > 0 {
			visit(cell, weight)
		}
	}
}

// cosines holds row k of the orthonormal cosine transform (DCT-II) for k = 1 … 8.
var cosines = func() (table [frequencies][side]float64) {
	for k := range table {
		for n := range side {
			table[k][n] = math.Sqrt(2./side) * math.Cos(math.Pi*float64(k+1)*(float64(n)+0.5)/side)
		}
	}
	return table
}()

// transform is the two-dimensional cosine transform at frequencies 1 … 8, [vertical, horizontal]. Rounding errors count
// as 0, so that flat pictures of every colour look alike.
func transform(values [side][side]float64) (coefficients [Bits]float64) {
	for u, vertical := range cosines {
		for v, horizontal := range cosines {
			var sum float64
			for y, row := range values {
				var line float64
				for x, value := range row {
					line += horizontal[x] * value
				}
				sum += vertical[y] * line
			}
			if math.Abs(sum) > 1e-6 {
				coefficients[u*frequencies+v] = sum
			}
		}
	}
	return coefficients
}
