package kernel

import "unsafe"

// place is where n numbers of a tile lie, in the storage of its map.
type place = unsafe.Pointer

// winogradLoops are the transforms of Winograd's algorithm of one family, L·D·Lᵀ for one tile of n channels. In its
// transformed form a tile has 6×6 points stride apart, always in float32; outside it has places.
type winogradLoops struct {
	tileLoops                                                                // of maps in float32
	half            tileLoops                                                // of maps in bf16
	weights         func(dst []float32, stride int, places *[9]place, n int) // G
	weightsGradient func(places *[9]place, src []float32, stride, n int)     // Gᵀ
}

// tileLoops are the transforms of maps in one storage. They compute in float32 and round results to it.
type tileLoops struct {
	input    func(dst []float32, stride int, places *[36]place, n int) // Bᵀ
	gradient func(dst []float32, stride int, places *[16]place, n int) // A
	output   func(places *[16]place, src []float32, stride, n int)     // Aᵀ
}

// of returns the transforms for the storage of a map.
func (l *winogradLoops) of(m *tiledMap) *tileLoops {
	if m.data.Half() {
		return &l.half
	}
	return &l.tileLoops
}

func portableWinogradLoops() winogradLoops {
	return winogradLoops{
		tileLoops: portableTileLoops[float32](), half: portableTileLoops[BFloat16](),
		weights: func(dst []float32, stride int, places *[9]place, n int) {
			toPoints[float32](weightsLine, 3, dst, stride, places[:], n)
		},
		weightsGradient: func(places *[9]place, src []float32, stride, n int) {
			fromPoints[float32](weightsGradientLine, 3, places[:], src, stride, n)
		},
	}
}

func portableTileLoops[T storage]() tileLoops {
	return tileLoops{
		input: func(dst []float32, stride int, places *[36]place, n int) {
			toPoints[T](inputLine, 6, dst, stride, places[:], n)
		},
		gradient: func(dst []float32, stride int, places *[16]place, n int) {
			toPoints[T](gradientLine, 4, dst, stride, places[:], n)
		},
		output: func(places *[16]place, src []float32, stride, n int) {
			fromPoints[T](outputLine, 4, places[:], src, stride, n)
		},
	}
}

// line is the transform of one row or column, of which it may use fewer than six numbers.
type line func(d [6]float32) [6]float32

// square is one channel of a tile, of at most 6×6 numbers.
type square [points]float32

// along transforms the row or column of numbers step apart in its place.
func (d *square) along(transform line, at, step int) {
	var in [6]float32
	for i := range in {
		in[i] = d[at+i*step]
	}
	for i, v := range transform(in) {
		d[at+i*step] = v
	}
}

// toPoints transforms side×side places into points: first columns, then rows.
func toPoints[T storage](transform line, side int, dst []float32, stride int, places []place, n int) {
	for i := range n {
		var d square
		for k, place := range places {
			d[k/side*6+k%side] = value(unsafe.Slice((*T)(place), n)[i])
		}
		for col := range side {
			d.along(transform, col, 6)
		}
		for row := range 6 {
			d.along(transform, row*6, 1)
		}
		for k, v := range d {
			dst[k*stride+i] = v
		}
	}
}

// fromPoints transforms points into side×side places.
func fromPoints[T storage](transform line, side int, places []place, src []float32, stride, n int) {
	for i := range n {
		var d square
		for k := range d {
			d[k] = src[k*stride+i]
		}
		for col := range 6 {
			d.along(transform, col, 6)
		}
		for row := range side {
			d.along(transform, row*6, 1)
		}
		for k, place := range places {
			unsafe.Slice((*T)(place), n)[i] = stored[T](d[k/side*6+k%side])
		}
	}
}

func inputLine(d [6]float32) [6]float32 {
	even, odd := d[4]-4*d[2], d[3]-4*d[1]
	far, farOdd := d[4]-d[2], 2*(d[3]-d[1])
	return [6]float32{4*d[0] - 5*d[2] + d[4], even + odd, even - odd, far + farOdd, far - farOdd, 4*d[1] - 5*d[3] + d[5]}
}

func gradientLine(d [6]float32) [6]float32 {
	even, odd := d[0]+d[2], d[1]+d[3]
	far, farOdd := d[0]+4*d[2], 2*d[1]+8*d[3]
	return [6]float32{d[0], even + odd, even - odd, far + farOdd, far - farOdd, d[3]}
}

func weightsLine(d [6]float32) [6]float32 {
	even, odd := (d[0]+d[2])*(-1./6), d[1]*(-1./6)
	far, farOdd := d[0]*(1./24)+d[2]*(1./6), d[1]*(1./12)
	return [6]float32{d[0] * (1. / 4), even + odd, even - odd, far + farOdd, far - farOdd, d[2]}
}

func outputLine(d [6]float32) [6]float32 {
	near, far := d[1]+d[2], d[3]+d[4]
	nearOdd, farOdd := d[1]-d[2], d[3]-d[4]
	return [6]float32{d[0] + near + far, nearOdd + 2*farOdd, near + 4*far, nearOdd + 8*farOdd + d[5]}
}

func weightsGradientLine(d [6]float32) [6]float32 {
	near, far := (d[1]+d[2])*(1./6), d[3]+d[4]
	return [6]float32{d[0]*(1./4) - near + far*(1./24), (d[3]-d[4])*(1./12) - (d[1]-d[2])*(1./6), d[5] - near + far*(1./6)}
}
