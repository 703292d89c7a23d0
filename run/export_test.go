package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"pretrain/export"
	"pretrain/train"
)

// testExport: the weights equal those that training left, byte for byte, and every file has its description beside it.
func testExport(t *testing.T, opened *Run) {
	dir := t.TempDir()
	plain := ExportOptions{Out: filepath.Join(dir, "weights.safetensors"), Format: export.FormatSafetensors}
	if err := opened.Export(plain); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, plain.Out), weights(t, string(opened.Directory))) {
		t.Error("the exported file differs from exported/backbone.safetensors")
	}
	testExportAgain(t, opened, plain)
	graph := ExportOptions{Out: filepath.Join(dir, "network.onnx"), Format: export.FormatONNX, Layers: []string{"1", "last", "all"}, UInt8: true}
	if err := opened.Export(graph); err != nil {
		t.Fatal(err)
	}
	var model export.Model
	if err := json.Unmarshal(read(t, export.DescriptionPath(graph.Out)), &model); err != nil {
		t.Fatal(err)
	}
	var outputs []string
	for _, output := range model.Graph.Outputs {
		outputs = append(outputs, output.Name)
	}
	if got := strings.Join(outputs, " "); got != "pooled map layer_1 layer_2" || model.Graph.Input.Type != "uint8" {
		t.Errorf("outputs %s, input %+v", got, model.Graph.Input)
	}
}

// testExportAgain: neither the file nor its description is replaced unless told so.
func testExportAgain(t *testing.T, opened *Run, options ExportOptions) {
	var usage *train.UsageError
	if err := opened.Export(options); !errors.As(err, &usage) || !errors.Is(err, export.ErrExists) {
		t.Errorf("an existing file gives %v", err)
	}
	options.Overwrite = true
	if err := opened.Export(options); err != nil {
		t.Error(err)
	}
}

func testExportMistakes(t *testing.T, opened *Run) {
	out := filepath.Join(t.TempDir(), "x")
	taken := filepath.Join(t.TempDir(), "pictures.txt")
	write(t, taken, nil)
	for _, overwrite := range []bool{false, true} {
		below := ExportOptions{Out: filepath.Join(taken, "weights.safetensors"), Format: export.FormatSafetensors, Overwrite: overwrite}
		var usage *train.UsageError
		if err := opened.Export(below); !errors.As(err, &usage) || !strings.Contains(err.Error(), taken+" is a file, not a folder") {
			t.Errorf("a file in the way of the folder, overwrite %v: %v", overwrite, err)
		}
	}
	for want, options := range map[string]ExportOptions{
		"--format \"pickle\"":   {Format: "pickle"},
		"use that format":       {Format: export.FormatTorchvision},
		"--uint8 and --layers":  {Format: export.FormatTimm, UInt8: true},
		"leave them out":        {Format: export.FormatSafetensors, Layers: []string{"1"}},
		"layers 1 to 2":         {Format: export.FormatONNX, Layers: []string{"3"}},
		"--layers: layer \"b\"": {Format: export.FormatONNX, Layers: []string{"b"}},
		"has no best layer yet": {Format: export.FormatONNX, Layers: []string{"best"}},
	} {
		options.Out = out
		var usage *train.UsageError
		if err := opened.Export(options); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a usage error with %q", err, want)
		}
		if exists(out) || exists(export.DescriptionPath(out)) {
			t.Errorf("%s left a file", want)
		}
	}
}
