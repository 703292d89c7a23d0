package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"pretrain/bench"
)

const (
	columns     = 3 // panels side by side
	panelWidth  = 10 * vg.Centimeter
	panelHeight = 8.5 * vg.Centimeter
)

var (
	timeColour  = color.RGBA{R: 31, G: 119, B: 180, A: 255}
	boundColour = color.RGBA{R: 150, G: 150, B: 150, A: 255}
)

// drawPanels draws the axes, so many panels in a row.
func drawPanels(c vg.CanvasSizer, s *bench.Scaling, rows int) error {
	var panels [][]*plot.Plot
	for row := range rows {
		line := make([]*plot.Plot, columns)
		for column := range line {
			if i := row*columns + column; i < len(s.Axes) {
				p, err := panel(s.Axes[i])
				if err != nil {
					return err
				}
				line[column] = p
			}
		}
		panels = append(panels, line)
	}
	const gap = 5 * vg.Millimeter
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 2 * gap, PadY: 2 * gap, PadLeft: gap, PadRight: gap, PadTop: gap, PadBottom: gap}
	canvases := plot.Align(panels, tiles, draw.New(c))
	for row, line := range panels {
		for column, p := range line {
			if p != nil {
				p.Draw(canvases[row][column])
			}
		}
	}
	return nil
}

// panel shows one axis: the steps, the law fitted to them, and what arithmetic alone would take at the machine's peak.
func panel(axis bench.Axis) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s\n%s", axis.Name, axis.Model)
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.Legend.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Variant, style.Font.Size = "Sans", 9
	}
	p.X.Label.Text, p.Y.Label.Text = axis.Unit, "ms a step"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticksAt(values(axis)), plot.LogTicks{Prec: -1}
	points, err := plotter.NewScatter(series(axis, func(row bench.Row) float64 { return 1000 * row.StepSeconds }))
	if err != nil {
		return nil, err
	}
	points.Color, points.Shape = timeColour, draw.CircleGlyph{}
	law, err := plotter.NewLine(fitted(axis))
	if err != nil {
		return nil, err
	}
	law.Color = timeColour
	bound, err := plotter.NewLine(series(axis, func(row bench.Row) float64 {
		return 1000 * row.FLOPsPerImage * float64(row.Batch) / row.PeakFLOPs
	}))
	if err != nil {
		return nil, err
	}
	bound.Color, bound.Dashes = boundColour, []vg.Length{2, 2}
	p.Add(bound, law, points)
	p.Legend.Add(fmt.Sprintf("measured, ~ n^%.2f", axis.Time.Exponent), law, points)
	p.Legend.Add(fmt.Sprintf("arithmetic at the peak, ~ n^%.2f", axis.FLOPs.Exponent), bound)
	p.Legend.Top, p.Legend.Left = true, true
	p.Y.Max *= 3 // room for the legend
	return p, nil
}

func values(axis bench.Axis) []float64 {
	var all []float64
	for _, point := range axis.Points {
		all = append(all, point.Value)
	}
	return all
}

// ticksAt marks what was measured.
func ticksAt(values []float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, v := range values {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
	}
	return ticks
}

func series(axis bench.Axis, of func(bench.Row) float64) plotter.XYs {
	var points plotter.XYs
	for _, point := range axis.Points {
		points = append(points, plotter.XY{X: point.Value, Y: of(point.Row)})
	}
	return points
}

// fitted is the law at the ends of the axis.
func fitted(axis bench.Axis) plotter.XYs {
	var line plotter.XYs
	for _, x := range []float64{axis.Points[0].Value, axis.Points[len(axis.Points)-1].Value} {
		line = append(line, plotter.XY{X: x, Y: 1000 * axis.Time.Factor * math.Pow(x, axis.Time.Exponent)})
	}
	return line
}

// render is the picture of all axes in a format, svg or png.
func render(s *bench.Scaling, format string) ([]byte, error) {
	rows := (len(s.Axes) + columns - 1) / columns
	width, height := columns*panelWidth, vg.Length(rows)*panelHeight
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	if format == "svg" {
		canvas = vgsvg.New(width, height)
	} else {
		canvas = vgimg.PngCanvas{Canvas: vgimg.New(width, height)}
	}
	if err := drawPanels(canvas, s, rows); err != nil {
		return nil, err
	}
	var picture bytes.Buffer
	_, err := canvas.WriteTo(&picture)
	return picture.Bytes(), err
}
