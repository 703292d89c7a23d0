package eval

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
)

// FewShot measures what a few labels are worth: it draws Shots pictures a class of the training part, Draws times, and
// classifies the whole test part by the nearest class mean. Features are centred by the mean of the whole training part,
// which needs no label, and scaled to length one before the means are taken: SimpleShot with CL2N (Wang et al. 2019,
// arXiv:1911.04623, section 3), which has nothing to tune and is no worse than fitted classifiers on so few pictures. A
// class with fewer pictures gives all it has.
type FewShot struct {
	Shots []int
	Draws int
	Seed  uint64
}

func init() {
	registerScorer("few_shot", func(_ Config, seed uint64) Scorer {
		return FewShot{Shots: []int{1, 5, 10}, Draws: 20, Seed: seed}
	})
}

// Score has a measure accuracy_N a number of shots: the mean over the draws, with Student's interval of that mean. It
// tells how far the choice of labelled pictures matters, and says nothing of the choice of test pictures.
func (f FewShot) Score(engine *kernel.Engine, sets Sets) Scores {
	mean := columnMeans(sets.Train)
	train, test := normalizeRows(centred(sets.Train, mean)), normalizeRows(centred(sets.Test, mean))
	var scores Scores
	for _, shots := range f.Shots {
		value, low, high := meanInterval(f.accuracies(engine, sets, train, test, shots))
		scores.Values = append(scores.Values, Score{fmt.Sprintf("accuracy_%d", shots), value, low, high})
	}
	return scores
}

// accuracies is the accuracy of each draw. The means of all draws are one matrix, so that there is one product.
func (f FewShot) accuracies(engine *kernel.Engine, sets Sets, train, test Matrix, shots int) []float64 {
	means := Matrix{Cols: train.Cols}
	for draw := range f.Draws {
		for _, rows := range drawShots(sets.TrainLabels, sets.Classes, shots, f.Seed, draw) {
			for _, x := range columnMeans(train.Select(rows)) {
				means.Data = append(means.Data, float32(x))
			}
			means.Rows++
		}
	}
	right := make([][]bool, test.Rows)
	eachProduct(engine, test, means, minusHalfSquares(means), func(query int, products []float32) {
		right[query] = make([]bool, f.Draws)
		for draw := range f.Draws {
			right[query][draw] = argmax(products[draw*sets.Classes:][:sets.Classes]) == sets.TestLabels[query]
		}
	})
	accuracies := make([]float64, f.Draws)
	for _, of := range right {
		for draw, is := range of {
			if is {
				accuracies[draw] += 1 / float64(test.Rows)
			}
		}
	}
	return accuracies
}

// drawShots lists so many random rows of each class.
func drawShots(labels []int, classes, shots int, seed uint64, draw int) [][]int {
	r := random.New(seed, "few shots", uint64(shots), uint64(draw))
	byClass := rowsOfClasses(labels, classes)
	for class, rows := range byClass {
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		byClass[class] = rows[:min(shots, len(rows))]
	}
	return byClass
}

// meanInterval is the mean of independent draws and Student's 95 % interval of it.
func meanInterval(values []float64) (mean, low, high float64) {
	mean, deviation := meanAndDeviation(values)
	if len(values) < 2 {
		return mean, mean, mean
	}
	n := float64(len(values))
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * deviation / math.Sqrt(n)
	return mean, mean - half, mean + half
}
