package eval

import "fmt"

// Row is one measurement: how well a simple classifier on frozen features does on the test part.
type Row struct {
	Features         string     `json:"features"` // pretrained, random or pixels
	Layer            int        `json:"layer"`    // from 1; 0 for pixels
	Probe            string     `json:"probe"`    // knn or linear
	Accuracy         float64    `json:"accuracy"` // on the test part, 0 to 1
	BalancedAccuracy float64    `json:"balanced_accuracy"`
	Interval         [2]float64 `json:"interval"`   // 95 % bootstrap interval of the accuracy
	Validation       float64    `json:"validation"` // accuracy on the validation part, or on a held-out fifth of the training part; 0 without a choice
	Chosen           bool       `json:"chosen"`     // best layer of its features and probe by Validation
	Seconds          float64    `json:"seconds"`    // to fit and predict, without the features
}

// Report is what an evaluation found, as written by --json.
type Report struct {
	Classes []string   `json:"classes"`
	Train   int        `json:"train_pictures"`
	Test    int        `json:"test_pictures"`
	Val     int        `json:"validation_pictures"`
	Bad     int        `json:"unreadable_pictures"`
	Grid    int        `json:"grid"` // cells along a side of a layer's map that make its vector; 1 = one mean
	Rows    []Row      `json:"rows"`
	Splits  []SplitRow `json:"splits,omitempty"` // over redrawn splits of all parts, if asked for

	Anomalies int       `json:"anomalies,omitempty"` // pictures of none of the classes, if named
	Measures  []Measure `json:"measures,omitempty"`  // of the probes that have measures of their own
	Outliers  []Outlier `json:"outliers,omitempty"`  // test pictures that are farthest from the training part
	Health    []Health  `json:"health,omitempty"`    // if asked for
	Leaks     *Leaks    `json:"leaks,omitempty"`     // if asked for
	Notes     []string  `json:"notes,omitempty"`     // what could not be measured, and why
	BestLayer *Best     `json:"best_layer,omitempty"`
}

// Measure is one figure of a probe that has measures of its own.
type Measure struct {
	Features string  `json:"features"` // pretrained, random or pixels
	Layer    int     `json:"layer"`    // from 1; 0 for pixels
	Probe    string  `json:"probe"`    // few_shot, kmeans, retrieval or outlier
	Measure  string  `json:"measure"`
	Value    float64 `json:"value"`
	Low      float64 `json:"low"` // 95 % interval
	High     float64 `json:"high"`
	Seconds  float64 `json:"seconds"` // to find all measures of the probe, without the features
}

// Outlier is a test picture that is far from the training part by a distance, the farthest of its layer first.
type Outlier struct {
	Features string  `json:"features"`
	Layer    int     `json:"layer"`
	Distance string  `json:"distance"` // knn or mahalanobis
	Path     string  `json:"path"`
	Value    float64 `json:"value"`
}

// Best is the layer that the validation of a probe chose among all layers.
type Best struct {
	Layer      int     `json:"layer"` // from 1
	Probe      string  `json:"probe"`
	Validation float64 `json:"validation"`
}

// Best is the chosen layer of some features by the linear probe or, where that was not measured, by k-NN; nil where
// neither was, or not on all of so many layers.
func (r Report) Best(features string, layers int) *Best {
	for _, probe := range []string{"linear", "knn"} {
		var best *Best
		measured := 0
		for _, row := range r.Rows {
			if row.Features != features || row.Probe != probe {
				continue
			}
			measured++
			if row.Chosen {
				best = &Best{row.Layer, probe, row.Validation}
			}
		}
		if best != nil && measured == layers {
			return best
		}
	}
	return nil
}

// addScores adds what one scorer found on one layer; row holds what the measures have in common.
func (r *Report) addScores(row Measure, found Scores, testPaths []string) {
	for _, score := range found.Values {
		row.Measure, row.Value, row.Low, row.High = score.Measure, score.Value, score.Low, score.High
		r.Measures = append(r.Measures, row)
	}
	for _, outlying := range found.Outliers {
		r.Outliers = append(r.Outliers, Outlier{row.Features, row.Layer, outlying.Method, testPaths[outlying.Row], outlying.Value})
	}
	for _, note := range found.Notes {
		r.Notes = append(r.Notes, fmt.Sprintf("%s, layer %d: %s", row.Features, row.Layer, note))
	}
}
