package train

import (
	"context"
	"image"
	"image/color"
	"image/draw"

	"go.uber.org/zap"

	"pretrain/data"
	"pretrain/metrics"
	"pretrain/metrics/tensorboard"
	"pretrain/nn"
	"pretrain/pretext"
)

// board writes TensorBoard event files. When that fails, it says so once and writes no more; a nil board writes nothing.
type board struct {
	writer *tensorboard.Writer // nil once it has failed
	log    *zap.Logger
}

// openBoard begins a new event file where the run stands.
func (s *session) openBoard() error {
	writer, err := tensorboard.Open(s.job.Directory.TensorBoard(), int64(s.trainer.position.Step))
	if err != nil {
		return err
	}
	s.mirrors.board = &board{writer, s.log}
	s.onClose(func() { s.mirrors.board.use((*tensorboard.Writer).Close) })
	return nil
}

// use lets a function write, unless an earlier one has failed.
func (b *board) use(write func(*tensorboard.Writer) error) {
	if b == nil || b.writer == nil {
		return
	}
	if err := write(b.writer); err != nil {
		b.log.Warn("no more is written for TensorBoard", zap.Error(err))
		b.writer = nil
	}
}

func (b *board) append(record metrics.Record) {
	b.use(func(w *tensorboard.Writer) error { return w.Append(record) })
}

// picture shows a picture of the data, which the caller may do only where metrics.pictures allows it.
func (b *board) picture(step int, tag string, picture image.Image) {
	b.use(func(w *tensorboard.Writer) error { return w.Image(int64(step), tag, picture) })
}

// boardHook shows the distributions of weights and gradients, and what the tasks see, at the ends of epochs and of the
// run.
func (s *session) boardHook() Hook {
	strip := &viewStrip{session: s}
	return hookFunc(func(ctx context.Context, report StepReport) error {
		position := report.Position
		if s.mirrors.board == nil || !position.EndsEpoch() && !position.Done() {
			return nil
		}
		s.showDistributions(position.Step)
		if s.job.Metrics.Pictures && ctx.Err() == nil {
			return strip.show(ctx, position, func(task string, views image.Image) {
				s.mirrors.board.picture(position.Step, "views/"+task, views)
			})
		}
		return nil
	})
}

// showDistributions writes a histogram of the weights and of the last step's gradient of each block.
func (s *session) showDistributions(step int) {
	weights, gradients := map[string]*tensorboard.Histogram{}, map[string]*tensorboard.Histogram{}
	var blocks []string
	for _, p := range s.trainer.store.Parameters() {
		block := blockOf(p.Name)
		if weights[block] == nil {
			blocks = append(blocks, block)
			weights[block], gradients[block] = &tensorboard.Histogram{}, &tensorboard.Histogram{}
		}
		s.addTo(weights[block], gradients[block], p)
	}
	s.mirrors.board.use(func(w *tensorboard.Writer) error {
		for _, block := range blocks {
			if err := w.Histogram(int64(step), "weights/"+block, weights[block]); err != nil {
				return err
			}
			if err := w.Histogram(int64(step), "gradients/"+block, gradients[block]); err != nil {
				return err
			}
		}
		return nil
	})
}

// addTo counts a parameter's weights and gradients, which are a sum over the batches of the step.
func (s *session) addTo(weights, gradients *tensorboard.Histogram, p *nn.Parameter) {
	weights.Add(p.Value, 1)
	gradients.Add(p.Gradient, 1/float64(s.job.Train.Accumulate))
}

// viewStrip makes pictures of what the tasks see of a few training pictures, the same ones in every epoch.
type viewStrip struct {
	session *session
	plan    *Plan
	batch   *Batch
}

// Pictures on a strip, and pixels between the views.
const (
	stripPictures = 4
	stripGap      = 2
)

// show hands over a picture of each task's views in the epoch that has just ended: a row a picture, a column a view. A
// picture that cannot be read leaves its row empty.
func (v *viewStrip) show(ctx context.Context, position Position, each func(task string, views image.Image)) error {
	s := v.session
	if err := v.prepare(); err != nil {
		return err
	}
	epoch, count := max(position.Epoch()-1, 0), min(stripPictures, s.pictures.Len())
	for i := range count {
		index := i * s.pictures.Len() / count
		example, err := s.pictures.At(ctx, index)
		if err != nil {
			continue
		}
		sample := data.NewSample(example.Image, s.job.Train.Seed, uint64(epoch), uint64(index))
		if err := v.plan.Fill(s.trainer.tasks, s.job.Data.Normalization(), sample, i, v.batch); err != nil {
			return err
		}
	}
	for t, task := range s.trainer.tasks {
		each(task.Name(), v.draw(t, task.Spec().Views, count))
	}
	return nil
}

// prepare lays out a small batch, once.
func (v *viewStrip) prepare() (err error) {
	if v.plan != nil {
		return nil
	}
	tasks := v.session.trainer.tasks
	if v.plan, err = NewPlan(v.session.job.Backbone, tasks, nil, stripPictures); err == nil {
		v.batch = v.plan.NewBatch(tasks)
	}
	return err
}

// draw puts the views of a task next to each other.
func (v *viewStrip) draw(task int, views []pretext.View, pictures int) image.Image {
	width, height := 0, 0
	for _, view := range views {
		width += view.Side + stripGap
		height = max(height, view.Side+stripGap)
	}
	strip := image.NewRGBA(image.Rect(0, 0, width-stripGap, pictures*height-stripGap))
	draw.Draw(strip, strip.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for picture := range pictures {
		x := 0
		for number, view := range views {
			v.drawView(strip, image.Pt(x, picture*height), v.plan.Canvas(v.batch, task, number, picture), view.Side)
			x += view.Side + stripGap
		}
	}
	return strip
}

// drawView turns normalised pixels back into a picture.
func (v *viewStrip) drawView(strip *image.RGBA, at image.Point, canvas pretext.Canvas, side int) {
	pixels := data.NewPixels(side)
	v.session.job.Data.Normalization().Invert(pixels, canvas.Pixels)
	seen := pixels.Image()
	for y := range side {
		for x := range side {
			rgb := seen.Pix[3*(y*side+x):]
			strip.SetRGBA(at.X+x, at.Y+y, color.RGBA{R: rgb[0], G: rgb[1], B: rgb[2], A: 255})
		}
	}
}
