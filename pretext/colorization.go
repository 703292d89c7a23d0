package pretext

import (
	"errors"
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/look"
	"pretrain/nn"
)

func init() {
	Register(Definition{
		Name:     "colorization",
		Summary:  "which colours had the picture before it became grey?",
		Citation: "Zhang, Isola & Efros 2016, Colorful Image Colorization, arXiv:1603.08511",
		Defaults: func() Params {
			return &ColorizationConfig{Common: Common{Weight: 1, Share: 1}, Hidden: 128, Lambda: 0.5, PriorPictures: 1000, Temperature: 0.38}
		},
	})
}

// ColorizationConfig is the section `tasks.colorization`.
type ColorizationConfig struct {
	Common        `mapstructure:",squash"`
	Stride        int     `mapstructure:"stride" validate:"gte=0" doc:"pixels between two positions whose colour is predicted; 0 = 4, or what of the backbone comes nearest"`
	Hidden        int     `mapstructure:"hidden" validate:"gte=1" doc:"channels of the head"`
	Lambda        float64 `mapstructure:"lambda" validate:"gt=0,lte=1" doc:"how far rare colours are held back from counting more: near 0 each counts by the inverse of its frequency, at 1 all count alike"`
	PriorPictures int     `mapstructure:"prior_pictures" validate:"gte=1" doc:"training pictures whose colours are counted before the run"`
	Temperature   float64 `mapstructure:"temperature" validate:"gt=0,lte=1" doc:"how far towards the likeliest colour a distribution is decoded: 1 = its mean, near 0 = its mode"`
}

// colorization shows the backbone the lightness of the crop and asks for its colours, as a distribution over bins of
// the ab plane at every position of a coarse map. The crop has no colour jitter: the colours are the answer.
//
// The backbone sees L/100 on all three channels, normalised as every other view is. That is nearly the crop without
// its colours (L is perceptual, as sRGB is), so that the input is centred and resembles the views of the other tasks.
type colorization struct {
	config  ColorizationConfig
	env     Env
	side    int       // positions along a side of the map
	split   int       // positions along a side that one token stands for; 1 without tokens
	cells   []int     // the place in the map, row-major, of each row of logits
	prior   []float32 // distribution of the bins over the training pictures
	weights []float32 // of the bins in the loss
}

// New makes the task. It counts colours in training pictures unless a resumed run brings its prior.
func (c *ColorizationConfig) New(env Env) (Task, error) {
	if c.Lambda <= 0 || c.Lambda > 1 {
		return nil, fmt.Errorf("lambda is %v: it must be above 0 and at most 1", c.Lambda)
	}
	if c.Temperature <= 0 || c.Temperature > 1 {
		return nil, fmt.Errorf("temperature is %v: it must be above 0 and at most 1", c.Temperature)
	}
	t := &colorization{config: *c, env: env, split: 1}
	stride, err := t.stride()
	if err != nil {
		return nil, err
	}
	t.side = env.Side / stride
	if env.Backbone.UsesTokens() {
		t.split = env.Backbone.Stride() / stride
	}
	t.cells = splitCells(t.side, t.split)
	if t.prior, err = t.loadPrior(); err != nil {
		return nil, err
	}
	t.weights = rebalance(smoothPrior(t.prior), c.Lambda)
	return t, nil
}

// defaultStride is that of the paper, 44×44 positions for crops of 176 pixels.
const defaultStride = 4

// stride resolves the distance of positions. A token can be split into several positions; other backbones must have a
// layer of that stride, each layer halving the resolution of the one before.
func (t *colorization) stride() (int, error) {
	coarsest, finest := t.env.Backbone.Stride(), 1
	if !t.env.Backbone.UsesTokens() {
		finest = max(1, coarsest>>(t.env.Backbone.Depth()-1))
	}
	standard := min(max(defaultStride, finest), coarsest)
	if coarsest%standard != 0 {
		standard = coarsest
	}
	stride := t.config.Stride
	if stride == 0 {
		stride = standard
	}
	switch {
	case stride < finest || stride > coarsest || coarsest%stride != 0:
		return 0, fmt.Errorf("stride is %d: %s has positions every %d to %d pixels, and the stride must divide the latter; take %d",
			stride, t.env.Backbone.Name(), finest, coarsest, standard)
	case t.env.Side%coarsest != 0:
		return 0, fmt.Errorf("stride is %d: the layers of %s fit onto each other only if data.size (%d) is a multiple of %d; change data.size",
			stride, t.env.Backbone.Name(), t.env.Side, coarsest)
	}
	return stride, nil
}

// splitCells lists the cells of a map side×side in the order of the rows of logits: token by token, each token
// standing for split×split cells.
func splitCells(side, split int) []int {
	cells := make([]int, side*side)
	tokens, parts := side/split, split*split
	for row := range cells {
		token, part := row/parts, row%parts
		x := token%tokens*split + part%split
		y := token/tokens*split + part/split
		cells[row] = y*side + x
	}
	return cells
}

func (t *colorization) Name() string { return "colorization" }

// State is the prior, because a resumed run must weigh colours as it did before.
func (t *colorization) State() map[string][]float32 { return map[string][]float32{"prior": t.prior} }

// loadPrior takes the prior of a resumed run, or measures it.
func (t *colorization) loadPrior() ([]float32, error) {
	prior, ok := t.env.State["prior"]
	if !ok {
		return t.measurePrior()
	}
	if len(prior) != len(colourBins()) {
		return nil, fmt.Errorf("the saved colour prior has %d bins and this version %d: resume with the version that began the run", len(prior), len(colourBins()))
	}
	return slices.Clone(prior), nil
}

// measurePrior counts the nearest bin of every position of sample pictures, at the resolution of the map. Pictures
// without colour, which the loss leaves out, do not count.
func (t *colorization) measurePrior() ([]float32, error) {
	pictures, err := t.env.Sample(t.config.PriorPictures)
	if err != nil {
		return nil, fmt.Errorf("counting the colours of the training pictures: %w", err)
	}
	counts, total := make([]int, len(colourBins())), 0
	lab := make([]float32, 3*len(t.cells))
	for _, picture := range pictures {
		data.ToLab(lab, data.Preprocess(picture, t.side))
		if colourless(lab) {
			continue
		}
		total += len(t.cells)
		for i := 0; i < len(lab); i += 3 {
			counts[encodeColour(float64(lab[i+1]), float64(lab[i+2])).bins[0]]++
		}
	}
	if total == 0 {
		return nil, errors.New("weight must be 0 here: the training pictures have no colour to learn")
	}
	prior := make([]float32, len(counts))
	for bin, count := range counts {
		prior[bin] = float32(count) / float32(total)
	}
	return prior, nil
}

// greyLimit is what |a| and |b| of a picture without colour do not exceed (the paper's released code).
const greyLimit = 5

// colourless reports whether Lab pixels are all nearly grey.
func colourless(lab []float32) bool {
	for i := 0; i < len(lab); i += 3 {
		if max(math.Abs(float64(lab[i+1])), math.Abs(float64(lab[i+2]))) > greyLimit {
			return false
		}
	}
	return true
}

// The target of a position. Sparse, it takes 15 floats instead of the 260 of a whole distribution: at 16×16 positions
// 15 kB a picture instead of 266 kB. Build spreads the shares out.
const (
	recordLabel  = 0 // nearest bin, or −1 in a picture without colour
	recordWeight = 1 // of the position in the loss
	recordBins   = 2
	recordShares = recordBins + nearestBins
	recordRGB    = recordShares + nearestBins
	recordSize   = recordRGB + 3
)

func (t *colorization) Spec() Spec {
	return Spec{Views: []View{{Name: "lightness", Side: t.env.Side, Group: t.Name()}}, Target: len(t.cells) * recordSize}
}

func (t *colorization) Prepare(s *data.Sample, views []Canvas, target []float32) error {
	window := s.Window(t.env.Augmentation)
	view := s.Scratch(t.env.Side)
	s.Cut(view, window)
	toLightness(view)
	t.env.Normalization.Apply(views[0].Pixels, view)

	small, lab := s.Scratch(t.side), s.Scratch(t.side).Data
	s.Cut(small, window)
	data.ToLab(lab, small)
	grey := colourless(lab)
	for row, cell := range t.cells {
		record := target[row*recordSize:][:recordSize]
		t.record(record, lab[3*cell:][:3], grey)
		copy(record[recordRGB:], small.Data[3*cell:][:3])
	}
	return nil
}

// toLightness replaces every pixel by its L, scaled to [0,1], three times.
func toLightness(p *data.Pixels) {
	for i := 0; i < len(p.Data); i += 3 {
		l, _, _ := data.RGBToLab(p.Data[i], p.Data[i+1], p.Data[i+2])
		p.Data[i], p.Data[i+1], p.Data[i+2] = l/100, l/100, l/100
	}
}

// record writes the target of a position of the given colour, without its sRGB colour.
func (t *colorization) record(record, lab []float32, grey bool) {
	soft := encodeColour(float64(lab[1]), float64(lab[2]))
	record[recordLabel], record[recordWeight] = float32(soft.bins[0]), t.weights[soft.bins[0]]
	if grey {
		record[recordLabel], record[recordWeight] = -1, 0
	}
	for i := range nearestBins {
		record[recordBins+i], record[recordShares+i] = float32(soft.bins[i]), float32(soft.shares[i])
	}
}

// Build adds the head of the kind of backbone at hand, and the weighted loss.
func (t *colorization) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error) {
	rows := views[0].Map.Views * len(t.cells)
	var logits *G.Node
	if t.env.Backbone.UsesTokens() {
		logits = t.tokenHead(c, views[0].Map.Node, rows)
	} else {
		logits = t.pyramidHead(c, views[0].Layers)
	}
	records := nn.Reshape(c, target, rows, recordSize)
	column := func(from, count int) *G.Node { return nn.Columns(c, records, from, from+count) }
	soft := nn.SparseRows(c, column(recordBins, nearestBins), column(recordShares, nearestBins), len(colourBins()))
	return Output{
		Loss:     nn.SoftCrossEntropy(c, logits, soft, column(recordWeight, 1)),
		Accuracy: nn.Accuracy(c, logits, column(recordLabel, 1)),
		Metrics:  map[string]*G.Node{"psnr": nn.Measure(c, "psnr", t.psnr, logits, column(recordRGB, 3))},
		Logits:   logits, Chance: float64(slices.Max(t.prior)),
	}, c.Err()
}

// tokenHead predicts the split×split positions of each token by an MLP.
func (t *colorization) tokenHead(c *nn.Ctx, tokens *G.Node, rows int) *G.Node {
	logits := mlp(c, tokens, t.config.Hidden, t.split*t.split*len(colourBins()))
	return nn.Reshape(c, logits, rows, len(colourBins()))
}

// pyramidHead goes from the last layer up to the one of the map's resolution, adding a projection of each layer to
// the enlarged map of the layer above (Lin et al. 2017, Feature Pyramid Networks, arXiv:1612.03144): the last layer
// alone is too coarse to say where colours end.
func (t *colorization) pyramidHead(c *nn.Ctx, layers []nn.Map) *G.Node {
	x := nn.Map{}
	for i := len(layers) - 1; i >= 0 && layers[i].Height <= t.side; i-- {
		lateral := layers[i]
		lateral.Node = nn.Linear(c, fmt.Sprintf("head.layer%d", i+1), lateral.Node, t.config.Hidden, true)
		if x.Node != nil {
			lateral.Node = nn.Add(c, lateral.Node, nn.Upsample(c, x, lateral.Height/x.Height).Node)
		}
		x = lateral
	}
	if c.Err() == nil && x.Height != t.side {
		c.Fail(fmt.Errorf("stride is %d: %s has no layer of %d×%d positions", t.env.Side/t.side, t.env.Backbone.Name(), t.side, t.side))
		return nil
	}
	return nn.Linear(c, "head.bins", nn.GELU(c, x.Node), len(colourBins()), true)
}

// psnrRows bounds the positions that the metric looks at, because decoding one takes 260 exponentials.
const psnrRows = 2048

// psnr is the peak signal-to-noise ratio in decibels of the decoded map against the picture of its resolution, both
// in sRGB with peak 1. It looks at about psnrRows positions spread over the batch. Inputs are the logits and the true
// sRGB colours of the positions, from which the lightness is taken.
func (t *colorization) psnr(inputs ...[]float32) float32 {
	logits, colours, bins := inputs[0], inputs[1], len(colourBins())
	rows := len(colours) / 3
	step := rows/psnrRows | 1 // odd, so that it meets every column of a map
	var squares float64
	count := 0
	for row := 0; row < rows; row += step {
		truth := colours[3*row:][:3]
		l, _, _ := data.RGBToLab(truth[0], truth[1], truth[2])
		a, b := annealedMean(logits[row*bins:][:bins], t.config.Temperature)
		for i, v := range labColour(l, float32(a), float32(b)) {
			squares += float64(v-truth[i]) * float64(v-truth[i])
			count++
		}
	}
	return decibels(squares / float64(count))
}

// decibels is the PSNR of a mean squared error, at most 100.
func decibels(meanSquare float64) float32 { return float32(-10 * math.Log10(max(meanSquare, 1e-10))) }

// Illustrate shows the lightness, the predicted colours and the truth.
func (t *colorization) Illustrate(e Exhibit) ([]look.Tile, error) {
	truth := data.NewPixels(t.env.Side)
	e.Sample.Cut(truth, e.Sample.Window(t.env.Augmentation))
	painted, err := Colorizer{t}.Render(truth, e.row(e.Picture, e.Pictures))
	return []look.Tile{{Caption: "seen", Pixels: e.Views[0]}, {Caption: "predicted", Pixels: painted}, {Caption: "truth", Pixels: truth}}, err
}
