package run

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"pretrain/metrics"
	"pretrain/page"
	"pretrain/train"
)

// Size of a figure: one column of a paper and a half.
const figureWidth, figureHeight = 12 * vg.Centimeter, 8 * vg.Centimeter

// legendRoom is the part of the height that an entry of the legend takes above the curves.
const legendRoom = 0.08

// figure is a picture of curves. Figures without a curve are left out.
type figure struct {
	file, title, x, y string
	percent           bool // values from 0 to 1 are written as per cent
	curves            func(r page.Run, add func(name string, points plotter.XYs))
}

// figures are those of a report, by file.
var figures = []figure{
	{"loss", "Loss of the tasks", "step", "loss", false, taskCurves(func(t metrics.Task) *metrics.Number { return &t.Loss })},
	{"accuracy", "Accuracy of the tasks", "step", "accuracy, %", true, taskCurves(func(t metrics.Task) *metrics.Number { return t.Accuracy })},
	{"weights", "Weights of the tasks", "step", "weight", false, taskCurves(func(t metrics.Task) *metrics.Number { return &t.Weight })},
	{"probes", "Online probes, best layer", "step", "accuracy, %", true, probeCurves},
	{"cosines", "Gradients of two tasks on the backbone", "step", "cosine", false, cosineCurves},
	{"learning_rate", "Learning rate", "step", "learning rate", false, recordCurve("learning rate", func(r metrics.Record) metrics.Number { return r.LearningRate })},
	{"gradient_norm", "Norm of the gradient", "step", "L2 norm", false, recordCurve("gradient norm", func(r metrics.Record) metrics.Number { return r.GradientNorm })},
	{"throughput", "Throughput", "step", "pictures per second", false, recordCurve("pictures per second", func(r metrics.Record) metrics.Number { return r.PicturesPerSecond })},
	{"layers", "Probes of the layers", "layer", "accuracy, %", true, layerCurves},
}

// plotRuns draws every figure as SVG and as PNG into a folder and returns the files.
func plotRuns(folder string, runs []page.Run) (written []string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, train.Usage(fmt.Errorf("--plots: %w", err))
	}
	for _, f := range figures {
		drawn, count, err := f.draw(runs)
		if err != nil {
			return written, fmt.Errorf("plots: %s: %w", f.file, err)
		}
		if count == 0 {
			continue
		}
		for _, extension := range []string{".svg", ".png"} {
			path := filepath.Join(folder, f.file+extension)
			if err := drawn.Save(figureWidth, figureHeight, path); err != nil {
				return written, fmt.Errorf("plots: %w", err)
			}
			written = append(written, path)
		}
	}
	return written, nil
}

// lineColours can be told apart by people who are colour-blind (Okabe & Ito 2008).
var lineColours = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
	color.RGBA{230, 159, 0, 255}, color.RGBA{86, 180, 233, 255}, color.RGBA{0, 0, 0, 255},
}

// draw adds the curves of all runs. Those of different runs differ in their dashes.
func (f figure) draw(runs []page.Run) (p *plot.Plot, count int, err error) {
	p = plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.title, f.x, f.y
	p.Legend.Top, p.Legend.Padding, p.Legend.TextStyle.Font.Size = true, vg.Points(1), vg.Points(9)
	p.Add(plotter.NewGrid())
	for number, r := range runs {
		own := 0
		f.curves(r, func(name string, points plotter.XYs) {
			if points = finite(points, f.percent); len(points) == 0 || err != nil {
				return
			}
			var line *plotter.Line
			if line, err = plotter.NewLine(points); err != nil {
				return
			}
			line.Color, line.Width = lineColours[own%len(lineColours)], vg.Points(1.2)
			if number > 0 {
				line.Dashes = []vg.Length{vg.Points(float64(2 + 2*number)), vg.Points(2)}
			}
			if len(runs) > 1 {
				name = r.Name + ", " + name
			}
			p.Add(line)
			p.Legend.Add(name, line)
			own++
			count++
		})
	}
	p.Y.Max += float64(count) * legendRoom * (p.Y.Max - p.Y.Min)
	return p, count, err
}

// finite leaves out what is no number.
func finite(points plotter.XYs, percent bool) (kept plotter.XYs) {
	for _, point := range points {
		if percent {
			point.Y *= 100
		}
		if !math.IsNaN(point.Y) && !math.IsInf(point.Y, 0) {
			kept = append(kept, point)
		}
	}
	return kept
}

func taskCurves(of func(metrics.Task) *metrics.Number) func(page.Run, func(string, plotter.XYs)) {
	return func(r page.Run, add func(string, plotter.XYs)) {
		for _, name := range r.Tasks {
			var points plotter.XYs
			for _, record := range r.Records {
				if value := of(record.Tasks[name]); value != nil {
					points = append(points, plotter.XY{X: float64(record.Step), Y: float64(*value)})
				}
			}
			add(name, points)
		}
	}
}

func recordCurve(name string, of func(metrics.Record) metrics.Number) func(page.Run, func(string, plotter.XYs)) {
	return func(r page.Run, add func(string, plotter.XYs)) {
		var points plotter.XYs
		for _, record := range r.Records {
			points = append(points, plotter.XY{X: float64(record.Step), Y: float64(of(record))})
		}
		add(name, points)
	}
}

func probeCurves(r page.Run, add func(string, plotter.XYs)) {
	for _, probe := range []string{"knn", "linear"} {
		var points plotter.XYs
		for _, record := range r.Records {
			if best, ok := record.BestProbe(probe); ok {
				points = append(points, plotter.XY{X: float64(record.Step), Y: best})
			}
		}
		add(probe, points)
	}
}

func cosineCurves(r page.Run, add func(string, plotter.XYs)) {
	points, order := map[string]plotter.XYs{}, []string{}
	for _, record := range r.Records {
		if record.Inspection == nil {
			continue
		}
		for _, c := range record.Inspection.Cosines {
			name := c.Task + " – " + c.Other
			if points[name] == nil {
				order = append(order, name)
			}
			points[name] = append(points[name], plotter.XY{X: float64(record.Inspection.Step), Y: float64(c.Cosine)})
		}
	}
	for _, name := range order {
		add(name, points[name])
	}
}

func layerCurves(r page.Run, add func(string, plotter.XYs)) {
	points, order := map[string]plotter.XYs{}, []string{}
	for _, l := range r.Layers {
		name := l.Features + ", " + l.Probe
		if l.Layer == 0 {
			continue
		}
		if points[name] == nil {
			order = append(order, name)
		}
		points[name] = append(points[name], plotter.XY{X: float64(l.Layer), Y: float64(l.Accuracy)})
	}
	for _, name := range order {
		add(name, points[name])
	}
}
