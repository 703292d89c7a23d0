package main

import (
	"bytes"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pretrain/backbone"
	"pretrain/configs"
	"pretrain/data"
	"pretrain/look"
	"pretrain/nn"
	"pretrain/pretext"
	"pretrain/sample"
)

// TestWhatSheetsShow draws a run of all tasks, tile by tile.
func TestWhatSheetsShow(t *testing.T) {
	pictures := t.TempDir()
	if err := sample.Extract(pictures); err != nil {
		t.Fatal(err)
	}
	directory := newRun(t, pictures, "vit")
	r, err := open(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	o := options{run: directory, data: pictures, count: 3}
	t.Run("colours", func(t *testing.T) { checkColours(t, r, o) })
	t.Run("attention", func(t *testing.T) { checkAttention(t, r, o) })
	t.Run("tasks", func(t *testing.T) { checkTasks(t, r, o) })
	t.Run("samples", func(t *testing.T) { checkSamples(t, r, o) })
	t.Run("views", func(t *testing.T) { checkViews(t, r) })
	t.Run("files", func(t *testing.T) { checkFiles(t, o) })
	t.Run("mistakes", func(t *testing.T) { checkMistakes(t, o) })
}

// checkColours: what is seen has no colours, and the truth is the pictures, each another one; twice it is the same sheet.
func checkColours(t *testing.T, r *run, o options) {
	s, err := colours(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := colours(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range s.Rows {
		var captions []string
		for _, tile := range row.Tiles {
			captions = append(captions, tile.Caption)
		}
		if want := []string{"seen", "predicted", "truth"}; !slices.Equal(captions, want) {
			t.Fatalf("row %d is %q, want %q", i, captions, want)
		}
		seen, truth := row.Tiles[0].Pixels.Data, row.Tiles[2].Pixels.Data
		if colourful(seen) > 0.02 || colourful(truth) < 0.05 {
			t.Errorf("row %d: what is seen has %.3f of colours, the truth %.3f", i, colourful(seen), colourful(truth))
		}
		if i > 0 && slices.Equal(truth, s.Rows[i-1].Tiles[2].Pixels.Data) {
			t.Errorf("rows %d and %d show one picture", i-1, i)
		}
		if !slices.Equal(row.Tiles[1].Pixels.Data, again.Rows[i].Tiles[1].Pixels.Data) {
			t.Errorf("row %d: other colours the second time", i)
		}
	}
}

// colourful is the largest distance between the channels of a pixel.
func colourful(pixels []float32) (most float64) {
	for p := pixels; len(p) > 0; p = p[3:] {
		most = max(most, math.Abs(float64(p[0]-p[1])), math.Abs(float64(p[1]-p[2])))
	}
	return most
}

func checkAttention(t *testing.T, r *run, o options) {
	s, err := attention(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range s.Rows {
		var captions []string
		for _, tile := range row.Tiles {
			first, peak, _ := strings.Cut(tile.Caption, "\n")
			captions = append(captions, first)
			if first != "picture" && !strings.HasPrefix(peak, "peak ") {
				t.Errorf("%q does not say how far its peak exceeds the mean", tile.Caption)
			}
		}
		want := []string{"picture", "block 1", "block 2", "block 2 head 1", "block 2 head 2"}
		if !slices.Equal(captions, want) {
			t.Errorf("tiles %q, want %q", captions, want)
		}
	}
	layers, err := r.attend(mustSamples(t, r, o))
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		sum := float32(0)
		for _, v := range layer.Attention.Received(0, 0, layer.Attention.Heads) {
			sum += v
		}
		if sum <= 0 || sum > 1.001 {
			t.Errorf("block %d gives %g of its attention", layer.Layer, sum)
		}
	}
}

func mustSamples(t *testing.T, r *run, o options) []*data.Sample {
	t.Helper()
	samples, err := r.samples(t.Context(), o.data, o.count)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// checkTasks: a row a task, in the order of training, as wide as its pictures; each picture begins with its target.
func checkTasks(t *testing.T, r *run, o options) {
	s, err := tasks(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, row := range s.Rows[1:] {
		labels = append(labels, row.Label)
		if len(row.Tiles) != len(s.Rows[0].Tiles) {
			t.Errorf("%s has %d tiles below %d", row.Label, len(row.Tiles), len(s.Rows[0].Tiles))
		}
		for i := 0; i < len(row.Tiles); i += len(row.Tiles) / o.count {
			if !strings.Contains(row.Tiles[i].Caption, "\ntarget ") {
				t.Errorf("%s: the first tile of a picture says %q and no target", row.Label, row.Tiles[i].Caption)
			}
		}
	}
	if want := r.config.ActiveTasks(); !slices.Equal(labels, want) {
		t.Errorf("rows of %q, want %q", labels, want)
	}
}

// checkSamples: more pictures than there are, are all that there are.
func checkSamples(t *testing.T, r *run, o options) {
	o.count = 100_000
	all := mustSamples(t, r, o)
	o.count = 1
	if one := mustSamples(t, r, o); len(one) != 1 || len(all) < 10 || len(all) >= 100_000 {
		t.Errorf("%d and %d pictures", len(one), len(all))
	}
	_, err := r.samples(t.Context(), filepath.Join(o.data, "nowhere"), 1)
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("without pictures: %v", err)
	}
}

// checkViews: tokens that are not shown are blank, and those without a place have a red frame.
func checkViews(t *testing.T, r *run) {
	side, token := 32, r.backbone.Stride()
	view := pretext.View{Name: "view", Side: side}
	pixels := make([]float32, side*side*3) // the mean colour
	whole := r.viewTile(view, pretext.Canvas{Pixels: pixels})
	factor := whole.Pixels.Side / side
	if whole.Caption != "view" || factor < 1 {
		t.Fatalf("%q of %d pixels", whole.Caption, whole.Pixels.Side)
	}
	view.Positions = backbone.PositionsNone
	tokens, places := []float32{1, 2}, []float32{1, nn.UnknownPosition}
	part := r.viewTile(view, pretext.Canvas{Pixels: pixels, Tokens: tokens, Positions: places})
	if part.Caption != "view, no places" {
		t.Errorf("the caption is %q", part.Caption)
	}
	at := func(p *data.Pixels, token, inside int) [3]float32 {
		x := token*r.backbone.Stride()*factor + inside
		return [3]float32(p.Data[(inside*p.Side+x)*3:])
	}
	middle := token * factor / 2
	for n, want := range map[int][3]float32{
		0: [3]float32(look.Blank(1).Data), 1: at(whole.Pixels, 1, middle), 2: at(whole.Pixels, 2, middle),
	} {
		if got := at(part.Pixels, n, middle); got != want {
			t.Errorf("token %d is %v, want %v", n, got, want)
		}
	}
	if got := at(part.Pixels, 2, 0); got != look.Red {
		t.Errorf("a token without a place begins with %v, want the red of a frame", got)
	}
	if got := at(part.Pixels, 1, 0); got == look.Red {
		t.Error("a token with a place has a frame")
	}
}

// checkFiles: the ending chooses the format, and a sheet that is there is replaced.
func checkFiles(t *testing.T, o options) {
	o.what = "attention"
	for ending, decode := range map[string]func([]byte) error{
		".png": func(b []byte) error { _, err := png.Decode(bytes.NewReader(b)); return err },
		".jpg": func(b []byte) error { _, err := jpeg.Decode(bytes.NewReader(b)); return err },
	} {
		o.out = filepath.Join(t.TempDir(), "sheet"+ending)
		if err := os.WriteFile(o.out, []byte("an old one"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := draw(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(o.out)
		if err == nil {
			err = decode(content)
		}
		if err != nil {
			t.Errorf("%s: %v", ending, err)
		}
	}
}

// checkMistakes: runs and pictures that are not there are named, and nothing is drawn.
func checkMistakes(t *testing.T, good options) {
	good.what, good.out = "tasks", filepath.Join(t.TempDir(), "sheet.png")
	unfinished := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(unfinished, os.DirFS(good.run)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(unfinished, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*options){
		"nothing":     func(o *options) { o.run = filepath.Join(o.data, "nothing") },
		"checkpoints": func(o *options) { o.run = unfinished },
		"elsewhere":   func(o *options) { o.data = filepath.Join(o.data, "elsewhere") },
		"resolved":    func(o *options) { o.out = filepath.Join(o.run, "config.resolved.yaml", "sheet.png") },
		"-what":       func(o *options) { o.what = "" },
	} {
		o := good
		spoil(&o)
		if err := draw(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q in it", err, want)
		}
	}
	if _, err := os.Stat(good.out); err == nil {
		t.Error("a sheet was drawn")
	}
}

// TestColoursWithoutTheTask: a run that never predicted colours cannot show any, and says so.
func TestColoursWithoutTheTask(t *testing.T) {
	pictures := t.TempDir()
	if err := sample.Extract(pictures); err != nil {
		t.Fatal(err)
	}
	o := options{
		run:  newRun(t, pictures, "resnet18", configs.Override{Path: "tasks.colorization.weight", Value: "0"}),
		data: pictures, what: "colours", count: 1, out: filepath.Join(t.TempDir(), "sheet.png"),
	}
	if err := draw(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not trained on colorization") {
		t.Errorf("got %v, want the task that is missing", err)
	}
}

// TestSummary prints short targets whole, and of long ones the beginning.
func TestSummary(t *testing.T) {
	for want, target := range map[string][]float32{
		"target [3]":          {3},
		"target [1 0 0 0.25]": {1, 0, 0, 0.25},
		"target 1 0.333 ...":  {1, 1. / 3, 0, 0, 0},
		"target []":           {},
	} {
		if got := summary(target); got != want {
			t.Errorf("%v is %q, want %q", target, got, want)
		}
	}
	if got := pad(3, look.Tile{Caption: "a"}); len(got) != 3 || got[0].Caption != "a" || got[2].Pixels != nil {
		t.Errorf("%d tiles", len(got))
	}
}
