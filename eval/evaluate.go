package eval

import (
	"context"
	"fmt"
	"time"

	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
)

// A Probe is a simple classifier on frozen features.
type Probe interface {
	Predict(engine *kernel.Engine, train Matrix, labels []int, test Matrix, classes int) []int
}

// Evaluation measures features on labelled pictures. Train and Test are needed. The layer is chosen on Val or, where
// there is none, on a fifth of Train that is held out for that; never on Test.
type Evaluation struct {
	Train, Test, Val data.Dataset
	Engine           *kernel.Engine
	Probes           map[string]Probe
	Scorers          map[string]Scorer
	Anomalies        data.Dataset // pictures of none of the classes, for outlier scores; may be nil, labels play no role
	Health           *Views       // of models, if not nil
	Leaks            *LeakCheck   // of models, if not nil
	Layers           []int        // of the model; nil = all
	Seed             uint64
	// KeepAll leaves out the choice of a layer, and with it a second fit of every probe: rows have no Validation.
	KeepAll bool
	Splits  int // redrawn splits of all labelled pictures to measure besides; 0 = none
}

// part is one labelled set with its features.
type part struct {
	features Features
	labels   []int
}

// Model measures a model's layers, reported under the given name ("pretrained" or "random").
func (e Evaluation) Model(ctx context.Context, name string, m *Model, report *Report) error {
	layers := e.Layers
	if layers == nil {
		layers = m.AllLayers()
	}
	for _, layer := range layers {
		if err := m.CheckLayer(layer); err != nil {
			return err
		}
	}
	parts, err := e.measure(name, layers, report, func(pictures data.Dataset) (Features, error) { return m.Extract(ctx, pictures) })
	if err != nil {
		return err
	}
	if e.Health != nil {
		found, err := e.health(ctx, name, layers, m, parts[0])
		if err != nil {
			return err
		}
		report.Health = append(report.Health, found...)
	}
	if e.Leaks != nil {
		layer := layers[len(layers)-1]
		if best := report.Best(name, len(layers)); best != nil {
			layer = best.Layer
		}
		report.Leaks, err = e.leaks(ctx, layer, parts[0], parts[1])
	}
	return err
}

// Pixels measures the pixel baseline.
func (e Evaluation) Pixels(ctx context.Context, norm data.Normalization, report *Report) error {
	_, err := e.measure("pixels", []int{0}, report, func(pictures data.Dataset) (Features, error) { return Pixels(ctx, pictures, norm) })
	return err
}

// measure adds what probes and scorers find to the report, and returns the features of train, test and val.
func (e Evaluation) measure(
	name string, layers []int, report *Report, extract func(data.Dataset) (Features, error),
) (parts [3]part, err error) {
	parts, classes, err := e.parts(report, extract)
	if err != nil {
		return parts, err
	}
	first := len(report.Rows)
	for _, layer := range layers {
		for _, probe := range sortedNames(e.Probes) {
			report.Rows = append(report.Rows, e.row(name, layer, probe, parts, len(classes.Names)))
		}
	}
	if !e.KeepAll {
		choose(report.Rows[first:])
	}
	if e.Splits > 0 {
		report.Splits = append(report.Splits, e.splits(name, layers, parts, len(classes.Names))...)
	}
	return parts, e.scores(name, layers, parts, len(classes.Names), report, extract)
}

// CheckLabels finds at once, among pictures that Open has found, what else would be found after features are extracted: a
// training part of less than two classes, and classes of the other parts that it does not have.
func (e Evaluation) CheckLabels() error {
	labels, known := labelsOf(e.Train)
	if !known {
		return nil
	}
	classes, err := NewClasses("training part", labels)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name     string
		pictures data.Dataset
	}{{"test part", e.Test}, {"validation part", e.Val}} {
		labels, _ := labelsOf(part.pictures)
		if _, err := classes.Numbers(part.name, labels); err != nil {
			return err
		}
	}
	return nil
}

// parts extracts the features of train, test and val, and numbers the labels.
func (e Evaluation) parts(report *Report, extract func(data.Dataset) (Features, error)) (parts [3]part, classes Classes, err error) {
	report.Bad = 0
	for i, set := range []struct {
		name     string
		pictures data.Dataset
		count    *int
	}{{"training part", e.Train, &report.Train}, {"test part", e.Test, &report.Test}, {"validation part", e.Val, &report.Val}} {
		if set.pictures == nil {
			continue
		}
		if parts[i].features, err = extract(set.pictures); err != nil {
			return parts, classes, err
		}
		*set.count = len(parts[i].features.Labels)
		report.Bad += len(parts[i].features.Bad)
		if *set.count == 0 {
			return parts, classes, fmt.Errorf("%s: none of its %d pictures can be read", set.name, set.pictures.Len())
		}
		if i == 0 {
			if classes, err = NewClasses(set.name, parts[i].features.Labels); err != nil {
				return parts, classes, err
			}
			report.Classes = classes.Names
		}
		if parts[i].labels, err = classes.Numbers(set.name, parts[i].features.Labels); err != nil {
			return parts, classes, err
		}
	}
	return parts, classes, nil
}

// row fits one probe on one layer and scores it.
func (e Evaluation) row(name string, layer int, probe string, parts [3]part, classes int) Row {
	started := time.Now()
	p, train, test := e.Probes[probe], parts[0].layer(layer), parts[1].layer(layer)
	predicted := p.Predict(e.Engine, train, parts[0].labels, test, classes)
	seconds := time.Since(started).Seconds()
	return Row{
		Features: name, Layer: layer, Probe: probe,
		Accuracy:         Accuracy(predicted, parts[1].labels),
		BalancedAccuracy: BalancedAccuracy(predicted, parts[1].labels, classes),
		Interval:         Interval(predicted, parts[1].labels, e.Seed),
		Validation:       e.validate(p, train, parts[0].labels, parts[2].layer(layer), parts[2].labels, classes),
		Seconds:          seconds,
	}
}

// validate is the accuracy that layers are chosen by: on the validation part, or else on a held-out part of the
// training part, after a fit on the rest.
func (e Evaluation) validate(p Probe, train Matrix, labels []int, val Matrix, valLabels []int, classes int) float64 {
	if e.KeepAll {
		return 0
	}
	if e.Val == nil {
		fit, held := holdOut(labels, classes, random.New(e.Seed, "layer choice"))
		train, labels, val, valLabels = train.Select(fit), pick(labels, fit), train.Select(held), pick(labels, held)
	}
	if val.Rows == 0 {
		return 0
	}
	return Accuracy(p.Predict(e.Engine, train, labels, val, classes), valLabels)
}

// layer is the matrix of a layer; pixels, which have a single one, are asked for as layer 0. A part that was not given
// has no rows.
func (p part) layer(layer int) Matrix {
	if p.features.Layers == nil {
		return Matrix{}
	}
	return p.features.Layers[max(layer, 1)-1]
}

// choose marks, for each probe, the row with the best validation; the lower layer of equal ones.
func choose(rows []Row) {
	best := map[string]int{}
	for i, row := range rows {
		if at, ok := best[row.Probe]; !ok || row.Validation > rows[at].Validation {
			best[row.Probe] = i
		}
	}
	for _, i := range best {
		rows[i].Chosen = true
	}
}
