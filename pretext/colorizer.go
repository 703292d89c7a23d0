package pretext

import (
	"fmt"

	"pretrain/data"
)

// Colorizer turns what a colorization task predicts into pictures for people to look at. It does not change and may
// be used concurrently.
type Colorizer struct{ task *colorization }

// NewColorizer is the colorizer of a task, which must be colorization.
func NewColorizer(task Task) (Colorizer, error) {
	colorization, ok := task.(*colorization)
	if !ok {
		return Colorizer{}, fmt.Errorf("task %s predicts no colours: take the task colorization", task.Name())
	}
	return Colorizer{colorization}, nil
}

// Positions is the number of rows of Output.Logits that belong to one picture.
func (c Colorizer) Positions() int { return len(c.task.cells) }

// Bins is the number of columns of Output.Logits.
func (c Colorizer) Bins() int { return len(colourBins()) }

// chroma is the range of a and b that Render maps to the values 0 to 1 of a picture.
const chroma = 128

// Render paints a picture in the predicted colours: its own lightness, at full resolution, with the decoded colours
// of the map, interpolated. logits are the rows of that picture [Positions, Bins]; the picture is the crop that was
// predicted from, in colour or not, at any side. The result belongs to the caller.
func (c Colorizer) Render(picture *data.Pixels, logits []float32) (*data.Pixels, error) {
	if len(logits) != c.Positions()*c.Bins() {
		return nil, fmt.Errorf("colorizer: %d logits for a picture: %d positions of %d bins have %d", len(logits), c.Positions(), c.Bins(), c.Positions()*c.Bins())
	}
	small := data.NewPixels(c.task.side)
	for row, cell := range c.task.cells {
		a, b := annealedMean(logits[row*c.Bins():][:c.Bins()], c.task.config.Temperature)
		small.Data[3*cell] = float32(a+chroma) / (2 * chroma)
		small.Data[3*cell+1] = float32(b+chroma) / (2 * chroma)
	}
	painted := data.NewPixels(picture.Side)
	data.ResamplePixels(painted, small, wholeView(small))
	for i := 0; i < len(painted.Data); i += 3 {
		l, _, _ := data.RGBToLab(picture.Data[i], picture.Data[i+1], picture.Data[i+2])
		a, b := painted.Data[i]*2*chroma-chroma, painted.Data[i+1]*2*chroma-chroma
		colour := labColour(l, a, b)
		copy(painted.Data[i:], colour[:])
	}
	return painted, nil
}

// labColour is the sRGB colour of Lab, cut to [0,1].
func labColour(l, a, b float32) (rgb [3]float32) {
	rgb[0], rgb[1], rgb[2] = data.LabToRGB(l, a, b)
	for i := range rgb {
		rgb[i] = max(0, min(1, rgb[i]))
	}
	return rgb
}
