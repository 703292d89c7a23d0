package pretext

import (
	"fmt"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/nn"
)

const (
	testSide  = 32
	testBatch = 4
)

// testNetworks are the networks that every task is tried on.
var testNetworks = []string{"vit", "resnet18"}

// newNetwork makes a small network for views of the test side.
func newNetwork(t testing.TB, name string) backbone.Backbone {
	t.Helper()
	family, err := backbone.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	params := family.Defaults()
	switch config := params.(type) {
	case *backbone.ViTConfig:
		config.Patch, config.Width, config.Depth, config.Heads = 8, 32, 2, 2
	case *backbone.ResNetConfig:
		config.Stem, config.Width = "small", 8
	}
	network, err := family.New(name, params, testSide)
	if err != nil {
		t.Fatal(err)
	}
	return network
}

func testEnv(t testing.TB, network string) Env {
	t.Helper()
	config := data.DefaultConfig()
	return Env{
		Backbone: newNetwork(t, network), Side: testSide, Batch: testBatch, Epochs: 5, Seed: 1,
		Augmentation: data.DefaultAugmentation(), Normalization: config.Normalization(),
		Sample: func(n int) ([]data.Image, error) {
			var pictures []data.Image
			for i := range min(n, 8) {
				pictures = append(pictures, testPicture(uint64(i)))
			}
			return pictures, nil
		},
	}
}

// testPicture is a picture with structure at several scales and in all colours: smooth gradients and rectangles.
func testPicture(number uint64) data.Image {
	rng := random.New(number, "picture")
	picture := data.NewImage(56, 48)
	var slopes [3][2]float64
	for channel := range slopes {
		slopes[channel] = [2]float64{rng.Float64() * 255, rng.Float64() * 255}
	}
	for i := range picture.Pix {
		x, y := float64(i/3%picture.Width)/56, float64(i/3/picture.Width)/48
		picture.Pix[i] = uint8((slopes[i%3][0]*x + slopes[i%3][1]*y) / 2)
	}
	for range 6 {
		colour := [3]uint8{uint8(rng.IntN(256)), uint8(rng.IntN(256)), uint8(rng.IntN(256))}
		left, top := rng.IntN(48), rng.IntN(40)
		for y := top; y < min(top+12, picture.Height); y++ {
			for x := left; x < min(left+14, picture.Width); x++ {
				copy(picture.Pix[3*(y*picture.Width+x):], colour[:])
			}
		}
	}
	return picture
}

// greyPicture has no colour at all.
func greyPicture() data.Image {
	picture := testPicture(1)
	for i := 0; i < len(picture.Pix); i += 3 {
		picture.Pix[i+1], picture.Pix[i+2] = picture.Pix[i], picture.Pix[i]
	}
	return picture
}

func newTask(t testing.TB, params Params, env Env) Task {
	t.Helper()
	task, err := params.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// newCanvas is where a task writes one view, filled with numbers that no task may leave behind.
func newCanvas(env Env, view View) Canvas {
	canvas := Canvas{}
	if view.Plain == nil {
		canvas.Pixels = filled(view.Side*view.Side*3, 1e30)
	}
	if view.Kept > 0 {
		canvas.Tokens = filled(view.Kept, 1e30)
	}
	if view.Positions == backbone.PositionsGiven {
		canvas.Positions = filled(tokensOf(env, view), 1e30)
	}
	return canvas
}

func tokensOf(env Env, view View) int {
	if view.Kept > 0 {
		return view.Kept
	}
	grid := view.Side / env.Backbone.Stride()
	return grid * grid
}

func filled(size int, value float32) []float32 {
	s := make([]float32, size)
	for i := range s {
		s[i] = value
	}
	return s
}

// prepare runs a task on one picture of an epoch.
func prepare(t testing.TB, task Task, env Env, picture data.Image, epoch, number uint64) ([]Canvas, []float32) {
	t.Helper()
	var canvases []Canvas
	for _, view := range task.Spec().Views {
		canvases = append(canvases, newCanvas(env, view))
	}
	target := make([]float32, task.Spec().Target)
	sample := data.NewSample(picture, env.Seed, epoch, number)
	if err := task.Prepare(sample, canvases, target); err != nil {
		t.Fatal(err)
	}
	return canvases, target
}

// rig trains one task on one batch.
type rig struct {
	store   *nn.Store
	program *nn.Program
	output  Output
	inputs  []*G.Node
	buffers [][]float32 // of the inputs
}

// newRig prepares a batch of pictures and compiles the task's training graph.
func newRig(t testing.TB, engine *kernel.Engine, task Task, env Env) *rig {
	t.Helper()
	r := &rig{store: nn.NewStore(3)}
	c := nn.NewCtx(r.store, true)
	var features []backbone.Features
	for v, view := range task.Spec().Views {
		features = append(features, r.view(t, c, env, v, view))
	}
	target := r.input(c, "target", testBatch, task.Spec().Target)
	output, err := task.Build(c.Scope("tasks."+task.Name()), features, target)
	if err != nil {
		t.Fatal(err)
	}
	keep := []*G.Node{output.Loss, output.Accuracy, output.Logits}
	for _, metric := range output.Metrics {
		keep = append(keep, metric)
	}
	r.output = output
	if r.program, err = nn.Compile(c, engine, output.Loss, keep...); err != nil {
		t.Fatal(err)
	}
	r.fill(t, task, env)
	for i, input := range r.inputs {
		r.program.Bind(input, r.buffers[i])
	}
	return r
}

// input declares an input and its buffer.
func (r *rig) input(c *nn.Ctx, name string, rows, columns int) *G.Node {
	node := c.Input(name, rows, columns)
	r.inputs = append(r.inputs, node)
	r.buffers = append(r.buffers, make([]float32, rows*columns))
	return node
}

// view applies the backbone to one view of the batch. Its inputs are declared in the order pixels, tokens, positions.
func (r *rig) view(t testing.TB, c *nn.Ctx, env Env, number int, view View) backbone.Features {
	t.Helper()
	name := func(what string) string { return fmt.Sprintf("view %d %s", number, what) }
	in := backbone.Input{Images: r.input(c, name("pixels"), testBatch*view.Side*view.Side, 3), Views: testBatch, Side: view.Side, Kept: view.Kept}
	if view.Kept > 0 {
		in.Tokens = r.input(c, name("tokens"), testBatch*view.Kept, 1)
	}
	if view.Positions != backbone.PositionsOwn {
		in.Positions = r.input(c, name("positions"), testBatch*tokensOf(env, view), 1)
	}
	features, err := env.Backbone.Forward(c.Scope("backbone"), in)
	if err != nil {
		t.Fatal(err)
	}
	return features
}

// fill prepares the pictures of the batch.
func (r *rig) fill(t testing.TB, task Task, env Env) {
	t.Helper()
	for picture := range uint64(testBatch) {
		sample := data.NewSample(testPicture(picture), env.Seed, 0, picture)
		at := 0
		next := func() []float32 {
			buffer := r.buffers[at]
			at++
			size := len(buffer) / testBatch
			return buffer[int(picture)*size:][:size]
		}
		var canvases []Canvas
		for _, view := range task.Spec().Views {
			canvas := Canvas{Pixels: next()}
			if view.Kept > 0 {
				canvas.Tokens = next()
			}
			switch view.Positions {
			case backbone.PositionsGiven:
				canvas.Positions = next()
			case backbone.PositionsNone:
				copy(next(), filled(tokensOf(env, view), nn.NoPosition))
			}
			if view.Plain != nil {
				env.Normalization.Apply(canvas.Pixels, sample.Crop(*view.Plain, view.Side))
				canvas.Pixels = nil
			}
			canvases = append(canvases, canvas)
		}
		if err := task.Prepare(sample, canvases, next()); err != nil {
			t.Fatal(err)
		}
	}
}

// run computes the losses and gradients and returns the loss.
func (r *rig) run(t testing.TB) float64 {
	t.Helper()
	if err := r.program.Run(); err != nil {
		t.Fatal(err)
	}
	return float64(r.program.Value(r.output.Loss)[0])
}

func newEngine(t testing.TB) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}
