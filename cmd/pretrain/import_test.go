package main

import (
	"strings"
	"testing"

	"pretrain/configs"
	"pretrain/eval"
	"pretrain/run"
)

// TestSayImported: everything that was decided about the weights is said, in few lines.
func TestSayImported(t *testing.T) {
	imported := run.Imported{
		Backbone: "resnet18", Tensors: 100, Settings: []string{"backbone.resnet.stem=small"}, Config: configs.Default(),
		Loaded: eval.Loaded{Ignored: []string{"fc.bias", "bn1.num_batches_tracked", "layer1.0.bn1.num_batches_tracked"}, Resized: []string{"pos_embed is interpolated"}},
	}
	options := run.ImportOptions{File: "w.npz", Directory: "runs/w"}
	var said strings.Builder
	if err := sayImported(&said, imported, options); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"resnet18: 100 tensors from w.npz\n", "taken from the file: backbone.resnet.stem=small\n", ": fc.bias, 2 num_batches_tracked\n",
		"pos_embed is interpolated\n", "data.size=64 with data.mean=[0.485 0.456 0.406]", "written to runs/w\n",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in\n%s", want, said.String())
		}
	}
	said.Reset()
	if err := sayImported(&said, run.Imported{Backbone: "vit", Described: true, Config: configs.Default()}, options); err != nil || strings.Count(said.String(), "\n") != 2 {
		t.Errorf("%v, %q", err, said.String())
	}
}
