package pretext

import (
	"slices"

	"pretrain/data"
	"pretrain/look"
)

// Exhibit is one picture of a batch as a task saw it, with what the task was asked and what it answered.
type Exhibit struct {
	Sample   *data.Sample
	Views    []*data.Pixels // as the backbone gets them, without normalisation; the caller's
	Canvases []Canvas       // the same in the batch
	Target   []float32      // of the picture
	Logits   []float32      // Output.Logits of the whole batch
	Picture  int            // its place in the batch
	Pictures int            // of the batch that the task looks at
}

// Illustrator is a task that can draw its question, its answer and the truth. Tasks that are none are shown by their views
// alone.
type Illustrator interface {
	Illustrate(e Exhibit) ([]look.Tile, error)
}

// row is one row of the logits, of which the batch has so many.
func (e Exhibit) row(number, rows int) []float32 {
	width := len(e.Logits) / rows
	return e.Logits[number*width:][:width]
}

// likeliest is the class of the greatest logit.
func likeliest(logits []float32) int { return slices.Index(logits, slices.Max(logits)) }
