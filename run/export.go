package run

import (
	"errors"

	"pretrain/export"
	"pretrain/train"
)

// Export writes the backbone's weights as one safetensors file.
func (r *Run) Export(out string, overwrite bool) error {
	weights, err := r.Model.Weights()
	if err != nil {
		return err
	}
	err = export.WriteWeights(out, weights, overwrite)
	if errors.Is(err, export.ErrExists) {
		return train.Usage(err)
	}
	return err
}
