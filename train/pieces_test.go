package train

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/internal/memory"
	"pretrain/metrics/mlflow"
)

// TestTheLargestBatchFits: whatever a picture takes and whatever is fixed, the batch that a refusal names fits and the next
// one does not; what fits is not refused.
func TestTheLargestBatchFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fixed, each := rapid.Int64Range(0, 1000).Draw(t, "fixed"), rapid.Int64Range(1, 100).Draw(t, "each")
		limit, batch := rapid.Int64Range(1, 5000).Draw(t, "limit"), rapid.IntRange(1, 200).Draw(t, "batch")
		predict := func(batch int) (Memory, error) { return Memory{Program: fixed, Arena: each * int64(batch)}, nil }
		total := func(batch int) int64 { return fixed + each*int64(batch) }
		err := CheckMemory("key", batch, memory.Limit{Bytes: limit, Source: "a test"}, predict)
		if (err != nil) != (total(batch) > limit) {
			t.Fatalf("%d bytes of %d: %v", total(batch), limit, err)
		}
		if err == nil {
			return
		}
		var refused *MemoryError
		if !errors.As(err, &refused) || !errors.As(err, new(*UsageError)) || refused.Needed.Total() != total(batch) {
			t.Fatalf("got %v", err)
		}
		if largest := refused.Largest; largest > 0 && total(largest) > limit || total(largest+1) <= limit || largest >= batch {
			t.Fatalf("%d of %d pictures are said to fit %d bytes", largest, batch, limit)
		}
		for _, want := range []string{fmt.Sprintf("key is %d", batch), fmt.Sprint(limit), "a test"} {
			if !strings.Contains(err.Error(), want) {
				t.Fatalf("%q does not mention %q", err, want)
			}
		}
	})
}

// TestMemoryInWords lists the parts that are there, and their sum is the total.
func TestMemoryInWords(t *testing.T) {
	whole := Memory{1 << 20, 2 << 20, 3 << 20, 4 << 20, 5 << 20, 6 << 20, 7 << 20, 8 << 20, 9 << 20, 10 << 20}
	if whole.Total() != 55<<20 {
		t.Errorf("the total is %d", whole.Total())
	}
	if parts := strings.Split(whole.String(), ", "); len(parts) != 10 || parts[0] != "intermediate results 1.00 MiB" || parts[6] != "pictures kept (data.cache_mib) 7.00 MiB" {
		t.Errorf("the parts are %q", parts)
	}
	if got := (Memory{Gradients: 1024}).String(); got != "gradients 1.00 KiB" {
		t.Errorf("got %q", got)
	}
}

// TestPaceFollowsTheSteps: it starts with the first one, and a single slow step moves it by a fiftieth.
func TestPaceFollowsTheSteps(t *testing.T) {
	var p pace
	report := func(step int, seconds float64) StepReport {
		return StepReport{Position: Position{Step: step, Steps: 100}, Duration: time.Duration(seconds * float64(time.Second))}
	}
	if left := p.remaining(report(1, 2)); left != 198*time.Second {
		t.Errorf("after the first step: %v", left)
	}
	if left := p.remaining(report(2, 52)); left != 98*3*time.Second {
		t.Errorf("after a slow step: %v", left)
	}
	for step := range 500 {
		p.remaining(report(step, 1))
	}
	if p.step < time.Second || p.step > 1100*time.Millisecond {
		t.Errorf("after many steps of a second: %v", p.step)
	}
	if left := p.remaining(report(100, 1)); left != 0 {
		t.Errorf("at the end: %v", left)
	}
}

func TestStatesForMLflow(t *testing.T) {
	for state, want := range map[string]mlflow.Status{
		StateFinished: mlflow.Finished, StateInterrupted: mlflow.Killed, StateFailed: mlflow.Failed, StateRunning: mlflow.Failed, "": mlflow.Failed,
	} {
		if got := statusOf(state); got != want {
			t.Errorf("%q is %v, want %v", state, got, want)
		}
	}
}

// TestBestRows: of each probe the best layer, the later one of equals.
func TestBestRows(t *testing.T) {
	best := bestRows([]eval.Row{
		{Probe: "knn", Layer: 1, Accuracy: 0.5}, {Probe: "knn", Layer: 2, Accuracy: 0.75}, {Probe: "knn", Layer: 3, Accuracy: 0.75},
		{Probe: "knn", Layer: 4, Accuracy: 0.25}, {Probe: "linear", Layer: 1, Accuracy: 0},
	})
	if len(best) != 2 || best["knn"].Layer != 3 || best["linear"].Layer != 1 {
		t.Errorf("got %+v", best)
	}
}

// TestDotIsExact, as far as float64 is, for any length.
func TestDotIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float32Range(-1000, 1000)
		a := rapid.SliceOfN(value, 0, 23).Draw(t, "a")
		b := rapid.SliceOfN(value, len(a), len(a)).Draw(t, "b")
		want, size := 0.0, 0.0
		for i := range a {
			want += float64(a[i]) * float64(b[i])
			size += math.Abs(float64(a[i]) * float64(b[i]))
		}
		if got := dot(a, b); math.Abs(got-want) > 1e-13*size {
			t.Fatalf("%v · %v = %g, want %g", a, b, got, want)
		}
	})
}

// TestAnyScheduleIsAShare: rates are shares of the peak, above zero where training would else stand still, and after the
// warm-up never rise.
func TestAnyScheduleIsAShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		milestones := rapid.SliceOfN(rapid.Float64Range(0.001, 0.999), 0, 4).Draw(t, "milestones")
		slices.Sort(milestones)
		schedule := ScheduleConfig{
			Name:   rapid.SampledFrom([]string{"cosine", "step", "constant"}).Draw(t, "name"),
			Warmup: rapid.Float64Range(0, 0.99).Draw(t, "warmup"), Milestones: milestones,
			Factor: rapid.Float64Range(0.01, 1).Draw(t, "factor"), FinalRatio: rapid.Float64Range(0, 1).Draw(t, "final"),
		}
		total := rapid.IntRange(1, 300).Draw(t, "steps")
		peaked, last := false, 0.0
		for step := range total {
			rate := schedule.Rate(step, total)
			if !(rate > 0 && rate <= 1+1e-12) {
				t.Fatalf("the rate at %d of %d is %g", step, total, rate)
			}
			warming := float64(step)+1 < schedule.Warmup*float64(total)
			if peaked && rate > last+1e-12 || warming && rate <= last {
				t.Fatalf("the rate goes from %g to %g at %d of %d", last, rate, step, total)
			}
			peaked, last = !warming, rate
		}
	})
	config := DefaultConfig()
	if err := config.Check(); err != nil {
		t.Error(err)
	}
	config.Schedule.Milestones = []float64{0.6, 0.3}
	if err := config.Check(); err == nil || !strings.Contains(err.Error(), "train.schedule.milestones is [0.6 0.3]") || !strings.Contains(err.Error(), "sort it") {
		t.Errorf("got %v", err)
	}
}

// TestALogThatIsOpenedLate has every line once and whole, however many write it while it is opened.
func TestALogThatIsOpenedLate(t *testing.T) {
	file, path := &lateFile{}, filepath.Join(t.TempDir(), "train.log")
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for i := range 50 {
				if _, err := fmt.Fprintf(file, "writer %d line %d\n", writer, i); err != nil {
					t.Error(err)
				}
				if writer == 0 && i == 25 {
					if err := file.open(path); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	file.close()
	file.close() // as a session that fails early does
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if distinct := slices.Compact(slices.Sorted(slices.Values(lines))); len(lines) != 200 || len(distinct) != 200 {
		t.Errorf("%d lines, %d of them different", len(lines), len(distinct))
	}
	if err := (&lateFile{}).open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "log: ") {
		t.Errorf("a folder is opened: %v", err)
	}
}

// TestInterruptionsTellHowToGoOn, and are what stopped them.
func TestInterruptionsTellHowToGoOn(t *testing.T) {
	cause := errors.New("SIGTERM")
	err := error(&Interrupted{cause, 12})
	if !errors.Is(err, cause) || err.Error() != "stopped at step 12 (SIGTERM); a checkpoint is saved: repeat the command with --resume to go on" {
		t.Errorf("got %v", err)
	}
}

// importOf makes a run of the weights of a session.
func importOf(t *testing.T, s *session, directory Directory, start Start) error {
	t.Helper()
	weights, err := s.model.Weights()
	if err != nil {
		t.Fatal(err)
	}
	return WriteImport(Import{
		Directory: directory, Start: start, Resolved: s.job.Resolved, Version: "v1", File: "other.safetensors",
		Store: s.trainer.store, Weights: weights, Family: kernel.Portable,
	})
}

// TestImportedRuns have all that is read of a run, cannot be resumed, and are not written over another unasked.
func TestImportedRuns(t *testing.T) {
	folder := pictures(t, 12)
	s := openSession(t, newJob(t, folder))
	directory := Directory(filepath.Join(t.TempDir(), "imported"))
	if err := importOf(t, s, directory, StartFresh); err != nil {
		t.Fatal(err)
	}
	record, err := directory.ReadRecord()
	parameters := 0
	for _, p := range s.trainer.store.Parameters() {
		parameters += len(p.Value)
	}
	if err != nil || record.State != StateImported || record.Backbone != "vit" || record.Version != "v1" || record.Parameters != parameters {
		t.Errorf("run.json says %+v, %v", record, err)
	}
	state := latest(t, directory).State
	if state.Step != 0 || state.Meta[metaImported] != "other.safetensors" || state.Meta[metaConfig] != s.job.Resolved || PictureSet(state.Info) != "" {
		t.Errorf("the checkpoint is of step %d with %v", state.Step, state.Meta)
	}
	if err := LoadWeights(s.trainer.store, state); err != nil {
		t.Error(err)
	}
	if err := importOf(t, s, directory, StartFresh); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "already holds a run") {
		t.Errorf("a second import: %v", err)
	}
	if err := importOf(t, s, directory, StartOverwrite); err != nil {
		t.Error(err)
	}
	job := newJob(t, folder)
	job.Directory, job.Start = directory, StartResume
	err = Run(t.Context(), job)
	if !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "--set backbone.weights="+filepath.Join(string(directory), "exported")) {
		t.Errorf("resuming imported weights: %v", err)
	}
}

// TestBeginningWithWeights: a fresh run starts from those of the file, and a file that is not there, or of another network,
// is refused by its name before anything is written.
func TestBeginningWithWeights(t *testing.T) {
	folder := pictures(t, 12)
	first := newJob(t, folder)
	run(t, first)
	file := filepath.Join(first.Directory.Exported(), "backbone.safetensors")
	second := newJob(t, folder)
	second.Weights, second.Train.Seed = file, first.Train.Seed+1
	s := openSession(t, second)
	trained := latest(t, first.Directory).State
	for _, p := range s.trainer.store.Parameters() {
		if !strings.HasPrefix(p.Name, backbonePrefix) {
			continue
		}
		if want, ok := trained.Tensor(prefixParameter + p.Name); !ok || !slices.Equal(want.Data, p.Value) {
			t.Errorf("%s does not begin with the weights of the file", p.Name)
		}
	}
	garbled := filepath.Join(t.TempDir(), "garbled.safetensors")
	write(t, garbled, strings.Repeat("x", 100))
	for path, want := range map[string]string{file + "x": "no such file", garbled: "garbled.safetensors"} {
		job := newJob(t, folder)
		job.Weights = path
		err := Run(t.Context(), job)
		if !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "backbone.weights: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		if job.Directory.HoldsRun() {
			t.Errorf("%s: the directory was made", path)
		}
	}
}

// TestLabelsThatDoNotFit are found before the first step, and not when the first epochs are over.
func TestLabelsThatDoNotFit(t *testing.T) {
	folder := pictures(t, 12)
	one, more := filepath.Join(folder, "warm"), t.TempDir()
	if err := os.CopyFS(filepath.Join(more, "hot"), os.DirFS(one)); err != nil {
		t.Fatal(err)
	}
	for want, parts := range map[string][2]string{
		`training part: found 1 class(es) [""]`: {one, folder}, `test part: class "hot" does not occur in the training part`: {folder, more},
	} {
		job := newJob(t, folder)
		job.Eval.EveryEpochs, job.Eval.Train, job.Eval.Test = 1, parts[0], parts[1]
		err := Run(t.Context(), job)
		if !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "eval.train, eval.test: "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if job.Directory.HoldsRun() {
			t.Errorf("%q: the directory was made", want)
		}
	}
}

// TestPicturesThatCannotBeRead are named in the log, once each, and left out.
func TestPicturesThatCannotBeRead(t *testing.T) {
	folder := pictures(t, 12)
	write(t, filepath.Join(folder, "warm", "broken.png"), "\x89PNG\r\n\x1a\nrubbish")
	job := newJob(t, folder)
	job.Data.MaxBadRatio = 0.2
	out := &console{}
	job.Console = out
	run(t, job)
	if got := strings.Count(out.text.String(), "a picture cannot be read and is left out"); got != 1 || !strings.Contains(out.text.String(), "broken.png") {
		t.Errorf("said %d times:\n%s", got, out.text.String())
	}
	if set := PictureSet(latest(t, job.Directory).State.Info); !strings.HasPrefix(set, "12 pictures") {
		t.Errorf("trained on %q", set)
	}
	job = newJob(t, folder)
	job.Data.MaxBadRatio, job.Console = 0.01, io.Discard
	if err := Run(t.Context(), job); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "data.max_bad_ratio") || !strings.Contains(err.Error(), "broken.png") {
		t.Errorf("more than may be: %v", err)
	}
}
