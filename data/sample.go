package data

import (
	"math/rand/v2"

	"pretrain/internal/random"
)

// Sample is one picture in one epoch, as tasks see it. It computes a view once, however many tasks ask for it, and
// lends scratch space. It belongs to one goroutine; the views it gave out are valid until the next Reset.
type Sample struct {
	image                Image
	seed, epoch, picture uint64

	crops    []crop
	meanGrey float32 // of the picture; -1 = not known yet
	lent     []*Pixels
	free     map[int][]*Pixels // by side
}

// crop is a memoised view.
type crop struct {
	augmentation Augmentation
	pixels       *Pixels
}

// NewSample returns picture number `picture` in an epoch, for the given seed.
func NewSample(img Image, seed, epoch, picture uint64) *Sample {
	s := &Sample{free: map[int][]*Pixels{}}
	s.Reset(img, seed, epoch, picture)
	return s
}

// Reset makes the sample another picture and takes back every buffer that it lent, so that a worker that goes from
// picture to picture allocates nothing of size.
func (s *Sample) Reset(img Image, seed, epoch, picture uint64) {
	s.image, s.seed, s.epoch, s.picture = img, seed, epoch, picture
	s.crops, s.meanGrey = s.crops[:0], -1
	for _, p := range s.lent {
		s.free[p.Side] = append(s.free[p.Side], p)
	}
	s.lent = s.lent[:0]
}

// Image is the whole picture, reduced to the cache's side. It is shared: do not write.
func (s *Sample) Image() Image { return s.image }

// Epoch is the number of the epoch, from 0.
func (s *Sample) Epoch() uint64 { return s.epoch }

// Picture is the picture's number in the dataset.
func (s *Sample) Picture() uint64 { return s.picture }

// Rand returns the stream of random numbers for one purpose of this picture in this epoch. Two calls with the same
// purpose give streams that start alike: a task must name its purposes apart, for instance "rotation.jitter".
func (s *Sample) Rand(purpose string) *rand.Rand {
	return random.New(s.seed, purpose, s.epoch, s.picture)
}

// Scratch lends a view of side×side pixels with undefined content, a new one at every call.
func (s *Sample) Scratch(side int) *Pixels {
	var p *Pixels
	if free := s.free[side]; len(free) > 0 {
		p, s.free[side] = free[len(free)-1], free[:len(free)-1]
	} else {
		p = NewPixels(side)
	}
	s.lent = append(s.lent, p)
	return p
}

// Window is the part of the picture that Crop(a, …) shows.
func (s *Sample) Window(a Augmentation) Window {
	return a.window(a.stream(s.seed, "augmentation.window", s.epoch, s.picture), s.image.Width, s.image.Height)
}

// Crop is the view that augmentation a makes of the picture, side×side pixels. It is computed once for each
// (a, side) and shared between the tasks: do not write.
func (s *Sample) Crop(a Augmentation, side int) *Pixels {
	for _, c := range s.crops {
		if c.augmentation == a && c.pixels.Side == side {
			return c.pixels
		}
	}
	p := s.Scratch(side)
	s.Cut(p, s.Window(a))
	s.Colour(a, p)
	s.Blur(a, p)
	s.crops = append(s.crops, crop{a, p})
	return p
}

// Cut resamples window w of the picture into the caller's view, without any treatment of its colours.
func (s *Sample) Cut(p *Pixels, w Window) { Resample(p, s.image, w) }

// Colour gives view p, in place, the colour treatment (jitter, grey) that augmentation a draws for this picture: a
// patch that was cut from it gets the very colours that Crop(a, …) has.
func (s *Sample) Colour(a Augmentation, p *Pixels) {
	m, changed := a.colourMap(a.stream(s.seed, "augmentation.colour", s.epoch, s.picture), s.pictureGrey)
	if changed {
		m.apply(p)
	}
}

// Blur gives view p, in place, the blur that augmentation a draws for this picture, if it draws any.
func (s *Sample) Blur(a Augmentation, p *Pixels) {
	rng := a.stream(s.seed, "augmentation.blur", s.epoch, s.picture)
	if rng.Float64() < a.Blur {
		blur(p, uniform(rng, 0.1, 2)/224*float64(p.Side))
	}
}

// pictureGrey is the mean grey value of the whole picture in [0,1].
func (s *Sample) pictureGrey() float32 {
	if s.meanGrey < 0 {
		s.meanGrey = meanGrey(s.image)
	}
	return s.meanGrey
}
