package main

import (
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pretrain/configs"
	"pretrain/look"
	pretrain "pretrain/run"
	"pretrain/sample"
)

// TestSheets trains a small run of each kind of backbone for a step and draws every sheet of it.
func TestSheets(t *testing.T) {
	pictures := t.TempDir()
	if err := sample.Extract(pictures); err != nil {
		t.Fatal(err)
	}
	type size struct{ columns, rows int } // of tiles; 0 = refused
	for backbone, sizes := range map[string]map[string]size{
		"vit":      {"colours": {3, 2}, "attention": {1 + 2 + 2, 2}, "tasks": {2 * 4, 1 + 4}}, // the picture, 2 blocks, 2 heads
		"resnet18": {"colours": {3, 2}, "attention": {}, "tasks": {2 * 4, 1 + 4}},
	} {
		directory := newRun(t, pictures, backbone)
		for what, size := range sizes {
			t.Run(backbone+"/"+what, func(t *testing.T) {
				o := options{run: directory, data: pictures, what: what, count: 2, out: filepath.Join(t.TempDir(), "sheet.png")}
				err := draw(t.Context(), o)
				if size.columns == 0 {
					if err == nil || !strings.Contains(err.Error(), "vit") {
						t.Fatalf("got %v, want an error that names the remedy", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				checkSheet(t, o, size.columns, size.rows)
			})
		}
	}
}

// newRun makes a run of one step on all four tasks, and returns its directory.
func newRun(t *testing.T, pictures, architecture string, more ...configs.Override) string {
	t.Helper()
	source := configs.Source{Name: "quickstart", Overrides: []configs.Override{
		{Path: "data.path", Value: filepath.Join(pictures, "train")}, {Path: "data.size", Value: "32"}, {Path: "data.max_pictures", Value: "16"},
		{Path: "backbone.name", Value: architecture}, {Path: "backbone.resnet.width", Value: "8"},
		{Path: "backbone.vit.width", Value: "16"}, {Path: "backbone.vit.depth", Value: "2"}, {Path: "backbone.vit.heads", Value: "2"},
		{Path: "tasks.rotation.copies", Value: "4"}, {Path: "tasks.relative_position.mode", Value: "auto"},
		{Path: "tasks.patch_location.mode", Value: "auto"}, {Path: "train.batch_size", Value: "8"}, {Path: "train.max_steps", Value: "1"},
		{Path: "train.calibration_pictures", Value: "8"}, {Path: "metrics.enabled", Value: "false"},
	}}
	source.Overrides = append(source.Overrides, more...)
	resolved, err := configs.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(t.TempDir(), "run")
	if err := pretrain.Train(t.Context(), resolved, pretrain.TrainOptions{Directory: directory, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	return directory
}

func checkSheet(t *testing.T, o options, columns, rows int) {
	t.Helper()
	file, err := os.Open(o.out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	drawn, err := png.DecodeConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	const gap, line, margin = 6, 14, 140 // of package look
	left, height := gap, line+gap/2+look.TileSide+gap
	if o.what == "tasks" {
		left = margin
	}
	if o.what != "colours" {
		height += line // captions of two lines
	}
	if want := left + columns*(look.TileSide+gap); drawn.Width != want {
		t.Errorf("the sheet is %d wide, want %d", drawn.Width, want)
	}
	if want := rows*height + gap; drawn.Height != want {
		t.Errorf("the sheet is %d high, want %d", drawn.Height, want)
	}
}

func TestOptions(t *testing.T) {
	good := options{run: "run", data: "data", out: "sheet.jpg", what: "tasks", count: 1}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*options){
		"-run":   func(o *options) { o.run = "" },
		"-what":  func(o *options) { o.what = "smells" },
		"-count": func(o *options) { o.count = 0 },
		"-out":   func(o *options) { o.out = "sheet.gif" },
	} {
		o := good
		spoil(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
