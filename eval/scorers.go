package eval

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pretrain/data"
	"pretrain/internal/kernel"
)

// A Scorer is a probe with measures of its own, where a Probe predicts classes and has accuracies. It changes none of
// what it is given, and scores the same features with the same numbers.
type Scorer interface {
	Score(engine *kernel.Engine, sets Sets) Scores
}

// Sets are the features of one layer, one row a picture, with the classes from 0 of the labelled ones.
type Sets struct {
	Train, Test             Matrix
	TrainLabels, TestLabels []int
	Classes                 int
	Anomalies               Matrix // pictures of none of the classes; no rows where none were named
}

// Scores is what a Scorer found.
type Scores struct {
	Values   []Score
	Outliers []Outlying // the most outlying rows of Test, if the scorer ranks them
	Notes    []string   // what could not be measured, and why
}

// Score is one measure with the bounds of its 95 % interval.
type Score struct {
	Measure          string
	Value, Low, High float64
}

// Outlying is a row of a test part that is far from the training part.
type Outlying struct {
	Method string // of the distance
	Row    int
	Value  float64 // the distance
}

// scorers is filled while the package is initialised: each scorer registers itself in its own file.
var scorers = map[string]func(Config, uint64) Scorer{}

func registerScorer(name string, make func(c Config, seed uint64) Scorer) { scorers[name] = make }

// Scorers are the probes with measures of their own, by name.
func (c Config) Scorers(seed uint64) map[string]Scorer {
	made := map[string]Scorer{}
	for name, make := range scorers {
		made[name] = make(c, seed)
	}
	return made
}

// ProbeNames lists all probes and scorers: first those that are the default, then the others, each in the order of the
// alphabet.
func ProbeNames() []string {
	others := sortedNames(scorers)
	return append(DefaultProbes(), others...)
}

// DefaultProbes are the probes that an evaluation has unless others are asked for.
func DefaultProbes() []string { return sortedNames(Config{}.Probes(0)) }

// Choose puts the named probes into the evaluation; "all" stands for every one. An unknown name is an error that lists
// the known ones.
func (e *Evaluation) Choose(names []string, c Config, seed uint64) error {
	e.Probes, e.Scorers = map[string]Probe{}, map[string]Scorer{}
	if slices.Contains(names, "all") {
		e.Probes, e.Scorers = c.Probes(seed), c.Scorers(seed)
		return nil
	}
	probes, scorers := c.Probes(seed), c.Scorers(seed)
	for _, name := range names {
		probe, isProbe := probes[name]
		scorer, isScorer := scorers[name]
		switch {
		case isProbe:
			e.Probes[name] = probe
		case isScorer:
			e.Scorers[name] = scorer
		default:
			return fmt.Errorf("%s: must be among %s, or all", name, strings.Join(ProbeNames(), ", "))
		}
	}
	return nil
}

// scores adds what the scorers find to the report.
func (e Evaluation) scores(
	name string, layers []int, parts [3]part, classes int, report *Report, extract func(data.Dataset) (Features, error),
) error {
	if len(e.Scorers) == 0 {
		return nil
	}
	var anomalies part
	if e.Anomalies != nil {
		var err error
		if anomalies.features, err = extract(e.Anomalies); err != nil {
			return err
		}
		report.Anomalies = len(anomalies.features.Paths)
		report.Bad += len(anomalies.features.Bad)
		if report.Anomalies == 0 {
			return fmt.Errorf("anomalies: none of the %d pictures can be read", e.Anomalies.Len())
		}
	}
	for _, layer := range layers {
		sets := Sets{
			Train: parts[0].layer(layer), TrainLabels: parts[0].labels, Test: parts[1].layer(layer), TestLabels: parts[1].labels,
			Classes: classes, Anomalies: anomalies.layer(layer),
		}
		if err := e.checkFinite(name, layer, sets.Train, sets.Test, sets.Anomalies); err != nil {
			return err
		}
		for _, probe := range sortedNames(e.Scorers) {
			started := time.Now()
			found := e.Scorers[probe].Score(e.Engine, sets)
			report.addScores(Measure{Features: name, Layer: layer, Probe: probe, Seconds: time.Since(started).Seconds()}, found, parts[1].features.Paths)
		}
	}
	return nil
}

// checkFinite refuses features that no measure can be taken of.
func (e Evaluation) checkFinite(name string, layer int, features ...Matrix) error {
	for _, m := range features {
		if !e.Engine.AllFinite(m.Data) {
			return fmt.Errorf("%s features of layer %d are not all finite: the weights have diverged", name, layer)
		}
	}
	return nil
}

func sortedNames[T any](named map[string]T) []string {
	var names []string
	for name := range named {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
