package eval

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/random"
	"pretrain/nn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken file")

// memory is a data set in memory. Pictures whose number is in bad cannot be decoded; before is called with every
// number.
type memory struct {
	examples []data.Example
	bad      map[int]bool
	before   func(i int) error
}

func (m *memory) Len() int { return len(m.examples) }

func (m *memory) At(ctx context.Context, i int) (data.Example, error) {
	if m.before != nil {
		if err := m.before(i); err != nil {
			return data.Example{}, err
		}
	}
	if m.bad[i] {
		return data.Example{}, &data.PictureError{Path: m.examples[i].Path, Err: errBroken}
	}
	return m.examples[i], ctx.Err()
}

// newMemory draws noise pictures of 20×24 pixels; the label of a picture is its number modulo classes, and shows as a
// tint.
func newMemory(count, classes int, seed uint64) *memory {
	r := random.New(seed, "pictures")
	m := &memory{bad: map[int]bool{}}
	for i := range count {
		image := data.NewImage(20, 24)
		for p := range image.Pix {
			image.Pix[p] = uint8(r.IntN(128))
			if p%3 == i%classes {
				image.Pix[p] += 127
			}
		}
		m.examples = append(m.examples, data.Example{Image: image, Path: fmt.Sprintf("picture%02d", i), Label: fmt.Sprintf("class%d", i%classes)})
	}
	return m
}

var standard = data.Normalization{Mean: [3]float64{0.5, 0.4, 0.3}, Std: [3]float64{0.2, 0.3, 0.25}}

const testSide = 16

func newBackbone(t *testing.T, name string) backbone.Backbone {
	t.Helper()
	family, err := backbone.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	params := family.Defaults()
	switch config := params.(type) {
	case *backbone.ViTConfig:
		*config = backbone.ViTConfig{Patch: 4, Width: 16, Depth: 3, Heads: 2, MLPRatio: 2, ClassToken: true, Pooling: "class", Positions: "learned"}
	case *backbone.ResNetConfig:
		*config = backbone.ResNetConfig{Stem: "small", Width: 4}
	}
	b, err := family.New(name, params, testSide)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newModel(t *testing.T, name string, batch, workers int) *Model {
	t.Helper()
	m, err := NewModel(newBackbone(t, name), nn.NewStore(1), newEngine(t, workers), standard, batch)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pixels are the normalised pixels of pictures from..to of a data set.
func pixels(m *memory, from, to int) []float32 {
	var all []float32
	for _, example := range m.examples[from:to] {
		one := make([]float32, testSide*testSide*3)
		standard.Apply(one, data.Preprocess(example.Image, testSide))
		all = append(all, one...)
	}
	return all
}
