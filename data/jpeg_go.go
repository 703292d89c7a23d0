//go:build !turbojpeg

package data

import "image/jpeg"

// decodeJPEG is the decoder of Go's standard library; build with -tags turbojpeg for that of libjpeg-turbo.
func decodeJPEG(contents []byte) (Image, error) { return decodeWith(jpeg.Decode)(contents) }
