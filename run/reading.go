package run

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/internal/tensorfile"
	"pretrain/nn"
	"pretrain/train"
)

// Pools are the names of the ways to make features of a layer's map.
func Pools() []string {
	var names []string
	for _, pooling := range eval.Poolings() {
		names = append(names, string(pooling))
	}
	return names
}

// Precisions are the names of the precisions that features can be computed in.
func Precisions() []string { return []string{string(nn.Float32), string(nn.BFloat16), "auto"} }

// ReadingOf reads layer (see Run.Layer; "all" is read as the last one), pooling and precision as users name them; empty
// names are the defaults. Unknown ones are train.UsageErrors.
func (r *Run) ReadingOf(layer, pool, precision string) (eval.Reading, error) {
	if layer == "all" {
		layer = "last"
	}
	number, err := r.Layer(layer)
	if err != nil {
		return eval.Reading{}, err
	}
	if pool != "" && !slices.Contains(Pools(), pool) {
		return eval.Reading{}, train.Usage(fmt.Errorf("pool %q: must be one of %s", pool, strings.Join(Pools(), ", ")))
	}
	if precision == "" {
		precision = string(nn.Float32)
	}
	if !slices.Contains(Precisions(), precision) {
		return eval.Reading{}, train.Usage(fmt.Errorf("precision %q: must be one of %s", precision, strings.Join(Precisions(), ", ")))
	}
	return eval.Reading{
		Layers: []int{number}, Pooling: eval.Pooling(pool), Precision: nn.ChoosePrecision(precision, r.engine.Family()),
	}, nil
}

// describe is the metadata of a features file: whose features they are and how they were made. It holds no path and no
// time, so that the same features give the same file.
func (r *Run) describe(options ExtractOptions, reading eval.Reading) (map[string]string, error) {
	weights, err := r.Model.Weights()
	if err != nil {
		return nil, err
	}
	preprocessing, err := json.Marshal(weights.Model.Input)
	if err != nil {
		return nil, err
	}
	directory, err := filepath.Abs(string(r.Directory))
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	for _, tensor := range weights.Tensors {
		fmt.Fprintln(hash, tensor.Name, tensor.Shape, tensorfile.Checksum(tensor.Data))
	}
	metadata := map[string]string{
		"run": filepath.Base(directory), "step": strconv.FormatInt(r.Step, 10), "weights": fmt.Sprintf("%x", hash.Sum(nil)),
		"backbone": weights.Model.Name, "layer": strings.Trim(fmt.Sprint(reading.Layers), "[]"),
		"pooling": r.poolingOf(reading), "normalized": strconv.FormatBool(options.Normalize),
		"precision": string(reading.Precision), "kernels": string(r.engine.Family()), "jpeg_decoder": data.JPEGDecoder,
		"input_side": strconv.Itoa(weights.Model.InputSide), "preprocessing": string(preprocessing),
	}
	if options.Shard != "" {
		metadata["shard"] = options.Shard
	}
	return metadata, nil
}

// poolingOf says in words how the layers are pooled.
func (r *Run) poolingOf(reading eval.Reading) string {
	switch {
	case reading.Pooling != eval.PoolOwn:
		return string(reading.Pooling)
	case r.Model.Backbone.Pooling() != "class" || !slices.Contains(reading.Layers, r.Model.Layers()):
		return string(eval.PoolMean)
	case len(reading.Layers) == 1:
		return string(eval.PoolClass)
	}
	return "mean, cls in the last layer"
}

// identity is all that the features depend on, the names and labels of the pictures too.
func (e *extractor) identity() map[string]string {
	identity := maps.Clone(e.features.Metadata)
	hash := sha256.New()
	for i := range e.pictures.Len() {
		fmt.Fprintf(hash, "%q %q\n", e.pictures.Path(i), e.pictures.Label(i))
	}
	identity["pictures"] = fmt.Sprintf("%d, %x", e.pictures.Len(), hash.Sum(nil)[:8])
	identity["hashes of files"] = strconv.FormatBool(e.options.SHA256)
	return identity
}
