package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pretrain/backbone"
	"pretrain/metrics"
	"pretrain/metrics/tensorboard/tensorboardtest"
)

// runsInLog lists the ids that the lines of train.log carry, each once, in order; an id of "" is a line without.
func runsInLog(t *testing.T, d Directory) (ids []string) {
	t.Helper()
	content, err := os.ReadFile(d.Log())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var entry struct{ Run string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !slices.Contains(ids, entry.Run) {
			ids = append(ids, entry.Run)
		}
	}
	return ids
}

// TestRunID: every line of the log carries it, a resumed run keeps it, another one has another, and the weights know
// nothing of it.
func TestRunID(t *testing.T) {
	folder := pictures(t, 12)
	job, other := newJob(t, folder), newJob(t, folder)
	run(t, job)
	run(t, other)
	first, err := job.Directory.ReadRecord()
	if err != nil || len(first.Run) != idLength {
		t.Fatalf("run.json says %+v, %v", first, err)
	}
	job.Start = StartResume
	run(t, job)
	if ids := runsInLog(t, job.Directory); !slices.Equal(ids, []string{first.Run}) {
		t.Errorf("the log is of %q, the run is %s", ids, first.Run)
	}
	job.Start = StartOverwrite
	run(t, job)
	again, err := job.Directory.ReadRecord()
	if err != nil || again.Run == first.Run {
		t.Errorf("the run that replaces %s is %s, %v", first.Run, again.Run, err)
	}
	if !slices.Equal(exported(t, job), exported(t, other)) {
		t.Error("the weights of equal runs differ")
	}
}

// TestConsoleForPrograms: every line is an object with the id of the run, the progress too.
func TestConsoleForPrograms(t *testing.T) {
	job, out := newJob(t, pictures(t, 12)), &console{}
	job.Logging.Format, job.Console, job.Terminal = "json", out, true
	run(t, job)
	seen := map[string]bool{}
	for line := range strings.Lines(out.text.String()) {
		var entry struct{ Run, Message string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Run == "" {
			t.Errorf("%q: %v", line, err)
		}
		seen[entry.Message] = true
	}
	if !seen["progress"] || !seen["finished"] {
		t.Errorf("the console tells of %v", seen)
	}
}

// boardOf reads the event files of a run.
func boardOf(t *testing.T, job Job) []tensorboardtest.Event {
	t.Helper()
	return tensorboardtest.Read(t, job.Directory.TensorBoard())
}

// TestTensorBoard: all numbers of metrics.jsonl, and at the ends of epochs distributions and what the task sees.
func TestTensorBoard(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Logging.TensorBoard, job.Metrics.Pictures = true, true
	run(t, job)
	events := boardOf(t, job)
	steps := tensorboardtest.Scalars(events)
	for _, tag := range []string{
		"loss/weighted", "loss/rotation", "tasks/rotation/accuracy", "optimizer/learning_rate", "speed/pictures_per_second",
	} {
		if !slices.Equal(steps[tag], []int64{1, 2, 3, 4, 5, 6}) {
			t.Errorf("%s is there at steps %v", tag, steps[tag])
		}
	}
	histograms, strips := map[string]float64{}, 0
	for _, event := range events {
		for _, value := range event.Summary.Value {
			if value.Histo != nil {
				histograms[value.Tag] += value.Histo.Num
			}
			if value.Image != nil && value.Tag == "views/rotation" && event.Step%3 == 0 {
				strips++
				checkStrip(t, value, 4)
			}
		}
	}
	if strips != 2 {
		t.Errorf("%d strips of what rotation sees", strips)
	}
	parameters, gradients := 0.0, 0.0
	for tag, count := range histograms {
		switch {
		case strings.HasPrefix(tag, "weights/"):
			parameters += count
		case strings.HasPrefix(tag, "gradients/"):
			gradients += count
		}
	}
	record, err := job.Directory.ReadRecord()
	if want := 2 * float64(record.Parameters); err != nil || parameters != want || gradients != want {
		t.Errorf("histograms of %g weights and %g gradients, want %g", parameters, gradients, want)
	}
	if histograms["weights/blocks.1"] == 0 || histograms["weights/tasks.rotation"] == 0 {
		t.Errorf("the histograms are %v", histograms)
	}
}

// checkStrip wants rows of one view of 16×16 pixels, which are not all of one colour.
func checkStrip(t *testing.T, value tensorboardtest.Value, rows int) {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(value.Image.EncodedImageString))
	if err != nil || value.Image.Width != 16 || value.Image.Height != rows*18-2 {
		t.Fatalf("a strip of %d×%d, %v", value.Image.Width, value.Image.Height, err)
	}
	for row := range rows {
		if picture.At(3, row*18+3) == picture.At(9, row*18+9) {
			t.Errorf("row %d of the strip is blank", row)
		}
	}
}

// TestTensorBoardOfAResumedRun has each step once, in the order of the whole run, and the same strips.
func TestTensorBoardOfAResumedRun(t *testing.T) {
	folder := pictures(t, 12)
	whole, job := newJob(t, folder), newJob(t, folder)
	for _, j := range []*Job{&whole, &job} {
		j.Logging.TensorBoard, j.Metrics.Pictures, j.Checkpoints.EverySteps = true, true, 2
	}
	run(t, whole)
	run(t, job)
	// A process that is killed leaves events after the checkpoint: as if step 2 were the last one saved.
	for _, name := range []string{"step=00000003.ckpt", "step=00000004.ckpt", "step=00000006.ckpt", "last.ckpt"} {
		os.Remove(filepath.Join(job.Directory.Checkpoints(), name))
	}
	job.Start = StartResume
	run(t, job)
	if latest(t, job.Directory).State.Step != 6 {
		t.Fatal("the run was not resumed")
	}
	want, got := tensorboardtest.Scalars(boardOf(t, whole)), tensorboardtest.Scalars(boardOf(t, job))
	if !slices.Equal(got["loss/weighted"], want["loss/weighted"]) {
		t.Errorf("the steps are %v", got["loss/weighted"])
	}
	if a, b := strips(boardOf(t, whole)), strips(boardOf(t, job)); len(a) != 2 || !slices.EqualFunc(a, b, bytes.Equal) {
		t.Errorf("%d and %d strips, or different ones", len(a), len(b))
	}
	job.Start, job.Logging.TensorBoard = StartOverwrite, false
	run(t, job)
	if _, err := os.Stat(job.Directory.TensorBoard()); err == nil {
		t.Error("the event files of the overwritten run are left")
	}
}

func strips(events []tensorboardtest.Event) (pictures [][]byte) {
	for _, event := range events {
		for _, value := range event.Summary.Value {
			if value.Image != nil {
				pictures = append(pictures, value.Image.EncodedImageString)
			}
		}
	}
	return pictures
}

// TestPicturesThatAreNotToBeShown are not in the event files.
func TestPicturesThatAreNotToBeShown(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Logging.TensorBoard, job.Metrics.Pictures, job.Train.MaxSteps = true, false, 3
	run(t, job)
	if shown := strips(boardOf(t, job)); len(shown) > 0 {
		t.Errorf("%d pictures are shown", len(shown))
	}
}

// TestStripOfSeveralViews: patches stand side by side, and share no row with tasks that look at fewer pictures.
func TestStripOfSeveralViews(t *testing.T) {
	job := longJob(t, pictures(t, 12))
	job.Logging.TensorBoard, job.Metrics.Pictures, job.Train.MaxSteps = true, true, 2
	run(t, job)
	tags := map[string]int{}
	for _, event := range boardOf(t, job) {
		for _, value := range event.Summary.Value {
			if value.Image != nil {
				tags[value.Tag]++
			}
		}
	}
	if tags["views/rotation"] == 0 || tags["views/patch_location"] == 0 {
		t.Errorf("the strips are %v", tags)
	}
}

// TestMirrorsDoNotChangeARun: with all of them on the weights are the same, and a server that fails leaves the run alone.
func TestMirrorsDoNotChangeARun(t *testing.T) {
	folder := pictures(t, 12)
	plain, mirrored := newJob(t, folder), newJob(t, folder)
	run(t, plain)
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	mirrored.Metrics = metrics.DefaultConfig()
	mirrored.Metrics.Address, mirrored.Metrics.RemoteWrite.URL = "127.0.0.1:0", server.URL
	mirrored.Metrics.Push.URL, mirrored.Logging.MLflow.URI, mirrored.Logging.TensorBoard = server.URL, server.URL, true
	out := &console{}
	mirrored.Console = out
	run(t, mirrored)
	if !slices.Equal(exported(t, plain), exported(t, mirrored)) {
		t.Error("the weights differ")
	}
	if got := requests.Load(); got != 3 {
		t.Errorf("%d requests, want one of MLflow and the last two pushes", got)
	}
	for _, want := range []string{"metrics.push.url", "metrics.remote_write.url", "logging.mlflow.uri"} {
		if strings.Count(out.text.String(), want) != 1 {
			t.Errorf("%s is not warned of once:\n%s", want, out.text.String())
		}
	}
}

// TestABoardThatFails is given up with one warning.
func TestABoardThatFails(t *testing.T) {
	out := &console{}
	s := &session{job: newJob(t, t.TempDir()), trainer: &Trainer{}}
	s.job.Console = out
	if err := errors.Join(s.openLog(t.Context()), s.openBoard()); err != nil {
		t.Fatal(err)
	}
	s.mirrors.board.writer.Close()
	s.mirror(metrics.Record{Step: 1})
	s.mirror(metrics.Record{Step: 2})
	s.close()
	if got := strings.Count(out.text.String(), "TensorBoard"); got != 1 {
		t.Errorf("%d warnings", got)
	}
}

// stalled opens connections to a server that nobody reads from: one says nothing, one stops in the middle of its
// request, and one asks for far more than the buffers between the two hold and reads a byte a step.
func stalled(t *testing.T, address string) (readByte func()) {
	t.Helper()
	dial := func(text string) net.Conn {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return nil
		}
		t.Cleanup(func() { connection.Close() })
		if _, err := io.WriteString(connection, text); err != nil {
			t.Error(err)
		}
		return connection
	}
	dial("")
	dial("GET /metrics HTTP/1.1\r\nHost: a\r\n")
	slow := dial(strings.Repeat("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 1000))
	return func() {
		if _, err := io.ReadFull(slow, make([]byte, 1)); err != nil {
			t.Errorf("the slow scraper was cut off: %v", err)
		}
	}
}

// TestScrapersThatStall are there during every step of a run and until its end, which does not wait for them.
func TestScrapersThatStall(t *testing.T) {
	folder := pictures(t, 12)
	alone, job := newJob(t, folder), newJob(t, folder)
	run(t, alone)
	job.Metrics = metrics.Config{Enabled: true, Address: "127.0.0.1:0"}
	job.Checkpoints.EverySteps = 1
	var readByte func()
	reads := 0
	job.Console = &console{onLine: func(line string) {
		if found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line); found != "" {
			readByte = stalled(t, found)
		}
		if readByte != nil && strings.Contains(line, "checkpoint") {
			readByte()
			reads++
		}
	}}
	run(t, job)
	if reads != 6 {
		t.Errorf("the slow scraper read %d bytes, want one a step", reads)
	}
	if !slices.Equal(exported(t, alone), exported(t, job)) {
		t.Error("the weights differ from those of a run that nobody scraped")
	}
}

// TestMistakesInMirrors are found before anything is written.
func TestMistakesInMirrors(t *testing.T) {
	folder := pictures(t, 12)
	missing := filepath.Join(folder, "web.yml")
	for name, test := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"web config": {func(j *Job) { j.Metrics = metrics.Config{Enabled: true, WebConfig: missing} }, missing},
		"password": {func(j *Job) {
			j.Metrics.Push = metrics.PushConfig{URL: "http://host", PasswordVariable: "NOT_SET_ANYWHERE"}
		}, "NOT_SET_ANYWHERE"},
		"remote write": {func(j *Job) { j.Metrics.RemoteWrite.URL = "http://a:b@host" }, "metrics.remote_write.password_variable"},
		"token": {func(j *Job) {
			j.Logging.MLflow.URI, j.Logging.MLflow.TokenVariable = "http://host", "NOT_SET_ANYWHERE"
		}, "NOT_SET_ANYWHERE"},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob(t, folder)
			test.change(&job)
			var usage *UsageError
			if err := Run(t.Context(), job); !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a usage error with %q", err, test.want)
			}
			if _, err := os.Stat(string(job.Directory)); err == nil {
				t.Error("the directory was made")
			}
		})
	}
}

// TestNothingServedTellsOfTheMachine: neither where the pictures lie nor where the run is.
func TestNothingServedTellsOfTheMachine(t *testing.T) {
	job := newJobOf(t, pictures(t, 12), "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 4})
	job.Metrics = metrics.Config{Enabled: true, Address: "127.0.0.1:0"}
	job.Checkpoints.EverySteps, job.Train.MaxSteps = 1, 1
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	address, scraped := "", ""
	job.Console = &console{onLine: func(line string) {
		if found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line); found != "" {
			address = found
		}
		if strings.Contains(line, "checkpoint") {
			scraped = get(t, client, "http://"+address+"/metrics")
		}
	}}
	run(t, job)
	if !strings.Contains(scraped, "pretrain_run_info") {
		t.Fatalf("scraped %.200q", scraped)
	}
	for _, path := range []string{job.Data.Path, string(job.Directory), os.TempDir() + "/"} {
		if strings.Contains(scraped, path) {
			t.Errorf("%s is served", path)
		}
	}
}
