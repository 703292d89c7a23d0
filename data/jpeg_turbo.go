//go:build turbojpeg

package data

/*
#cgo pkg-config: libturbojpeg
#include <turbojpeg.h>
*/
import "C"

import (
	"errors"
	"unsafe"
)

var errTurbo = errors.New("libjpeg-turbo cannot decode it")

// JPEGDecoder names what decodes JPEG files in this build. Decoders differ by a few levels of a pixel, so a run keeps
// to the one that it began with.
const JPEGDecoder = "libjpeg-turbo"

// decodeJPEG decodes with libjpeg-turbo (Debian: libturbojpeg0-dev), several times as fast as Go's decoder and with
// smoother chroma, so that pixels differ by a few levels from those of the default build. Whatever libjpeg-turbo
// refuses or warns of, and CMYK, is left to Go's decoder, so that both builds read the same files.
func decodeJPEG(contents []byte) (Image, error) {
	if img, err := decodeTurbo(contents); err == nil {
		return img, nil
	}
	return decodeGoJPEG(contents)
}

func decodeTurbo(contents []byte) (Image, error) {
	handle := C.tjInitDecompress()
	if handle == nil {
		return Image{}, errTurbo
	}
	defer C.tjDestroy(handle)
	source, length := (*C.uchar)(unsafe.Pointer(unsafe.SliceData(contents))), C.ulong(len(contents))
	var width, height, subsampling, colourspace C.int
	if C.tjDecompressHeader3(handle, source, length, &width, &height, &subsampling, &colourspace) != 0 {
		return Image{}, errTurbo
	}
	if colourspace == C.TJCS_CMYK || colourspace == C.TJCS_YCCK || width < 1 || height < 1 || int(height) > MaxPixels/int(width) {
		return Image{}, errTurbo
	}
	img := NewImage(int(width), int(height))
	target := (*C.uchar)(unsafe.Pointer(unsafe.SliceData(img.Pix)))
	if C.tjDecompress2(handle, source, length, target, width, 0, height, C.TJPF_RGB, C.TJFLAG_ACCURATEDCT) != 0 {
		return Image{}, errTurbo
	}
	return img, nil
}
