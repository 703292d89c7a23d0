//go:build !turbojpeg

package data

import "image/jpeg"

// JPEGDecoder names what decodes JPEG files in this build. Decoders differ by a few levels of a pixel, so a run keeps
// to the one that it began with.
const JPEGDecoder = "image/jpeg"

// decodeJPEG is the decoder of Go's standard library; build with -tags turbojpeg for that of libjpeg-turbo.
func decodeJPEG(contents []byte) (Image, error) { return decodeWith(jpeg.Decode)(contents) }
