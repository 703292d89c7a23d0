package data

import (
	"errors"
	"image"
	"image/color"
	"io"

	"golang.org/x/image/webp"

	"pretrain/internal/pixel"
)

// FromImage is a picture that was decoded elsewhere, as Decode would give it: over white where it is transparent. Nothing is
// known of its orientation. A picture without pixels, or with more than MaxPixels, is an error.
func FromImage(picture image.Image) (Image, error) {
	if picture == nil {
		return Image{}, errors.New("there is no picture (nil)")
	}
	bounds := picture.Bounds()
	if err := checkDimensions(image.Config{Width: bounds.Dx(), Height: bounds.Dy()}); err != nil {
		return Image{}, err
	}
	return toRGB(picture), nil
}

// toRGB packs a decoded picture of any colour model into 8-bit RGB, over white where it is transparent.
func toRGB(picture image.Image) Image {
	bounds := picture.Bounds()
	img := NewImage(bounds.Dx(), bounds.Dy())
	switch m := picture.(type) {
	case *image.YCbCr: // nearly every photograph
		packYCbCr(img.Pix, m)
		return img
	case *image.Gray:
		packGrey(img.Pix, m)
		return img
	}
	at := pixelReader(picture)
	pix := img.Pix
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			white := 0xffff - uint32(c.A) // colours are premultiplied: white shows through the rest
			pix[0] = to8(uint32(c.R) + white)
			pix[1] = to8(uint32(c.G) + white)
			pix[2] = to8(uint32(c.B) + white)
			pix = pix[3:]
		}
	}
	return img
}

// pixelReader avoids an allocation for each pixel where the picture's type allows it.
func pixelReader(picture image.Image) func(x, y int) color.RGBA64 {
	if fast, ok := picture.(image.RGBA64Image); ok {
		return fast.RGBA64At
	}
	return func(x, y int) color.RGBA64 {
		return color.RGBA64Model.Convert(picture.At(x, y)).(color.RGBA64)
	}
}

// to8 rounds a 16-bit value to 8 bits.
func to8(v uint32) uint8 { return uint8((min(v, 0xffff)*255 + 0x7fff) / 0xffff) }

// packYCbCr converts as color.YCbCrToRGB does, row by row.
func packYCbCr(pix []uint8, m *image.YCbCr) {
	width, shared := m.Rect.Dx(), 1
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420:
		shared = 2
	case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
		shared = 4
	}
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		c := m.COffset(m.Rect.Min.X, y)
		pixel.YCbCr(pix[:3*width], m.Y[m.YOffset(m.Rect.Min.X, y):][:width], m.Cb[c:], m.Cr[c:], shared, m.Rect.Min.X%shared)
		pix = pix[3*width:]
	}
}

// packGrey gives all three colours the one value.
func packGrey(pix []uint8, m *image.Gray) {
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for _, v := range m.Pix[m.PixOffset(m.Rect.Min.X, y):][:m.Rect.Dx()] {
			pix[0], pix[1], pix[2] = v, v, v
			pix = pix[3:]
		}
	}
}

// decodeWebP corrects the colours of lossy WebP: its YCbCr has the range of video (16 to 235), which the image
// package does not know, so that pictures would come out pale.
func decodeWebP(r io.Reader) (image.Image, error) {
	picture, err := webp.Decode(r)
	if err != nil {
		return nil, err
	}
	switch m := picture.(type) {
	case *image.YCbCr:
		return fromVideoRange(m, func(x, y int) uint8 { return 255 }), nil
	case *image.NYCbCrA:
		return fromVideoRange(&m.YCbCr, func(x, y int) uint8 { return m.A[m.AOffset(x, y)] }), nil
	}
	return picture, nil
}

func fromVideoRange(m *image.YCbCr, alpha func(x, y int) uint8) *image.NRGBA {
	rgb := image.NewNRGBA(m.Rect)
	pix := rgb.Pix
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
			c := m.COffset(x, y)
			pix[0], pix[1], pix[2] = videoToRGB(int32(m.Y[m.YOffset(x, y)]), int32(m.Cb[c]), int32(m.Cr[c]))
			pix[3] = alpha(x, y)
			pix = pix[4:]
		}
	}
	return rgb
}

// videoToRGB is ITU-R BT.601 with video range, in the fixed-point arithmetic of libwebp (src/dsp/yuv.h).
func videoToRGB(y, cb, cr int32) (r, g, b uint8) {
	luma := y * 19077 >> 8
	return clip(luma + cr*26149>>8 - 14234),
		clip(luma - cb*6419>>8 - cr*13320>>8 + 8708),
		clip(luma + cb*33050>>8 - 17685)
}

func clip(v int32) uint8 { return uint8(max(0, min(255, v>>6))) }
