package data

import (
	"fmt"
	"math"
	"math/rand/v2"

	"pretrain/internal/random"
)

// Augmentation describes the random changes that make a view from a picture, in the order in which they are made:
// crop, flip, colour jitter, grey, blur. Two equal values (==) ask for the very same view of a picture in an epoch;
// values that differ in any field draw independent random numbers.
type Augmentation struct {
	CropScale  [2]float64 `mapstructure:"crop_scale" validate:"dive,gt=0,lte=1" doc:"least and greatest share of the picture's area that a crop covers"`
	CropRatio  [2]float64 `mapstructure:"crop_ratio" validate:"dive,gt=0" doc:"least and greatest width/height of a crop before it is made square"`
	Flip       float64    `mapstructure:"flip" validate:"gte=0,lte=1" doc:"probability of mirroring left to right"`
	Brightness float64    `mapstructure:"brightness" validate:"gte=0,lte=1" doc:"brightness is multiplied by 1 ± up to this"`
	Contrast   float64    `mapstructure:"contrast" validate:"gte=0,lte=1" doc:"contrast is multiplied by 1 ± up to this"`
	Saturation float64    `mapstructure:"saturation" validate:"gte=0,lte=1" doc:"saturation is multiplied by 1 ± up to this"`
	Hue        float64    `mapstructure:"hue" validate:"gte=0,lte=0.5" doc:"hue is turned by up to ± this share of a full turn"`
	Jitter     float64    `mapstructure:"jitter" validate:"gte=0,lte=1" doc:"probability that brightness, contrast, saturation and hue are changed at all"`
	Grey       float64    `mapstructure:"grey" validate:"gte=0,lte=1" doc:"probability of losing all colour"`
	Blur       float64    `mapstructure:"blur" validate:"gte=0,lte=1" doc:"probability of a Gaussian blur, standard deviation 0.1 to 2 pixels of a 224-pixel view, scaled to the view's side"`
}

// DefaultAugmentation is a mild treatment that suits pretext tasks; contrastive tasks want more.
func DefaultAugmentation() Augmentation {
	return Augmentation{
		CropScale: [2]float64{0.35, 1}, CropRatio: [2]float64{3. / 4, 4. / 3}, Flip: 0.5,
		Brightness: 0.2, Contrast: 0.2, Saturation: 0.2, Hue: 0.05, Jitter: 0.5,
	}
}

// Check finds ranges whose ends are the wrong way round.
func (a Augmentation) Check() error {
	if a.CropScale[0] > a.CropScale[1] {
		return fmt.Errorf("data.augmentation.crop_scale is %v: the first number must not exceed the second; swap them", a.CropScale)
	}
	if a.CropRatio[0] > a.CropRatio[1] {
		return fmt.Errorf("data.augmentation.crop_ratio is %v: the first number must not exceed the second; swap them", a.CropRatio)
	}
	return nil
}

// WithoutColour returns a with its geometry only: neither jitter nor grey nor blur. Like any other value it draws
// windows of its own; to leave only the colours out of a view of a, cut s.Window(a).
func (a Augmentation) WithoutColour() Augmentation {
	return Augmentation{CropScale: a.CropScale, CropRatio: a.CropRatio, Flip: a.Flip}
}

// stream returns the random numbers that augmentation a uses for one purpose and one picture in one epoch.
func (a Augmentation) stream(seed uint64, purpose string, epoch, picture uint64) *rand.Rand {
	fields := [...]float64{a.CropScale[0], a.CropScale[1], a.CropRatio[0], a.CropRatio[1], a.Flip,
		a.Brightness, a.Contrast, a.Saturation, a.Hue, a.Jitter, a.Grey, a.Blur}
	var parts [2 + len(fields)]uint64
	parts[0], parts[1] = epoch, picture
	for i, field := range fields {
		parts[2+i] = math.Float64bits(field)
	}
	return random.New(seed, purpose, parts[:]...)
}

// Window is a rectangle of a picture in pixels, (0,0) being the outer corner of its top left pixel; it need not
// fall on whole pixels. Flip says that the view of it is mirrored left to right.
type Window struct {
	X, Y, Width, Height float64
	Flip                bool
}

// Whole is the window of the whole picture.
func Whole(img Image) Window {
	return Window{Width: float64(img.Width), Height: float64(img.Height)}
}

// Centre is the greatest square in the middle of the picture.
func Centre(img Image) Window {
	side := float64(img.Side())
	return Window{X: (float64(img.Width) - side) / 2, Y: (float64(img.Height) - side) / 2, Width: side, Height: side}
}

// Part returns a part of a window: x, y, width and height are shares (0 to 1) of the view as it is seen, so that
// the part of a mirrored window is mirrored itself and lies where the viewer sees it.
func (w Window) Part(x, y, width, height float64) Window {
	if w.Flip {
		x = 1 - x - width
	}
	return Window{X: w.X + x*w.Width, Y: w.Y + y*w.Height, Width: width * w.Width, Height: height * w.Height, Flip: w.Flip}
}

// cropAttempts is torchvision's number of tries before it falls back to a central crop.
const cropAttempts = 10

// window draws a random resized crop as torchvision's RandomResizedCrop does (Szegedy et al. 2015): an area within
// CropScale, a ratio log-uniform within CropRatio, on whole pixels; a central crop if ten tries do not fit.
func (a Augmentation) window(rng *rand.Rand, width, height int) Window {
	w, found := Window{}, false
	for try := 0; try < cropAttempts && !found; try++ {
		w, found = a.tryWindow(rng, width, height)
	}
	if !found {
		w = a.centralWindow(width, height)
	}
	w.Flip = rng.Float64() < a.Flip
	return w
}

func (a Augmentation) tryWindow(rng *rand.Rand, width, height int) (Window, bool) {
	area := float64(width) * float64(height) * uniform(rng, a.CropScale[0], a.CropScale[1])
	ratio := math.Exp(uniform(rng, math.Log(a.CropRatio[0]), math.Log(a.CropRatio[1])))
	w, h := int(math.Round(math.Sqrt(area*ratio))), int(math.Round(math.Sqrt(area/ratio)))
	if w < 1 || h < 1 || w > width || h > height {
		return Window{}, false
	}
	x, y := rng.IntN(width-w+1), rng.IntN(height-h+1)
	return Window{X: float64(x), Y: float64(y), Width: float64(w), Height: float64(h)}, true
}

// centralWindow is the greatest window in the middle of the picture whose ratio lies within CropRatio.
func (a Augmentation) centralWindow(width, height int) Window {
	w, h := float64(width), float64(height)
	switch ratio := w / h; {
	case ratio < a.CropRatio[0]:
		h = math.Max(1, math.Round(w/a.CropRatio[0]))
	case ratio > a.CropRatio[1]:
		w = math.Max(1, math.Round(h*a.CropRatio[1]))
	}
	return Window{X: math.Floor((float64(width) - w) / 2), Y: math.Floor((float64(height) - h) / 2), Width: w, Height: h}
}

// uniform draws from [low, high).
func uniform(rng *rand.Rand, low, high float64) float64 { return low + (high-low)*rng.Float64() }
