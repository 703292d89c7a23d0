//go:build !turbojpeg

package data

// JPEGDecoder names what decodes JPEG files in this build. Decoders differ by a few levels of a pixel, so a run keeps
// to the one that it began with.
const JPEGDecoder = "image/jpeg"

// decodeJPEG gives the pixels of Go's standard library; build with -tags turbojpeg for those of libjpeg-turbo.
func decodeJPEG(contents []byte) (Image, error) { return decodeGoJPEG(contents) }
