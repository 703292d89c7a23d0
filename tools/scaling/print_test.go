package main

import (
	"bytes"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"pgregory.net/rapid"

	"pretrain/bench"
)

// TestGoldenTables is the whole of what is printed.
func TestGoldenTables(t *testing.T) {
	s := &bench.Scaling{
		Axes: []bench.Axis{
			{
				Name: "width", Unit: "channels", Model: "a ViT", Points: []bench.Point{{Value: 64}, {Value: 128}, {Value: 256.5}},
				Time: bench.Fit{Exponent: 1.234}, FLOPs: bench.Fit{Exponent: 2}, Memory: bench.Fit{Exponent: -0.001},
			},
			{Name: "batch", Unit: "pictures", Model: "a ResNet", Points: []bench.Point{{Value: 1}, {Value: 1e6}}},
		},
		Tasks: []bench.Row{
			{Variant: &bench.Variant{Tasks: []string{"rotation"}}, ViewsPerImage: 4, StepSeconds: 0.0426},
			{Model: "pretext", ViewsPerImage: 1.5, StepSeconds: 1.5},
		},
		Together: bench.Row{ViewsPerImage: 5.5, StepSeconds: 1.2}, SumSeconds: 1.6,
	}
	want := `| number | of | from, to | exponent of time | of arithmetic | of memory |
| --- | --- | --- | --- | --- | --- |
| width | a ViT | 64 to 256.5 channels | 1.23 | 2.00 | -0.00 |
| batch | a ResNet | 1 to 1e+06 pictures | 0.00 | 0.00 | 0.00 |

| task alone | views | ms a step |
| --- | --- | --- |
| rotation | 4 | 43 |
| pretext | 1.5 | 1500 |
| sum | | 1600 |
| all in one step | 5.5 | 1200 (0.75 of the sum) |
`
	var got bytes.Buffer
	if err := print(&got, s); err != nil || got.String() != want {
		t.Errorf("%v, got\n%swant\n%s", err, got.String(), want)
	}
}

// TestFittedLine goes through the law at both ends, whatever the law.
func TestFittedLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		factor, exponent := rapid.Float64Range(1e-9, 10).Draw(t, "factor"), rapid.Float64Range(-1, 4).Draw(t, "exponent")
		first, last := rapid.Float64Range(1, 100).Draw(t, "first"), rapid.Float64Range(101, 1e4).Draw(t, "last")
		line := fitted(bench.Axis{
			Points: []bench.Point{{Value: first}, {Value: 100.5}, {Value: last}}, Time: bench.Fit{Factor: factor, Exponent: exponent},
		})
		if len(line) != 2 || line[0].X != first || line[1].X != last {
			t.Fatalf("the line is %v", line)
		}
		slope := math.Log(line[1].Y/line[0].Y) / math.Log(last/first)
		if math.Abs(slope-exponent) > 1e-6 || math.Abs(line[0].Y/(1000*factor*math.Pow(first, exponent))-1) > 1e-9 {
			t.Errorf("from %g ms with the slope %g, want %g ms of %g", line[0].Y, slope, 1000*factor, exponent)
		}
	})
}

// TestSizesOfPictures: three panels make a row, and each further one begins another.
func TestSizesOfPictures(t *testing.T) {
	axis := axisOf(t)
	height := 0
	for panels := 1; panels <= 4; panels++ {
		s := &bench.Scaling{Axes: []bench.Axis{axis, axis, axis, axis}[:panels]}
		picture, err := render(s, "png")
		if err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		if panels == 1 {
			height = config.Height
		}
		rows := (panels + 2) / 3
		if config.Height < rows*height-rows || config.Height > rows*height+rows || config.Width < 3*height {
			t.Errorf("%d panels are %d×%d pixels, a row is %d high", panels, config.Width, config.Height, height)
		}
	}
}

// TestPanelScales: both axes are logarithmic, so that a law is a line; all steps, and the legend above them, are within.
func TestPanelScales(t *testing.T) {
	axis := axisOf(t)
	p, err := panel(axis)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.X.Scale.(plot.LogScale); !ok {
		t.Errorf("the numbers are on the scale %T", p.X.Scale)
	}
	if _, ok := p.Y.Scale.(plot.LogScale); !ok {
		t.Errorf("the times are on the scale %T", p.Y.Scale)
	}
	slowest := 1000 * axis.Points[len(axis.Points)-1].Row.StepSeconds
	if p.X.Min != 64 || p.X.Max != 256 || p.Y.Max < 2.9*slowest || p.Y.Min <= 0 {
		t.Errorf("from (%g, %g) to (%g, %g)", p.X.Min, p.Y.Min, p.X.Max, p.Y.Max)
	}
	for _, broken := range []func(a *bench.Axis){
		func(a *bench.Axis) { a.Points[1].Value = math.NaN() },
		func(a *bench.Axis) { a.Points[1].Row.StepSeconds = math.Inf(1) },
		func(a *bench.Axis) { a.Points[1].Row.FLOPsPerImage = math.NaN() },
		func(a *bench.Axis) { a.Time.Exponent = math.NaN() },
	} {
		axis := axisOf(t)
		broken(&axis)
		if _, err := panel(axis); err == nil {
			t.Errorf("%+v was drawn", axis.Points[1])
		}
		if _, err := render(&bench.Scaling{Axes: []bench.Axis{axisOf(t), axis}}, "svg"); err == nil {
			t.Errorf("a picture with %+v was drawn", axis.Points[1])
		}
	}
}

// TestOutputsThatCannotBeWritten: the folder is named, and where the tables find no room it is an error.
func TestOutputsThatCannotBeWritten(t *testing.T) {
	from, out := measured(t), filepath.Join(t.TempDir(), "missing", "scaling.svg")
	if err := scaling(io.Discard, from, out); err == nil || !strings.Contains(err.Error(), out) {
		t.Errorf("got %v, want the picture's name", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: there is no /dev/full")
	}
	defer full.Close()
	if err := scaling(full, from, filepath.Join(t.TempDir(), "scaling.svg")); err == nil {
		t.Error("tables that were not written are no error")
	}
}
