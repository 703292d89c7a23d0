package tensorboard

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// version is that of event files in which a restart is told by a session log.
const version = "brain.Event:2"

// event is the message Event, of which one of fileVersion, restart and values is set.
type event struct {
	at          time.Time
	step        int64
	fileVersion string
	restart     bool     // what earlier events say of step and later ones does not count any more
	values      [][]byte // encoded messages Summary.Value
}

// Numbers of fields and enumerated values, as in TensorFlow's event.proto, summary.proto and histogram.proto.
const (
	eventWallTime, eventStep, eventFileVersion, eventSummary, eventSessionLog = 1, 2, 3, 5, 7

	sessionStatus, sessionStart = 1, 1

	summaryValue = 1

	valueTag, valueSimple, valueImage, valueHistogram = 1, 2, 4, 5

	imageHeight, imageWidth, imageColourSpace, imageEncoded = 1, 2, 3, 4
	colourSpaceRGB                                          = 3

	histogramMin, histogramMax, histogramCount, histogramSum, histogramSquares = 1, 2, 3, 4, 5
	histogramLimits, histogramBuckets                                          = 6, 7
)

func (e event) encode() []byte {
	message := appendDouble(nil, eventWallTime, float64(e.at.UnixNano())/1e9)
	message = appendInt(message, eventStep, e.step)
	switch {
	case e.fileVersion != "":
		return appendBytes(message, eventFileVersion, []byte(e.fileVersion))
	case e.restart:
		return appendBytes(message, eventSessionLog, appendInt(nil, sessionStatus, sessionStart))
	}
	var summary []byte
	for _, value := range e.values {
		summary = appendBytes(summary, summaryValue, value)
	}
	return appendBytes(message, eventSummary, summary)
}

func scalarValue(tag string, value float64) []byte {
	message := appendBytes(nil, valueTag, []byte(tag))
	message = protowire.AppendTag(message, valueSimple, protowire.Fixed32Type)
	return protowire.AppendFixed32(message, math.Float32bits(float32(value)))
}

func imageValue(tag string, picture image.Image) ([]byte, error) {
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return nil, err
	}
	size := picture.Bounds().Size()
	message := appendInt(nil, imageHeight, int64(size.Y))
	message = appendInt(message, imageWidth, int64(size.X))
	message = appendInt(message, imageColourSpace, colourSpaceRGB)
	message = appendBytes(message, imageEncoded, encoded.Bytes())
	return appendBytes(appendBytes(nil, valueTag, []byte(tag)), valueImage, message), nil
}

func histogramValue(tag string, h *Histogram) []byte {
	limits, buckets := h.buckets()
	message := appendDouble(nil, histogramMin, h.min)
	message = appendDouble(message, histogramMax, h.max)
	message = appendDouble(message, histogramCount, float64(h.count))
	message = appendDouble(message, histogramSum, h.sum)
	message = appendDouble(message, histogramSquares, h.squares)
	message = appendDoubles(message, histogramLimits, limits)
	message = appendDoubles(message, histogramBuckets, buckets)
	return appendBytes(appendBytes(nil, valueTag, []byte(tag)), valueHistogram, message)
}

func appendInt(message []byte, field protowire.Number, value int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(message, field, protowire.VarintType), uint64(value))
}

func appendDouble(message []byte, field protowire.Number, value float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(message, field, protowire.Fixed64Type), math.Float64bits(value))
}

// appendDoubles packs the values.
func appendDoubles(message []byte, field protowire.Number, values []float64) []byte {
	var packed []byte
	for _, value := range values {
		packed = protowire.AppendFixed64(packed, math.Float64bits(value))
	}
	return appendBytes(message, field, packed)
}

func appendBytes(message []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(message, field, protowire.BytesType), value)
}
