// Package page shows a run in a browser: live, at the address of the metrics, and at rest, as one file. Both are the same
// page; it needs nothing from elsewhere.
package page

import (
	"embed"
	"encoding/json"

	"pretrain/metrics"
)

// assets are the parts of the page. uplot.js and uplot.css are uPlot 1.6.32 (MIT licence, uplot.LICENSE), unchanged.
//
//go:embed assets
var assets embed.FS

// asset is the content of one of them. One that is missing is a mistake in the program.
func asset(name string) string {
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("page: " + err.Error())
	}
	return string(content)
}

// About is what is known of a run besides its records. It holds no path of the machine; see HidePaths.
type About struct {
	Name   string             `json:"name"`
	State  string             `json:"state"` // of train.Record, or starting
	Error  string             `json:"error,omitempty"`
	Steps  int64              `json:"steps"` // of the whole run
	Tasks  []string           `json:"tasks"`
	Chance map[string]float64 `json:"chance"` // accuracy of always giving a task's commonest answer
	Facts  []Fact             `json:"facts"`
	Config string             `json:"config"` // YAML
}

// Fact is something to know about a run or its machine.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Run is everything that a page shows of one run.
type Run struct {
	About
	Records  []metrics.Record `json:"records"`
	Log      []string         `json:"log"`                // last lines, without paths
	Gallery  json.RawMessage  `json:"gallery,omitempty"`  // a look.Gallery
	Layers   []Layer          `json:"layers,omitempty"`   // of an evaluation
	Verdict  Verdict          `json:"verdict"`            // of Judge
	Pictures int64            `json:"pictures,omitempty"` // version of the gallery that a live page can fetch; 0 = none
}

// Layer is how well a probe does on the features of a layer after training.
type Layer struct {
	Features string         `json:"features"` // pretrained, random or pixels
	Layer    int            `json:"layer"`    // from 1; 0 for pixels
	Probe    string         `json:"probe"`
	Accuracy metrics.Number `json:"accuracy"` // on the test part, 0 to 1
	Chosen   bool           `json:"chosen"`   // best layer by a validation part
}
