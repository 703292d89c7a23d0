package train

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pretrain/backbone"
	"pretrain/metrics"
	"pretrain/pretext"
)

// shownGallery is what tests read of a gallery.
type shownGallery struct {
	Step   int64
	Sheets []struct {
		Title, About string
		Rows         []struct {
			Tiles []struct{ Caption, Image, Outcome string }
		}
	}
}

func readGallery(t *testing.T, text []byte) (g shownGallery) {
	t.Helper()
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestPicturesChangeNothing trains the same job unseen and before the eyes of somebody who asks for pictures at every step:
// they get some while it trains, and the weights are the same to the bit.
func TestPicturesChangeNothing(t *testing.T) {
	for architecture, params := range map[string]any{
		"vit":      &backbone.ViTConfig{Patch: 4, Width: 16, Depth: 2, Heads: 2, MLPRatio: 2, Pooling: "mean", Positions: "learned"},
		"resnet18": &backbone.ResNetConfig{Stem: "small", Width: 8},
	} {
		t.Run(architecture, func(t *testing.T) {
			folder := pictures(t, 12)
			unseen, seen := newJobOf(t, folder, architecture, params), newJobOf(t, folder, architecture, params)
			unseen.Checkpoints.EverySteps, seen.Checkpoints.EverySteps = 1, 1
			seen.Metrics = metrics.Config{Enabled: true, Pictures: true, Address: "127.0.0.1:0"}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			address, during := "", ""
			seen.Console = &console{onLine: func(line string) {
				if found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line); found != "" {
					address = found
				}
				if strings.Contains(line, "checkpoint") {
					if text := get(t, client, "http://"+address+"/live/pictures.json"); strings.HasPrefix(text, "{") {
						during = text
					}
				}
			}}
			run(t, unseen)
			run(t, seen)
			if diff := cmp.Diff(latest(t, unseen.Directory).State.Tensors, latest(t, seen.Directory).State.Tensors); diff != "" {
				t.Errorf("the weights differ: %.400s", diff)
			}
			if g := readGallery(t, []byte(during)); g.Step != 3 {
				t.Errorf("in the second epoch there are pictures of step %d", g.Step)
			}
			text, err := os.ReadFile(seen.Directory.Gallery())
			if err != nil {
				t.Fatal(err)
			}
			checkGallery(t, readGallery(t, text), architecture == "vit")
			if _, err := os.Stat(unseen.Directory.Gallery()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("without metrics.pictures: %v", err)
			}
		})
	}
}

func checkGallery(t *testing.T, g shownGallery, attends bool) {
	t.Helper()
	titles := []string{}
	for _, sheet := range g.Sheets {
		titles = append(titles, sheet.Title)
		for _, row := range sheet.Rows {
			for _, tile := range row.Tiles {
				if !strings.HasPrefix(tile.Image, "data:image/jpeg;base64,") || tile.Caption == "" {
					t.Errorf("%s has a tile %q, %.20s", sheet.Title, tile.Caption, tile.Image)
				}
			}
		}
	}
	want := []string{"rotation", "Nearest neighbours"}
	if attends {
		want = append(want, "Attention")
	}
	if diff := cmp.Diff(want, titles); diff != "" || g.Step != 6 {
		t.Errorf("step %d: %s", g.Step, diff)
	}
	rotation := g.Sheets[0]
	if tiles := rotation.Rows[0].Tiles; len(tiles) == 0 || tiles[0].Outcome == "" || !strings.HasPrefix(tiles[0].Caption, "turned ") {
		t.Errorf("rotation shows %+v", rotation)
	}
	if near := g.Sheets[1].Rows; len(near) != 4 || len(near[0].Tiles) != 1+neighbours || near[0].Tiles[0].Caption != "picture" {
		t.Errorf("neighbours: %d rows", len(near))
	}
}

// mute is a task that cannot draw its answers.
type mute struct{ pretext.Task }

type muteParams struct{ pretext.RotationConfig }

func (p *muteParams) New(env pretext.Env) (pretext.Task, error) {
	task, err := p.RotationConfig.New(env)
	return mute{task}, err
}

// TestATaskThatCannotDrawShowsItsViews: a new task need not draw anything.
func TestATaskThatCannotDrawShowsItsViews(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Tasks, job.Metrics.Pictures = []pretext.Params{&muteParams{*job.Tasks[0].(*pretext.RotationConfig)}}, true
	run(t, job)
	text, err := os.ReadFile(job.Directory.Gallery())
	if err != nil {
		t.Fatal(err)
	}
	if tiles := readGallery(t, text).Sheets[0].Rows[0].Tiles; len(tiles) != 4 || tiles[0].Caption != "copy 0" {
		t.Errorf("it shows %d tiles", len(tiles))
	}
}

// TestAResumedRunShowsItsPast asks for the page when a resumed run saves its first checkpoint.
func TestAResumedRunShowsItsPast(t *testing.T) {
	folder := pictures(t, 12)
	job := newJob(t, folder)
	job.Train.MaxSteps, job.Metrics.Pictures = 0, true
	ctx := stopBefore(t, &job, 4)
	if err := Run(ctx, job); err == nil {
		t.Fatal("the run was not stopped")
	}
	before := len(records(t, job))
	job.Start, job.Metrics = StartResume, metrics.Config{Enabled: true, Pictures: true, Address: "127.0.0.1:0"}
	snapshot := ""
	job.Console = &console{onLine: func(line string) {
		if found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line); found != "" {
			snapshot = found
		} else if strings.Contains(line, "checkpoint") && strings.HasPrefix(snapshot, "127") {
			snapshot = firstEvent(t, "http://"+snapshot+"/live/events")
		}
	}}
	run(t, job)
	var shown struct {
		Name, State string
		Records     []metrics.Record
	}
	if err := json.Unmarshal([]byte(snapshot), &shown); err != nil {
		t.Fatalf("%v: %.200s", err, snapshot)
	}
	if len(shown.Records) <= before || shown.Records[0].Step != 1 || shown.Name != "run" || shown.State != StateRunning {
		t.Errorf("%s, %s: %d records, %d of them of the past", shown.Name, shown.State, len(shown.Records), before)
	}
}

// firstEvent is the data of the first event of a stream.
func firstEvent(t *testing.T, address string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	var text []byte
	for buffer := make([]byte, 4096); !strings.Contains(string(text), "\n\n"); {
		n, err := response.Body.Read(buffer)
		text = append(text, buffer[:n]...)
		if err != nil {
			t.Error(err)
			return ""
		}
	}
	_, data, _ := strings.Cut(string(text), "data: ")
	data, _, _ = strings.Cut(data, "\n\n")
	return data
}

func TestPicturesAreAffordable(t *testing.T) {
	var none *exhibition
	if !none.affordable(0) {
		t.Error("the first pictures are not drawn")
	}
	drawn := &exhibition{spent: time.Second, cost: time.Second}
	for passed, want := range map[time.Duration]bool{time.Minute: false, 499 * time.Second: false, 501 * time.Second: true} {
		if drawn.affordable(passed) != want {
			t.Errorf("after %v: affordable is %v", passed, !want)
		}
	}
}

func TestAboutHidesPaths(t *testing.T) {
	about := About("first", Record{State: "failed", Error: "open /home/me/x.jpg: gone"}, nil, "data: {path: /home/me/pictures}\n")
	text, err := json.Marshal(about)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "home") || !strings.Contains(string(text), "path: pictures") || !strings.Contains(string(text), "open x.jpg: gone") {
		t.Errorf("it says %s", text)
	}
}

// TestExhibitedPicturesAreBounded: a network that normalises a batch is shown many pictures, as far as they are small.
func TestExhibitedPicturesAreBounded(t *testing.T) {
	for _, test := range []struct {
		batchStatistics bool
		bytes           int64
		want            int
	}{{false, 1, exhibits}, {true, 1000, batchNormalised}, {true, 2 << 20, 32}, {true, 1 << 30, exhibits}} {
		if got := exhibited(test.batchStatistics, test.bytes); got != test.want {
			t.Errorf("%v, %d bytes: %d pictures, want %d", test.batchStatistics, test.bytes, got, test.want)
		}
	}
}
