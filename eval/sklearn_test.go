package eval

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// reference is what tools/sklearnreference computed with scikit-learn.
type reference struct {
	Retrieval                     map[string]float64
	Clustering, Health            map[string]float64
	Outliers                      outlierReference
	Train, Test, Anomalies, Other []float32
}

type outlierReference struct {
	KNN, Mahalanobis []float64
	Shrinkage        float64
	AUROCKNN         float64 `json:"auroc_knn"`
	AUROCMahalanobis float64 `json:"auroc_mahalanobis"`
}

const referenceClasses, referenceDim = 4, 12

func readReference(t *testing.T) (r reference, sets Sets) {
	t.Helper()
	content, err := os.ReadFile("testdata/sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	sets = Sets{Train: wide(r.Train), Test: wide(r.Test), Anomalies: wide(r.Anomalies), Classes: referenceClasses}
	for i := range sets.Train.Rows {
		sets.TrainLabels = append(sets.TrainLabels, i%referenceClasses)
	}
	sets.TestLabels = sets.TrainLabels[:sets.Test.Rows]
	return r, sets
}

func wide(values []float32) Matrix {
	return Matrix{Rows: len(values) / referenceDim, Cols: referenceDim, Data: values}
}

// agree compares with what scikit-learn found, relatively.
func agree(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance*math.Abs(want) {
		t.Errorf("%s is %.9g, scikit-learn says %.9g", what, got, want)
	}
}

func TestRetrievalAgreesWithScikitLearn(t *testing.T) {
	r, sets := readReference(t)
	scores := scorersOf(1)["retrieval"].Score(newEngine(t, 2), sets).Values
	if len(scores) != len(r.Retrieval) {
		t.Errorf("%d measures, want %d", len(scores), len(r.Retrieval))
	}
	for _, score := range scores {
		agree(t, score.Measure, score.Value, r.Retrieval[score.Measure], 1e-6)
	}
}

func TestKMeansAgreesWithScikitLearn(t *testing.T) {
	r, sets := readReference(t)
	means, engine := KMeans{Restarts: 200, Iterations: 100, Seed: 1}, newEngine(t, 2)
	_, inertia := means.Fit(engine, normalizeRows(sets.Train), sets.Classes)
	agree(t, "inertia", inertia, r.Clustering["inertia"], 1e-5)
	for _, score := range means.Score(engine, sets).Values {
		agree(t, score.Measure, score.Value, r.Clustering[score.Measure], 1e-9)
	}
}

func TestOutliersAgreeWithScikitLearn(t *testing.T) {
	r, sets := readReference(t)
	o, engine := Outliers{Neighbours: 5, Listed: 3, Seed: 1}, newEngine(t, 2)
	for i, d := range o.neighbourDistances(engine, sets.Train, sets.Test) {
		agree(t, "k-NN distance", d, r.Outliers.KNN[i], 1e-5)
	}
	gaussian, err := fitGaussian(engine, sets.Train)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range gaussian.distances(engine, sets.Test) {
		agree(t, "Mahalanobis distance", d, r.Outliers.Mahalanobis[i], 1e-5)
	}
	_, shrinkage := ledoitWolf(engine, centred(sets.Train, columnMeans(sets.Train)))
	agree(t, "shrinkage", shrinkage, r.Outliers.Shrinkage, 1e-5)
	values := o.Score(engine, sets).Values
	agree(t, values[0].Measure, values[0].Value, r.Outliers.AUROCKNN, 1e-9)
	agree(t, values[1].Measure, values[1].Value, r.Outliers.AUROCMahalanobis, 1e-9)
}

func TestHealthAgreesWithNumPy(t *testing.T) {
	r, sets := readReference(t)
	for measure, got := range map[string]float64{
		"rankme": RankMe(sets.Train), "feature_std": FeatureStd(sets.Train),
		"alignment": Alignment(sets.Train, wide(r.Other)), "uniformity": Uniformity(newEngine(t, 2), sets.Train),
	} {
		agree(t, measure, got, r.Health[measure], 1e-6)
	}
}
