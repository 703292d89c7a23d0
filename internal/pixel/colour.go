package pixel

// YCbCr converts a row of pixels to red, green, blue as color.YCbCrToRGB does. As many pixels as `shared` says have a
// chroma sample in common, the first one as many less as `offset`. dst holds three bytes for each of luma.
func YCbCr(dst, luma, cb, cr []uint8, shared, offset int) {
	dst = dst[:3*len(luma)]
	samples := (len(luma) + offset + shared - 1) / shared
	cb, cr = cb[:samples], cr[:samples]
	done := 0
	if offset == 0 {
		done = yCbCr(dst, luma, cb, cr, shared)
	}
	yCbCrPortable(dst[3*done:], luma[done:], cb[done/shared:], cr[done/shared:], shared, offset)
}

// yCbCrPortable computes with a chroma sample once for all pixels that share it.
func yCbCrPortable(dst, luma, cb, cr []uint8, shared, offset int) {
	end := min(len(luma), shared-offset)
	for column, c := 0, 0; column < len(luma); c++ {
		cb, cr := int32(cb[c])-128, int32(cr[c])-128
		red, green, blue := 91881*cr, 22554*cb+46802*cr, 116130*cb // JFIF's factors · 2¹⁶
		for ; column < end; column++ {
			grey := int32(luma[column]) * 0x10101 // 257/256 of it · 2¹⁶, so that white stays white
			dst[0], dst[1], dst[2] = clip16(grey+red), clip16(grey-green), clip16(grey+blue)
			dst = dst[3:]
		}
		end = min(len(luma), end+shared)
	}
}

// clip16 is v / 2¹⁶ within a byte.
func clip16(v int32) uint8 {
	if uint32(v)&0xff000000 == 0 {
		return uint8(v >> 16)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}
