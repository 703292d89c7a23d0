package train

import (
	"math"
	"testing"

	"pretrain/metrics"
)

// TestInspectionsAreTold: a run that looks closer at every third step tells of them in metrics.jsonl, with gradients of
// both tasks, updates of the blocks, and the health of every layer, and the weights are those of a run that never looks.
func TestInspectionsAreTold(t *testing.T) {
	weights := map[int]string{}
	for _, every := range []int{0, 3} {
		job := longJob(t, pictures(t, 24))
		job.Metrics.InspectEverySteps = every
		job.Logging.EverySteps = 1
		run(t, job)
		weights[every] = string(exported(t, job))
		for i, record := range records(t, job) {
			due := every > 0 && i%every == 0
			if (record.Inspection != nil) != due {
				t.Fatalf("step %d, every %d: inspection %v", record.Step, every, record.Inspection)
			}
			if due {
				checkInspection(t, job, record)
			}
		}
	}
	if weights[0] != weights[3] {
		t.Error("closer looks change the weights")
	}
}

func checkInspection(t *testing.T, job Job, record metrics.Record) {
	t.Helper()
	seen := *record.Inspection
	tasks := len(job.TaskNames)
	if seen.Step != record.Step || len(seen.TaskGradientNorms) != tasks || len(seen.Cosines) != tasks*(tasks-1)/2 || len(seen.Updates) == 0 {
		t.Errorf("step %d: %+v", record.Step, seen)
	}
	for _, layer := range seen.Features {
		if rank := float64(layer.Rank); !(rank >= 1) || math.IsInf(rank, 0) || !(layer.Spread >= 0) {
			t.Errorf("step %d: layer %s has rank %g and spread %g", record.Step, layer.Layer, rank, float64(layer.Spread))
		}
	}
	if len(seen.Features) != job.Backbone.Depth() {
		t.Errorf("step %d: health of %d layers, want %d", record.Step, len(seen.Features), job.Backbone.Depth())
	}
}
