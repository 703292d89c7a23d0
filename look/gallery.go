package look

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"pretrain/data"
)

// Gallery is what a training shows of itself at one moment.
type Gallery struct {
	Step   int64   `json:"step"`
	Epoch  int64   `json:"epoch"` // completed
	Sheets []Sheet `json:"sheets"`
}

// tile is a Tile as a web page takes it.
type tile struct {
	Caption string  `json:"caption"`
	Image   string  `json:"image"` // a data: address
	Side    int     `json:"side"`  // pixels
	Outcome Outcome `json:"outcome,omitempty"`
}

// MarshalJSON writes the picture into the text, as JPEG at its own size.
func (t Tile) MarshalJSON() ([]byte, error) {
	if t.Pixels == nil {
		return []byte("null"), nil
	}
	var picture bytes.Buffer
	if err := encodeJPEG(&picture, rgba(t.Pixels)); err != nil {
		return nil, fmt.Errorf("tile %q: %w", t.Caption, err)
	}
	return json.Marshal(tile{
		Caption: t.Caption, Image: "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(picture.Bytes()),
		Side: t.Pixels.Side, Outcome: t.Outcome,
	})
}

// HeatTile is a heat map of values over a picture. It stretches small differences, so the caption tells how far the greatest
// value exceeds the mean one.
func HeatTile(caption string, picture *data.Pixels, values []float32) Tile {
	var sum float32
	for _, value := range values {
		sum += value
	}
	peak := slices.Max(values) / sum * float32(len(values))
	return Tile{Caption: fmt.Sprintf("%s\npeak %.1f x mean", caption, peak), Pixels: Overlay(picture, values)}
}
