package data

import (
	"bytes"
	"encoding/binary"
)

// The EXIF functions read one tag, the orientation, from any bytes whatever; what they do not understand is upright.

// exifHeader starts the EXIF segment of a JPEG, and that of some WebP files.
const exifHeader = "Exif\x00\x00"

func noEXIF([]byte) []byte { return nil }

func exifOfTIFF(contents []byte) []byte { return contents }

// exifOfJPEG walks over the segments before the picture's data to the first APP1 that holds EXIF.
func exifOfJPEG(contents []byte) []byte {
	const startOfScan, app1 = 0xda, 0xe1
	for rest := contents[min(2, len(contents)):]; len(rest) >= 4 && rest[0] == 0xff; {
		marker, length := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		if marker == 0xff { // padding
			rest = rest[1:]
			continue
		}
		if marker == startOfScan || length < 2 || 2+length > len(rest) {
			return nil
		}
		if payload := rest[4 : 2+length]; marker == app1 && bytes.HasPrefix(payload, []byte(exifHeader)) {
			return payload[len(exifHeader):]
		}
		rest = rest[2+length:]
	}
	return nil
}

// exifOfPNG finds chunk eXIf.
func exifOfPNG(contents []byte) []byte {
	for rest := contents[min(8, len(contents)):]; len(rest) >= 12; {
		length := int(binary.BigEndian.Uint32(rest))
		if length > len(rest)-12 {
			return nil
		}
		if string(rest[4:8]) == "eXIf" {
			return rest[8 : 8+length]
		}
		rest = rest[12+length:]
	}
	return nil
}

// exifOfWebP finds chunk EXIF; chunks are padded to an even length.
func exifOfWebP(contents []byte) []byte {
	for rest := contents[min(12, len(contents)):]; len(rest) >= 8; {
		length := int(binary.LittleEndian.Uint32(rest[4:]))
		if length > len(rest)-8 {
			return nil
		}
		if string(rest[:4]) == "EXIF" {
			return bytes.TrimPrefix(rest[8:8+length], []byte(exifHeader))
		}
		rest = rest[min(len(rest), 8+length+length%2):]
	}
	return nil
}

// orientation returns tag 274 of the first directory of a TIFF block (TIFF 6.0, section 2): 1 to 8, 1 when there
// is none.
func orientation(block []byte) int {
	const orientationTag, short, entryBytes = 274, 3, 12
	if len(block) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if block[0] == 'M' {
		order = binary.BigEndian
	}
	start := uint64(order.Uint32(block[4:]))
	if string(block[:2]) != "II" && string(block[:2]) != "MM" || start+2 > uint64(len(block)) {
		return 1
	}
	directory := block[start+2:]
	for range order.Uint16(block[start:]) {
		if len(directory) < entryBytes {
			break
		}
		if order.Uint16(directory) == orientationTag && order.Uint16(directory[2:]) == short {
			return validOrientation(int(order.Uint16(directory[8:])))
		}
		directory = directory[entryBytes:]
	}
	return 1
}

func validOrientation(o int) int {
	if o < 1 || o > 8 {
		return 1
	}
	return o
}

// orient turns a picture upright: EXIF orientation o says how it was stored.
func orient(img Image, o int) Image {
	if o == 1 {
		return img
	}
	transposed := o >= 5
	fromRight := o == 2 || o == 3 || o == 7 || o == 8 // source columns are read from the right
	fromBottom := o == 3 || o == 4 || o == 6 || o == 7
	stepX, stepY, start := 3, 3*img.Width, 0
	if fromRight {
		stepX, start = -stepX, start+3*(img.Width-1)
	}
	if fromBottom {
		stepY, start = -stepY, start+3*img.Width*(img.Height-1)
	}
	upright := NewImage(img.Width, img.Height)
	if transposed {
		upright.Width, upright.Height = img.Height, img.Width
		stepX, stepY = stepY, stepX
	}
	pix := upright.Pix
	for y := range upright.Height {
		for x := range upright.Width {
			copy(pix[:3], img.Pix[start+x*stepX+y*stepY:])
			pix = pix[3:]
		}
	}
	return upright
}
