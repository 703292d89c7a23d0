package train

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/random"
	"pretrain/losses"
	"pretrain/metrics"
	"pretrain/pretext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pictures writes noise pictures of 20×20 pixels into two folders, warm and cold, that differ in tint.
func pictures(t *testing.T, count int) string {
	t.Helper()
	dir := t.TempDir()
	r := random.New(1, "pictures")
	for i := range count {
		class := []string{"warm", "cold"}[i%2]
		picture := image.NewNRGBA(image.Rect(0, 0, 20, 20))
		for p := range 20 * 20 {
			tint := uint8(100 + r.IntN(100))
			c := color.NRGBA{R: tint, G: uint8(r.IntN(100)), B: uint8(r.IntN(60)), A: 255}
			if class == "cold" {
				c.R, c.B = c.B, c.R
			}
			picture.SetNRGBA(p%20, p/20, c)
		}
		var file bytes.Buffer
		if err := png.Encode(&file, picture); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, class, fmt.Sprintf("%03d.png", i)), file.String())
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newJob is a run of two epochs of three steps of a tiny ViT on the rotation task, in a new directory.
func newJob(t *testing.T, folder string) Job {
	t.Helper()
	config := &backbone.ViTConfig{Patch: 4, Width: 16, Depth: 2, Heads: 2, MLPRatio: 2, Pooling: "mean", Positions: "learned"}
	return newJobOf(t, folder, "vit", config)
}

func newJobOf(t *testing.T, folder, architecture string, params any) Job {
	t.Helper()
	const side = 16
	family, err := backbone.Find(architecture)
	if err != nil {
		t.Fatal(err)
	}
	network, err := family.New(architecture, params, side)
	if err != nil {
		t.Fatal(err)
	}
	job := Job{
		Directory: Directory(filepath.Join(t.TempDir(), "run")), Resolved: "configuration: of a test\n", Console: io.Discard,
		Backbone: network, TaskNames: []string{"rotation"},
		Tasks: []pretext.Params{&pretext.RotationConfig{Common: pretext.Common{Weight: 1, Share: 1}, Copies: 1}},
		Data:  data.DefaultConfig(), Losses: losses.DefaultConfig(), Optimizer: DefaultOptimizerConfig(), Train: DefaultConfig(),
		Checkpoints: checkpoints.DefaultConfig(), Eval: eval.DefaultConfig(), Export: export.DefaultConfig(),
		Metrics: metrics.Config{}, Logging: DefaultLoggingConfig(),
	}
	job.Data.Path, job.Data.Size, job.Data.Workers = folder, side, 2
	job.Train.Epochs, job.Train.BatchSize, job.Train.Threads, job.Train.CalibrationPictures = 2, 4, 1, 8
	job.Logging.EverySteps, job.Logging.Level = 1, "debug"
	return job
}

// console collects what a run tells people, and lets a test act on each line.
type console struct {
	mutex  sync.Mutex
	text   bytes.Buffer
	onLine func(line string)
}

func (c *console) Write(line []byte) (int, error) {
	if c.onLine != nil {
		c.onLine(string(line))
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.text.Write(line)
}

// latest loads the newest checkpoint of a run.
func latest(t *testing.T, d Directory) checkpoints.Found {
	t.Helper()
	found, err := checkpoints.Latest(d.Checkpoints())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func run(t *testing.T, job Job) {
	t.Helper()
	if err := Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}
