package train

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	G "gorgonia.org/gorgonia"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/look"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"
)

// What an exhibition shows. The pictures are always the same ones, so that one sees what changes.
const (
	exhibits   = 6   // pictures a task
	attended   = 4   // pictures whose attention is shown
	queries    = 4   // pictures whose neighbours are shown
	neighbours = 6   // of each
	collection = 256 // pictures that neighbours are looked for in
	shownSide  = 96  // pixels of a picture that no task sees
	blocks     = 2   // of a transformer, the last ones, whose attention is shown

	// batchNormalised is how many pictures are shown to a network that normalises them together, in training's way: the
	// statistics of six would be those of no training step. The views of all of them stay below exhibitBytes.
	batchNormalised = 64
	exhibitBytes    = 64 << 20

	// exhibitShare bounds the part of the run's time that pictures take while it trains.
	exhibitShare = 0.004
)

// exhibition draws what the tasks see and answer, what pictures are near each other in the features, and where a
// transformer looks. It computes in the memory of the training step, between its runs, and changes nothing of the
// training. One goroutine may use it.
type exhibition struct {
	*session
	plan      *Plan
	step      *Step     // without losses and gradients
	logits    []*G.Node // a task; nil for one that has none
	attention *eval.Positions

	count int // pictures a batch
	cost  time.Duration
	spent time.Duration
}

// newExhibition compiles the graph of the tasks' answers.
func (s *session) newExhibition() (*exhibition, error) {
	e := &exhibition{session: s}
	count := exhibited(s.job.Backbone.UsesBatchStatistics(), s.trainer.plan.viewBytes())
	e.count = min(count, s.job.Train.BatchSize, s.pictures.Len())
	parts, err := s.parts(s.trainer, s.job.Train.BatchSize)
	if err != nil {
		return nil, err
	}
	if parts.Plan, err = NewPlan(parts.Backbone, parts.Tasks, nil, e.count); err != nil {
		return nil, err
	}
	if parts.Weighter, err = losses.New(losses.Config{Weighter: "fixed"}); err != nil {
		return nil, err
	}
	e.plan = parts.Plan
	if e.step, e.logits, err = newAnswers(parts, s.trainer.step); err != nil {
		return nil, err
	}
	if s.job.Backbone.UsesTokens() {
		e.attention, err = s.model.PositionsBeside(s.trainer.step.program, min(attended, s.pictures.Len()), s.model.LastLayers(blocks)...)
	}
	return e, err
}

// newAnswers compiles a graph that computes the tasks' answers and nothing else, beside a step.
func newAnswers(parts StepParts, beside *Step) (*Step, []*G.Node, error) {
	c := nn.NewCtx(parts.Store, true)
	s, _, err := buildStep(c, parts)
	if err != nil {
		return nil, nil, err
	}
	logits := make([]*G.Node, len(s.outputs))
	var keep []*G.Node
	for t, output := range s.outputs {
		if logits[t] = output.Logits; output.Logits != nil {
			keep = append(keep, output.Logits)
		}
	}
	if keep == nil {
		return s, logits, nil
	}
	s.program, err = nn.CompileBeside(beside.program, c, parts.Engine, nil, keep...)
	return s, logits, err
}

// exhibited is the number of pictures that the tasks are shown at once, if the views of one take so many bytes.
func exhibited(batchStatistics bool, bytes int64) int {
	if !batchStatistics {
		return exhibits
	}
	return min(batchNormalised, max(exhibits, int(exhibitBytes/bytes)))
}

// viewBytes is what the views of one picture take.
func (p *Plan) viewBytes() (bytes int64) {
	for _, pass := range p.Passes {
		bytes += int64(len(pass.Slots) * pass.Side * pass.Side * 3 * 4)
	}
	return bytes
}

// gallery draws everything.
func (e *exhibition) gallery(ctx context.Context) (look.Gallery, error) {
	g := look.Gallery{Step: int64(e.trainer.position.Step), Epoch: int64(e.trainer.position.Epoch())}
	sheets, err := e.taskSheets(ctx)
	if err != nil {
		return g, err
	}
	g.Sheets = sheets
	for _, draw := range []func(context.Context) (look.Sheet, error){e.neighbours, e.attentions} {
		sheet, err := draw(ctx)
		if err != nil {
			return g, err
		}
		if len(sheet.Rows) > 0 {
			g.Sheets = append(g.Sheets, sheet)
		}
	}
	return g, nil
}

// taskSheets shows every task the same pictures, in their first epoch's crops.
func (e *exhibition) taskSheets(ctx context.Context) ([]look.Sheet, error) {
	pictures, err := e.samplePictures(ctx, e.count)
	if err != nil {
		return nil, err
	}
	batch := e.plan.NewBatch(e.trainer.tasks)
	var samples []*data.Sample
	for i, picture := range pictures {
		samples = append(samples, data.NewSample(picture, e.job.Train.Seed, 0, uint64(i)))
		if err := e.plan.Fill(e.trainer.tasks, e.job.Data.Normalization(), samples[i], i, batch); err != nil {
			return nil, err
		}
	}
	if e.step.program != nil {
		if err := e.step.Run(batch); err != nil {
			return nil, err
		}
	}
	var sheets []look.Sheet
	for t := range e.trainer.tasks {
		sheet, err := e.taskSheet(t, samples, batch)
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", e.trainer.tasks[t].Name(), err)
		}
		sheets = append(sheets, sheet)
	}
	return sheets, nil
}

func (e *exhibition) taskSheet(t int, samples []*data.Sample, batch *Batch) (look.Sheet, error) {
	task := e.trainer.tasks[t]
	sheet := look.Sheet{Title: task.Name()}
	if definition, err := pretext.Find(task.Name()); err == nil {
		sheet.About = definition.Summary
	}
	var row look.Row
	shown := min(exhibits, len(samples))
	for i := range shown {
		tiles, err := e.exhibit(t, i*len(samples)/shown, samples, batch)
		if err != nil {
			return sheet, err
		}
		row.Tiles = append(row.Tiles, tiles...)
	}
	sheet.Rows = []look.Row{row}
	return sheet, nil
}

// exhibit draws what a task makes of one picture: its question and answer, or its views if it cannot tell.
func (e *exhibition) exhibit(t, picture int, samples []*data.Sample, batch *Batch) ([]look.Tile, error) {
	task, size := e.trainer.tasks[t], e.trainer.tasks[t].Spec().Target
	x := pretext.Exhibit{
		Sample: samples[picture], Target: batch.Targets[t][picture*size:][:size], Picture: picture, Pictures: e.count,
	}
	var tiles []look.Tile
	for v, view := range task.Spec().Views {
		canvas, pixels := e.plan.Canvas(batch, t, v, picture), data.NewPixels(view.Side)
		e.job.Data.Normalization().Invert(pixels, canvas.Pixels)
		x.Views, x.Canvases = append(x.Views, pixels), append(x.Canvases, canvas)
		tiles = append(tiles, look.Tile{Caption: view.Name, Pixels: pixels})
	}
	illustrator, ok := task.(pretext.Illustrator)
	if !ok || e.logits[t] == nil {
		return tiles, nil
	}
	x.Logits = e.step.program.Value(e.logits[t])
	return illustrator.Illustrate(x)
}

// neighbours shows a few pictures with those that the features of the last layer hold nearest.
func (e *exhibition) neighbours(ctx context.Context) (look.Sheet, error) {
	sheet := look.Sheet{Title: "Nearest neighbours", About: fmt.Sprintf("pictures whose features are nearest, among %d, with their cosine", min(collection, e.pictures.Len()))}
	if err := e.calibrate(ctx); err != nil {
		return sheet, err
	}
	all := eval.Matrix{Cols: e.model.Dim(e.model.Layers())}
	var numbers []int
	chosen := eval.Spread(e.pictures, collection)
	if _, err := e.model.Walk(ctx, chosen, func(v eval.Vectors) error {
		all.Data = append(all.Data, v.Layers[len(v.Layers)-1]...)
		numbers = append(numbers, v.Index)
		all.Rows++
		return nil
	}); err != nil {
		return sheet, err
	}
	for q := range min(queries, all.Rows) {
		row, err := e.near(ctx, chosen, numbers, all, q*all.Rows/min(queries, all.Rows))
		if err != nil {
			return sheet, err
		}
		sheet.Rows = append(sheet.Rows, row)
	}
	return sheet, nil
}

// near is a picture and its neighbours, the nearest first.
func (e *exhibition) near(ctx context.Context, pictures data.Dataset, numbers []int, features eval.Matrix, query int) (look.Row, error) {
	cosines, order := make([]float64, features.Rows), make([]int, features.Rows)
	for i := range order {
		order[i], cosines[i] = i, cosine(features.Row(query), features.Row(i))
	}
	cosines[query] = math.Inf(1) // itself comes first
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(cosines[b], cosines[a]) })
	var row look.Row
	for i, at := range order[:min(1+neighbours, len(order))] {
		example, err := pictures.At(ctx, numbers[at])
		if err != nil {
			return row, err
		}
		caption := fmt.Sprintf("%.3f", cosines[at])
		if i == 0 {
			caption = "picture"
		}
		row.Tiles = append(row.Tiles, look.Tile{Caption: caption, Pixels: data.Preprocess(example.Image, shownSide)})
	}
	return row, nil
}

func cosine(a, b []float32) float64 { return dot(a, b) / math.Sqrt(dot(a, a)*dot(b, b)) }

// attentions shows where the last blocks of a transformer look, and each head of the very last one.
func (e *exhibition) attentions(ctx context.Context) (look.Sheet, error) {
	sheet := look.Sheet{Title: "Attention", About: "what the patches look at, or the class token if features are read from it; dark is little, white is much"}
	if e.attention == nil {
		return look.Sheet{}, nil
	}
	pictures, err := e.samplePictures(ctx, min(attended, e.pictures.Len()))
	if err != nil || len(pictures) < min(attended, e.pictures.Len()) {
		return look.Sheet{}, err
	}
	layers, err := e.attention.Look(pictures)
	if err != nil {
		return sheet, err
	}
	for i, picture := range pictures {
		sheet.Rows = append(sheet.Rows, attentionRow(data.Preprocess(picture, shownSide), layers, i))
	}
	return sheet, nil
}

func attentionRow(picture *data.Pixels, layers []eval.LayerPositions, number int) look.Row {
	row := look.Row{Tiles: []look.Tile{{Caption: "picture", Pixels: picture}}}
	for _, layer := range layers {
		heat := layer.Attention.Received(number, 0, layer.Attention.Heads)
		row.Tiles = append(row.Tiles, look.HeatTile(fmt.Sprintf("block %d", layer.Layer), picture, heat))
	}
	last := layers[len(layers)-1].Attention
	for head := range min(last.Heads, 6) {
		row.Tiles = append(row.Tiles, look.HeatTile(fmt.Sprintf("head %d", head+1), picture, last.Received(number, head, head+1)))
	}
	return row
}

// affordable reports whether pictures may be drawn again after so much time. What they cost is not known before the first
// time, and twice as much is expected as they cost then.
func (e *exhibition) affordable(passed time.Duration) bool {
	return e == nil || float64(e.spent+e.cost) <= exhibitShare*float64(passed)
}
