package eval

import (
	"math"
	"slices"

	"pretrain/internal/random"
)

// Split is one redrawing of the labelled pictures: rows of the pool of all parts.
type Split struct{ Train, Test, Val []int }

// SplitRow is the accuracy of a probe over several redrawn splits, at the layer that each split's own validation part
// chose. One test part of a few hundred pictures is good to a few hundredths; the mean over splits is steadier, and two
// runs see the same splits, so their accuracies may be compared split by split.
type SplitRow struct {
	Features   string    `json:"features"`
	Probe      string    `json:"probe"`
	Mean       float64   `json:"mean"`
	Deviation  float64   `json:"deviation"` // of one split, not of the mean
	Accuracies []float64 `json:"accuracies"`
	Layers     []int     `json:"layers"` // chosen in each split
}

// redraw deals the pictures of each class anew to parts of the given sizes, in proportion. It depends on the labels and
// the number of the split alone, not on the seed of a run.
func redraw(labels []int, classes int, train, test, val, number int) Split {
	r := random.New(0, "evaluation split", uint64(number))
	var split Split
	all := float64(train + test + val)
	for _, rows := range rowsOfClasses(labels, classes) {
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		count := float64(len(rows))
		tested := int(math.Round(count * float64(test) / all))
		validated := tested + int(math.Round(count*float64(val)/all))
		split.Test = append(split.Test, rows[:tested]...)
		split.Val = append(split.Val, rows[tested:validated]...)
		split.Train = append(split.Train, rows[validated:]...)
	}
	for _, rows := range [][]int{split.Train, split.Test, split.Val} {
		slices.Sort(rows)
	}
	return split
}

// splits measures every probe on redrawn splits of all labelled pictures.
func (e Evaluation) splits(name string, layers []int, parts [3]part, classes int) []SplitRow {
	labels := slices.Concat(parts[0].labels, parts[1].labels, parts[2].labels)
	pools := make([]Matrix, len(layers))
	for i, layer := range layers {
		pools[i] = stack(parts[0].layer(layer), parts[1].layer(layer), parts[2].layer(layer))
	}
	var rows []SplitRow
	for _, probe := range sortedNames(e.Probes) {
		row := SplitRow{Features: name, Probe: probe}
		for number := range e.Splits {
			split := redraw(labels, classes, len(parts[0].labels), len(parts[1].labels), len(parts[2].labels), number)
			layer, accuracy := e.bestLayer(e.Probes[probe], pools, labels, split, classes)
			row.Layers = append(row.Layers, layers[layer])
			row.Accuracies = append(row.Accuracies, accuracy)
		}
		row.Mean, row.Deviation = meanAndDeviation(row.Accuracies)
		rows = append(rows, row)
	}
	return rows
}

// bestLayer is the index of the pool that does best on the split's validation part, and its accuracy on the test part.
func (e Evaluation) bestLayer(probe Probe, pools []Matrix, labels []int, split Split, classes int) (best int, accuracy float64) {
	queries := slices.Concat(split.Val, split.Test)
	highest := -1.0
	for i, pool := range pools {
		predicted := probe.Predict(e.Engine, pool.Select(split.Train), pick(labels, split.Train), pool.Select(queries), classes)
		onVal := Accuracy(predicted[:len(split.Val)], pick(labels, split.Val))
		if onVal > highest {
			best, highest = i, onVal
			accuracy = Accuracy(predicted[len(split.Val):], pick(labels, split.Test))
		}
	}
	return best, accuracy
}

// stack puts matrices of equal width, or empty ones, on top of each other.
func stack(matrices ...Matrix) Matrix {
	var all Matrix
	for _, m := range matrices {
		all.Rows += m.Rows
		all.Cols = max(all.Cols, m.Cols)
		all.Data = append(all.Data, m.Data...)
	}
	return all
}

// meanAndDeviation is the mean and the sample standard deviation; the latter is 0 for a single number.
func meanAndDeviation(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	if len(values) < 2 {
		return mean, 0
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(values)-1))
}
