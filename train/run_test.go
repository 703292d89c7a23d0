package train

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/losses"
	"pretrain/metrics"
	"pretrain/nn"
	"pretrain/pretext"
)

// TestRunLeavesEverythingBehind looks at the files of a finished run.
func TestRunLeavesEverythingBehind(t *testing.T) {
	job := newJob(t, pictures(t, 13))
	job.Checkpoints.EverySteps, job.Checkpoints.Keep = 2, 0
	run(t, job)
	record, err := job.Directory.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	if record.State != StateFinished || record.Step != 6 || record.Steps != 6 || record.Pictures != 13 || record.Threads != 1 || record.Error != "" {
		t.Errorf("run.json says %+v", record)
	}
	var names []string
	entries, err := os.ReadDir(job.Directory.Checkpoints())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	// Two steps apart, and at the ends of the epochs of three steps; the thirteenth picture is dropped.
	want := []string{"last.ckpt", "step=00000002.ckpt", "step=00000003.ckpt", "step=00000004.ckpt", "step=00000006.ckpt"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("checkpoints: %s", diff)
	}
	for _, name := range []string{job.Directory.Config(), job.Directory.Log(), filepath.Join(job.Directory.Exported(), "backbone.safetensors"), filepath.Join(job.Directory.Exported(), "model.json")} {
		if info, err := os.Stat(name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if state := latest(t, job.Directory).State; state.Epoch != 2 || state.Position != 0 || state.Pictures != 24 || state.Views != 24 {
		t.Errorf("the last checkpoint says %+v", state.Info)
	}
}

// TestIntervalsAreMeans: a line of metrics.jsonl holds the means of the steps since the line before; the last one may
// be short.
func TestIntervalsAreMeans(t *testing.T) {
	folder := pictures(t, 12)
	each, pairs := newJob(t, folder), newJob(t, folder)
	each.Train.MaxSteps, pairs.Train.MaxSteps = 5, 5
	pairs.Logging.EverySteps = 2
	run(t, each)
	run(t, pairs)
	one, two := records(t, each), records(t, pairs)
	if len(one) != 5 || len(two) != 3 {
		t.Fatalf("%d and %d lines", len(one), len(two))
	}
	for i, steps := range [][]metrics.Record{one[0:2], one[2:4], one[4:5]} {
		var loss, norm, task, accuracy float64
		for _, step := range steps {
			n := float64(len(steps))
			loss += float64(step.Loss) / n
			norm += float64(step.GradientNorm) / n
			task += float64(step.Tasks["rotation"].Loss) / n
			accuracy += float64(*step.Tasks["rotation"].Accuracy) / n
		}
		got := two[i]
		for name, pair := range map[string][2]float64{
			"loss": {float64(got.Loss), loss}, "gradient norm": {float64(got.GradientNorm), norm},
			"task loss": {float64(got.Tasks["rotation"].Loss), task}, "accuracy": {float64(*got.Tasks["rotation"].Accuracy), accuracy},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-9 {
				t.Errorf("line %d: %s is %g, the mean of its steps %g", i, name, pair[0], pair[1])
			}
		}
		if last := steps[len(steps)-1]; got.Step != last.Step || got.Pictures != last.Pictures || got.LearningRate != last.LearningRate {
			t.Errorf("line %d is of step %d, %d pictures", i, got.Step, got.Pictures)
		}
	}
}

func records(t *testing.T, job Job) []metrics.Record {
	t.Helper()
	all, err := metrics.ReadLog(job.Directory.Metrics())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// silent is a task whose answer has no accuracy.
type silent struct{ pretext.Task }

// silentParams wraps the rotation task.
type silentParams struct{ pretext.RotationConfig }

func (p *silentParams) New(env pretext.Env) (pretext.Task, error) {
	task, err := p.RotationConfig.New(env)
	return silent{task}, err
}

func (s silent) Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (pretext.Output, error) {
	output, err := s.Task.Build(c, views, target)
	output.Accuracy = nil
	return output, err
}

func TestATaskWithoutAccuracyReportsNone(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Tasks = []pretext.Params{&silentParams{*job.Tasks[0].(*pretext.RotationConfig)}}
	run(t, job)
	if task := records(t, job)[0].Tasks["rotation"]; task.Accuracy != nil || !(task.Loss > 0) {
		t.Errorf("metrics.jsonl has %+v", task)
	}
}

// TestSeriesAreThereFromTheFirstStep scrapes when the checkpoint of the first step is reported, and again after the run,
// when nobody may answer. (TestMain looks for goroutines left behind.)
func TestSeriesAreThereFromTheFirstStep(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Metrics = metrics.Config{Enabled: true, Address: "127.0.0.1:0"}
	job.Checkpoints.EverySteps, job.Train.MaxSteps = 1, 1
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	address, scraped, state := "", "", ""
	job.Console = &console{onLine: func(line string) {
		if found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line); found != "" {
			address = found
		}
		if strings.Contains(line, "checkpoint") {
			scraped = get(t, client, "http://"+address+"/metrics")
			record, err := job.Directory.ReadRecord()
			if err != nil {
				t.Error(err)
			}
			state = record.State
		}
	}}
	run(t, job)
	for _, series := range []string{
		`pretrain_task_loss{task="rotation"} `, `pretrain_task_weight{task="rotation"} 1`, `pretrain_task_accuracy_ratio{task="rotation"} `,
		"pretrain_step_duration_seconds_count 1", "pretrain_data_wait_seconds_total ", "pretrain_learning_rate ", "pretrain_gradient_norm ",
		"pretrain_images_total 4", "pretrain_views_total 4", `pretrain_run_info{`, "pretrain_run_progress_ratio 1", "go_goroutines ",
	} {
		if !strings.Contains(scraped, series) {
			t.Errorf("after the first step there is no %s", series)
		}
	}
	if state != StateRunning {
		t.Errorf("run.json said %q while the run was running", state)
	}
	if connection, err := net.Dial("tcp", address); err == nil {
		connection.Close()
		t.Error("metrics are served after the end of the run")
	}
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// TestDivergenceEndsTheRun: the message names task, step and remedy, run.json tells it, and what is on disk is finite.
func TestDivergenceEndsTheRun(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Optimizer = OptimizerConfig{Name: "sgd", LearningRate: 1e18, Momentum: 0.9}
	job.Train.Schedule, job.Train.Epochs, job.Checkpoints.EverySteps = ScheduleConfig{Name: "constant"}, 20, 1
	err := Run(t.Context(), job)
	if err == nil {
		t.Fatal("a run with a learning rate of 1e18 succeeds")
	}
	for _, part := range []string{"step ", "rotation", "optimizer.learning_rate", "--overwrite"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %q", err, part)
		}
	}
	if record, _ := job.Directory.ReadRecord(); record.State != StateFailed || record.Error == "" {
		t.Errorf("run.json says %+v", record)
	}
	for _, tensor := range latest(t, job.Directory).State.Tensors {
		if strings.HasPrefix(tensor.Name, prefixParameter) && slices.ContainsFunc(tensor.Data, func(x float32) bool { return !finite(float64(x)) }) {
			t.Errorf("the saved %s is not finite", tensor.Name)
		}
	}
	for _, record := range records(t, job) {
		if !finite(float64(record.Loss)) {
			t.Errorf("metrics.jsonl has a loss of %g at step %d", record.Loss, record.Step)
		}
	}
}

func TestCheckFinite(t *testing.T) {
	trainer := &Trainer{tasks: []pretext.Task{viewTask{name: "one"}, viewTask{name: "two"}}, position: Position{Step: 4}}
	report := func(one, two float64) StepReport { return StepReport{Tasks: []TaskResult{{Loss: one}, {Loss: two}}} }
	if err := trainer.checkFinite(report(1, 2), 3); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		"step 5: the loss of task two is NaN":          trainer.checkFinite(report(1, math.NaN()), 1),
		"step 5: the loss of task one is +Inf":         trainer.checkFinite(report(math.Inf(1), 1), 1),
		"step 5: the norm of the gradient is NaN: the": trainer.checkFinite(report(1, 1), math.NaN()),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestInterruptionAtAnyMomentIsSaved stops a run before its first step, after an online evaluation and after a
// checkpoint. The error says where it stands, a checkpoint of that very step is there, and the
// resumed run ends with the weights of one that was never stopped.
func TestInterruptionAtAnyMomentIsSaved(t *testing.T) {
	folder := pictures(t, 12)
	newJob := func() Job {
		job := newJob(t, folder)
		job.Eval.Train, job.Eval.Test, job.Eval.EveryEpochs = folder, folder, 1
		job.Losses.Weighter = "uncertainty"
		return job
	}
	whole := newJob()
	run(t, whole)
	for _, moment := range []string{"training", "online evaluation", "checkpoint"} {
		t.Run(moment, func(t *testing.T) {
			job := newJob()
			ctx, cancel := context.WithCancelCause(t.Context())
			job.Console = &console{onLine: func(line string) {
				if strings.Contains(line, moment) {
					cancel(errors.New("enough"))
				}
			}}
			var interrupted *Interrupted
			if err := Run(ctx, job); !errors.As(err, &interrupted) || interrupted.Cause.Error() != "enough" {
				t.Fatalf("got %v", err)
			}
			if found := latest(t, job.Directory); found.State.Step != int64(interrupted.Step) || len(found.Skipped) > 0 {
				t.Errorf("stopped at step %d, saved is step %d", interrupted.Step, found.State.Step)
			}
			if record, _ := job.Directory.ReadRecord(); record.State != StateInterrupted || record.Step != interrupted.Step {
				t.Errorf("run.json says %+v", record)
			}
			job.Console, job.Start = io.Discard, StartResume
			run(t, job)
			if !slices.Equal(exported(t, job), exported(t, whole)) {
				t.Error("the resumed run's weights differ from those of the whole one")
			}
		})
	}
}

func exported(t *testing.T, job Job) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(job.Directory.Exported(), "backbone.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestResumeWithoutACheckpoint: a run killed before its first checkpoint begins anew; one whose only checkpoint is
// damaged does not, because a person may want to save what is left of it.
func TestResumeWithoutACheckpoint(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	if err := job.Directory.begin(StartFresh, job.Resolved); err != nil {
		t.Fatal(err)
	}
	out := &console{}
	job.Start, job.Console = StartResume, out
	run(t, job)
	if !strings.Contains(out.text.String(), "begins anew") {
		t.Errorf("the log does not say that the run begins anew:\n%s", out.text.String())
	}
	if err := os.RemoveAll(job.Directory.Checkpoints()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(job.Directory.Checkpoints(), "last.ckpt"), "torn")
	if err := Run(t.Context(), job); !errors.Is(err, checkpoints.ErrNone) {
		t.Errorf("a damaged checkpoint gives %v", err)
	}
}

// TestResumeWithOtherPictures: one picture more would move every epoch.
func TestResumeWithOtherPictures(t *testing.T) {
	folder := pictures(t, 12)
	job := newJob(t, folder)
	run(t, job)
	picture, err := os.ReadFile(filepath.Join(folder, "warm", "000.png"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "new.png"), string(picture))
	job.Start = StartResume
	var usage *UsageError
	if err := Run(t.Context(), job); !errors.As(err, &usage) || !strings.Contains(err.Error(), "12 pictures") || !strings.Contains(err.Error(), "13 pictures") {
		t.Errorf("got %v", err)
	}
}

// TestResumeOfAnotherModel: what does not fit is named.
func TestResumeOfAnotherModel(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	run(t, job)
	job.Start = StartResume
	other := job
	other.Losses.Weighter = "uncertainty"
	if err := Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "log_variance") {
		t.Errorf("a parameter that the checkpoint lacks gives %v", err)
	}
	other = job
	other.Kernels = "portable"
	if latest(t, job.Directory).State.Meta[metaKernels] == "portable" {
		t.Skip("this CPU runs portable kernels only")
	}
	var usage *UsageError
	if err := Run(t.Context(), other); !errors.As(err, &usage) || !strings.Contains(err.Error(), "PRETRAIN_KERNELS") {
		t.Errorf("other kernels give %v", err)
	}
}

// TestAMeasurementThatWasCutShort by a signal, at the very last step, is made up for when the run is resumed, in the line of
// the step.
func TestAMeasurementThatWasCutShort(t *testing.T) {
	folder := pictures(t, 12)
	job := newJob(t, folder)
	job.Eval.Train, job.Eval.Test, job.Eval.EveryEpochs = folder, folder, 1
	run(t, job)
	whole := records(t, job)
	cut := whole[len(whole)-1]
	cut.Probes = nil
	if err := metrics.ReplaceLast(job.Directory.Metrics(), cut); err != nil {
		t.Fatal(err)
	}
	job.Start = StartResume
	run(t, job)
	if diff := cmp.Diff(whole, records(t, job)); diff != "" {
		t.Error(diff)
	}
}

// TestOnlineProbe trains on pictures whose class shows in their tint: the probes are in metrics.jsonl and in the
// checkpoint, and the best one is kept.
func TestOnlineProbe(t *testing.T) {
	folder := pictures(t, 16)
	job := newJobOf(t, folder, "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 4})
	job.Eval.Train, job.Eval.Test, job.Eval.EveryEpochs = folder, folder, 2
	job.Train.Epochs, job.Checkpoints.Keep, job.Logging.EverySteps = 5, 1, 100
	run(t, job)
	best := 0.0
	var steps []int64
	for _, record := range records(t, job) {
		steps = append(steps, record.Step)
		names := map[string]int{}
		for _, probe := range record.Probes {
			names[probe.Probe]++
			if probe.Probe == "linear" {
				best = max(best, float64(probe.Accuracy))
			}
		}
		if names["knn"] != job.Backbone.Depth() || names["linear"] != job.Backbone.Depth() {
			t.Errorf("step %d has probes %v", record.Step, names)
		}
	}
	if !slices.Equal(steps, []int64{8, 16, 20}) { // every other epoch of four steps, and the end
		t.Errorf("lines at steps %v", steps)
	}
	if best < 0.9 {
		t.Errorf("the best probe tells warm from cold in %g of the cases", best)
	}
	info, err := checkpoints.ReadInfo(filepath.Join(job.Directory.Checkpoints(), checkpoints.BestName))
	if err != nil || info.Score == nil || *info.Score != best {
		t.Fatalf("best.ckpt says %+v, %v; the best probe is %g", info, err, best)
	}
}

func TestProbeIsDueAtEndsOfEpochsAndOfTheRun(t *testing.T) {
	probe := &onlineProbe{every: 2}
	var due []int
	for step := 1; step <= 11; step++ {
		if probe.due(Position{Step: step, Steps: 11, BatchesPerEpoch: 2, BatchesPerStep: 1}) {
			due = append(due, step)
		}
	}
	if !slices.Equal(due, []int{4, 8, 11}) {
		t.Errorf("due at %v", due)
	}
	if (*onlineProbe)(nil).due(Position{Steps: 1, Step: 1, BatchesPerEpoch: 1, BatchesPerStep: 1}) {
		t.Error("no probe is due")
	}
}

func TestPositions(t *testing.T) {
	p := newPosition(Config{Epochs: 2, BatchSize: 4, Accumulate: 2}, 21) // five batches an epoch, two a step
	if p.Steps != 5 || p.BatchesPerEpoch != 5 {
		t.Fatalf("%+v", p)
	}
	var ends []string
	for p.Step = 1; p.Step <= p.Steps; p.Step++ {
		if p.EndsEpoch() {
			ends = append(ends, strconv.Itoa(p.Step)+":"+strconv.Itoa(p.Epoch()))
		}
	}
	if !slices.Equal(ends, []string{"3:1", "5:2"}) {
		t.Errorf("epochs end at %v", ends)
	}
	p.Step = 3
	if p.EpochRatio() != 0.2 || p.Done() {
		t.Errorf("after step 3: %g of the epoch, done %v", p.EpochRatio(), p.Done())
	}
	if limited := newPosition(Config{Epochs: 2, BatchSize: 4, Accumulate: 1, MaxSteps: 3}, 21); limited.Steps != 3 {
		t.Errorf("max_steps gives %d steps", limited.Steps)
	}
}

// TestMistakesInAJob: each is a usage error that names the remedy, found before anything is written.
func TestMistakesInAJob(t *testing.T) {
	folder := pictures(t, 12)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"batch":       {func(j *Job) { j.Train.BatchSize = 13 }, "at most 12"},
		"accumulate":  {func(j *Job) { j.Train.Accumulate = 7 }, "train.accumulate"},
		"small":       {func(j *Job) { j.Data.Size = 24 }, "data.size"},
		"no folder":   {func(j *Job) { j.Data.Path = filepath.Join(folder, "missing") }, "does not exist"},
		"weighter":    {func(j *Job) { j.Losses = losses.Config{Weighter: "magic"} }, "losses.weighter"},
		"kernels":     {func(j *Job) { j.Kernels = "abacus" }, "abacus"},
		"level":       {func(j *Job) { j.Logging.Level = "loud" }, "logging.level"},
		"port":        {func(j *Job) { j.Metrics = metrics.Config{Enabled: true, Address: taken.Addr().String()} }, "metrics.address"},
		"copies":      {func(j *Job) { j.Tasks = []pretext.Params{&pretext.RotationConfig{Copies: 3}} }, "tasks.rotation"},
		"test folder": {func(j *Job) { j.Eval.EveryEpochs, j.Eval.Train, j.Eval.Test = 1, folder, folder+"x" }, folder + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob(t, folder)
			test.change(&job)
			err := Run(t.Context(), job)
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a usage error with %q", err, test.want)
			}
			if _, err := os.Stat(string(job.Directory)); err == nil {
				t.Error("the directory was made")
			}
		})
	}
}
