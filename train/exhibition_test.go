package train

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pretrain/backbone"
	"pretrain/look"
	"pretrain/metrics"
	"pretrain/pretext"
)

// clumsy is a task that draws its answers badly.
type clumsy struct{ pretext.Task }

func (clumsy) Illustrate(pretext.Exhibit) ([]look.Tile, error) {
	return nil, errors.New("the pencil broke")
}

type clumsyParams struct{ pretext.RotationConfig }

func (p *clumsyParams) New(env pretext.Env) (pretext.Task, error) {
	task, err := p.RotationConfig.New(env)
	return clumsy{task}, err
}

// TestPicturesThatCannotBeShown are no reason to end a training: it finishes, with its weights, and says what went wrong.
func TestPicturesThatCannotBeShown(t *testing.T) {
	for name, test := range map[string]struct {
		prepare  func(*Job)
		sabotage func(t *testing.T, job Job) // when the weights have been exported, before the last pictures
		says     string                      // "" is nothing at all
	}{
		"a task that fails": {
			prepare: func(job *Job) {
				job.Tasks = []pretext.Params{&clumsyParams{*job.Tasks[0].(*pretext.RotationConfig)}}
			},
			says: "task rotation: the pencil broke",
		},
		"a folder where the file belongs": {
			sabotage: func(t *testing.T, job Job) { block(t, job.Directory.Gallery(), true) },
			says:     "pictures.json",
		},
		"pictures that are gone": {
			prepare:  func(job *Job) { job.Data.CacheMiB = 0 },
			sabotage: func(t *testing.T, job Job) { empty(t, job.Data.Path) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob(t, pictures(t, 12))
			job.Metrics.Pictures = true
			if test.prepare != nil {
				test.prepare(&job)
			}
			out := &console{onLine: func(line string) {
				if strings.Contains(line, "exported") && test.sabotage != nil {
					test.sabotage(t, job)
				}
			}}
			job.Console = out
			run(t, job)
			text := out.text.String()
			if test.says != "" && (!strings.Contains(text, "could not be drawn") || !strings.Contains(text, test.says)) {
				t.Errorf("no %q is said:\n%s", test.says, text)
			}
			if test.says == "" && strings.Contains(text, "warn") {
				t.Errorf("it warns:\n%s", text)
			}
			if record, err := job.Directory.ReadRecord(); err != nil || record.State != StateFinished || len(exported(t, job)) == 0 {
				t.Errorf("the run is %+v, %v", record, err)
			}
		})
	}
}

// empty removes what is in a folder.
func empty(t *testing.T, folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) == 0 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
			t.Error(err)
		}
	}
}

// TestAPageOfADamagedPast: a run that is resumed among damaged files goes on, shows none of the damage and mends it.
func TestAPageOfADamagedPast(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Metrics.Pictures = true
	if err := Run(stopBefore(t, &job, 4), job); err == nil {
		t.Fatal("the run was not stopped")
	}
	write(t, job.Directory.Gallery(), `{"step": 3, "sheets": [`)
	job.Start, job.Metrics = StartResume, metrics.Config{Enabled: true, Pictures: true, Address: "127.0.0.1:0"}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	address, shown := "", ""
	job.Console = &console{onLine: func(line string) {
		if found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line); found != "" {
			address = found
		}
		if strings.Contains(line, "task") && shown == "" {
			shown = get(t, client, "http://"+address+"/live/pictures.json")
		}
	}}
	run(t, job)
	if !strings.Contains(shown, "no pictures yet") {
		t.Errorf("the page shows %q", shown)
	}
	text, err := os.ReadFile(job.Directory.Gallery())
	if err != nil || !json.Valid(text) {
		t.Errorf("at the end the file holds %.60s, %v", text, err)
	}
}

// TestPicturesOfFewPictures: of less pictures than are shown, and of attention to fewer than it looks at, there is what there is.
func TestPicturesOfFewPictures(t *testing.T) {
	for architecture, params := range map[string]any{
		"vit":      &backbone.ViTConfig{Patch: 4, Width: 16, Depth: 2, Heads: 2, MLPRatio: 2, ClassToken: true, Pooling: "class", Positions: "learned"},
		"resnet18": &backbone.ResNetConfig{Stem: "small", Width: 8},
	} {
		job := newJobOf(t, pictures(t, 2), architecture, params)
		job.Metrics.Pictures, job.Train.BatchSize, job.Console = true, 2, io.Discard
		run(t, job)
		text, err := os.ReadFile(job.Directory.Gallery())
		if err != nil {
			t.Fatal(err)
		}
		for _, sheet := range readGallery(t, text).Sheets {
			switch tiles := len(sheet.Rows[0].Tiles); sheet.Title {
			case "rotation":
				if tiles != 2 {
					t.Errorf("%s: rotation shows %d pictures", architecture, tiles)
				}
			case "Nearest neighbours":
				if len(sheet.Rows) != 2 || tiles != 2 {
					t.Errorf("%s: %d pictures with %d tiles", architecture, len(sheet.Rows), tiles)
				}
			case "Attention":
				if len(sheet.Rows) != 2 || tiles != 1+blocks+2 {
					t.Errorf("%s: attention to %d pictures in %d tiles", architecture, len(sheet.Rows), tiles)
				}
			}
		}
	}
}

func TestCosine(t *testing.T) {
	for _, test := range []struct {
		a, b []float32
		want float64
	}{
		{[]float32{1, 2}, []float32{2, 4}, 1}, {[]float32{1, 2}, []float32{-1, -2}, -1}, {[]float32{1, 0}, []float32{0, 3}, 0},
		{[]float32{1e20, 0}, []float32{1e20, 1e20}, math.Sqrt2 / 2}, // beyond float32 when squared
	} {
		if got := cosine(test.a, test.b); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%v and %v: %g, want %g", test.a, test.b, got, test.want)
		}
	}
}

// TestLockWhereThereIsNoDirectory: what is in the way is named.
func TestLockWhereThereIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, d := range []Directory{Directory(file), Directory(filepath.Join(file, "run"))} {
		release, held, err := d.lock()
		if err == nil || held || release != nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: held %v, %v", d, held, err)
		}
	}
	if got := Directory(filepath.Join(file, "run")).Worker(); got != WorkerUnknown {
		t.Errorf("who works there is %v", got)
	}
}

// TestInspectionsTakeMemory that is told before a run begins, and none if there are none.
func TestInspectionsTakeMemory(t *testing.T) {
	if got := inspectionBytes(0, 4, 1000, 10); got != 0 {
		t.Errorf("without looks: %d bytes", got)
	}
	if got := inspectionBytes(300, 4, 1000, 10); got != 5010 {
		t.Errorf("of four tasks: %d bytes, want a gradient each, the weights and the views", got)
	}
	var none *inspector
	if none.due(0) || !(&inspector{every: 3}).due(6) || (&inspector{every: 3}).due(7) {
		t.Error("looks come at the wrong steps")
	}
}
