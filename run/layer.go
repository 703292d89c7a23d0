package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"pretrain/internal/atomicfile"
	"pretrain/train"
)

// BestLayer is the layer that an evaluation chose on a validation part, kept in the run as eval/best_layer.json.
type BestLayer struct {
	Layer      int     `json:"layer"`      // from 1
	Probe      string  `json:"probe"`      // by whose accuracy it was chosen
	Validation float64 `json:"validation"` // that accuracy, between 0 and 1
	Grid       int     `json:"grid"`       // cells along a side of the map that the layer was read as: 1, one mean
}

func (r *Run) bestLayerFile() string {
	return filepath.Join(r.Directory.Evaluations(), "best_layer.json")
}

// StoreBestLayer keeps the choice in the run, in place of an older one.
func (r *Run) StoreBestLayer(best BestLayer) error {
	if err := r.Model.CheckLayer(best.Layer); err != nil {
		return err
	}
	if err := os.MkdirAll(r.Directory.Evaluations(), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(r.bestLayerFile(), true, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(best)
	})
}

// BestLayer is the choice that the run keeps. A run that was never evaluated has none, nor has one whose choice is among
// layers that were read as grids, since everybody else reads them as one mean: a train.UsageError.
func (r *Run) BestLayer() (BestLayer, error) {
	var best BestLayer
	content, err := os.ReadFile(r.bestLayerFile())
	if errors.Is(err, fs.ErrNotExist) {
		return best, train.Usage(fmt.Errorf("%s has no best layer yet: choose one by `pretrain eval %s --train DIR --test DIR`, or name a layer from 1 to %d", r.Directory, r.Directory, r.Model.Layers()))
	}
	if err != nil {
		return best, err
	}
	if err = json.Unmarshal(content, &best); err == nil {
		err = r.Model.CheckLayer(best.Layer)
	}
	if err != nil {
		return best, fmt.Errorf("%s: %w; evaluate the run again to write it anew", r.bestLayerFile(), err)
	}
	if best.Grid > 1 {
		return best, train.Usage(fmt.Errorf("%s: the layer was chosen when read as a grid of %d×%d cells, and is read as one mean here: choose one by `pretrain eval` without --grid, or name a layer from 1 to %d",
			r.bestLayerFile(), best.Grid, best.Grid, r.Model.Layers()))
	}
	return best, nil
}

// Layer reads a layer as users name it: a number from 1, "last" or nothing for the last one, "best" for the one that an
// evaluation chose. Anything else is a train.UsageError.
func (r *Run) Layer(name string) (int, error) {
	switch name {
	case "", "last":
		return r.Model.Layers(), nil
	case "best":
		best, err := r.BestLayer()
		return best.Layer, err
	}
	layer, err := strconv.Atoi(name)
	if err != nil {
		return 0, train.Usage(fmt.Errorf("layer %q: must be a number from 1 to %d, last, or best", name, r.Model.Layers()))
	}
	if err := r.Model.CheckLayer(layer); err != nil {
		return 0, train.Usage(err)
	}
	return layer, nil
}
