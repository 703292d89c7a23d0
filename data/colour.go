package data

import "math"

// whiteD65 is the white point of sRGB in CIE XYZ, Y = 1 (2° observer).
var whiteD65 = [3]float64{0.95047, 1, 1.08883}

// linearToXYZ is the matrix of IEC 61966-2-1 from linear sRGB to CIE XYZ under D65.
var linearToXYZ = [3][3]float64{
	{0.4124564, 0.3575761, 0.1804375},
	{0.2126729, 0.7151522, 0.0721750},
	{0.0193339, 0.1191920, 0.9503041},
}

var xyzToLinear = invert(linearToXYZ)

// The constants of CIE's f near black: (6/29)³ and (29/6)²/3.
const (
	labEdge  = 216. / 24389
	labSlope = 841. / 108
)

// RGBToLab converts an sRGB colour in [0,1] to CIE L*a*b* under D65: L in [0,100], a and b within about ±110.
// Values outside [0,1] are clamped first.
func RGBToLab(r, g, b float32) (l, a, bb float32) {
	linear := [3]float64{toLinear(r), toLinear(g), toLinear(b)}
	var f [3]float64
	for i, row := range linearToXYZ {
		f[i] = labForward((row[0]*linear[0] + row[1]*linear[1] + row[2]*linear[2]) / whiteD65[i])
	}
	return float32(116*f[1] - 16), float32(500 * (f[0] - f[1])), float32(200 * (f[1] - f[2]))
}

// LabToRGB is the inverse of RGBToLab. The result lies outside [0,1] where sRGB has no such colour: clamp it to
// show it, or compare it with [0,1] to learn whether the colour is in the gamut.
func LabToRGB(l, a, b float32) (r, g, bb float32) {
	y := (float64(l) + 16) / 116
	xyz := [3]float64{labInverse(y + float64(a)/500), labInverse(y), labInverse(y - float64(b)/200)}
	for i := range xyz {
		xyz[i] *= whiteD65[i]
	}
	var rgb [3]float32
	for i, row := range xyzToLinear {
		rgb[i] = fromLinear(row[0]*xyz[0] + row[1]*xyz[1] + row[2]*xyz[2])
	}
	return rgb[0], rgb[1], rgb[2]
}

// ToLab writes L, a, b of every pixel of p to dst, interleaved like p.Data.
func ToLab(dst []float32, p *Pixels) {
	for i := 0; i+2 < len(p.Data); i += 3 {
		dst[i], dst[i+1], dst[i+2] = RGBToLab(p.Data[i], p.Data[i+1], p.Data[i+2])
	}
}

// labForward is CIE's f: the cube root with a straight line near black.
func labForward(t float64) float64 {
	if t > labEdge {
		return math.Cbrt(t)
	}
	return labSlope*t + 4./29
}

func labInverse(f float64) float64 {
	if f > 6./29 {
		return f * f * f
	}
	return (f - 4./29) / labSlope
}

// linearTable holds the sRGB transfer function at steps of 1/4096; between them a straight line errs by less
// than 1e-7, at a tenth of the cost of a power.
var linearTable = func() (table [4097]float64) {
	for i := range table {
		table[i] = decodeGamma(float64(i) / 4096)
	}
	return table
}()

func toLinear(v float32) float64 {
	x := float64(clamp(v)) * 4096
	i := min(int(x), 4095)
	return linearTable[i] + (x-float64(i))*(linearTable[i+1]-linearTable[i])
}

// decodeGamma is the sRGB transfer function of IEC 61966-2-1.
func decodeGamma(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// fromLinear is the inverse transfer function, odd so that colours outside of the gamut keep their sign.
func fromLinear(v float64) float32 {
	switch {
	case v < 0:
		return -fromLinear(-v)
	case v <= 0.0031308:
		return float32(v * 12.92)
	}
	return float32(1.055*math.Pow(v, 1/2.4) - 0.055)
}
