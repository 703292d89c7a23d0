package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"pretrain/internal/atomicfile"
	"pretrain/metrics"
	"pretrain/page"
)

// pictureHook shows pictures at the ends of epochs to those who look, as far as they take no more than a small share of the
// time.
func (s *session) pictureHook() Hook {
	return hookFunc(func(ctx context.Context, report StepReport) error {
		ended := report.Position.EndsEpoch() && !report.Position.Done()
		if ended && s.job.Metrics.Pictures && s.live.Wanted() && s.shown.affordable(time.Since(s.started)) {
			s.showPictures(ctx)
		}
		return nil
	})
}

// showPictures draws the pictures for the live page and the report. What goes wrong with them is no reason to end a
// training.
func (s *session) showPictures(ctx context.Context) {
	if !s.job.Metrics.Pictures || ctx.Err() != nil {
		return
	}
	started := time.Now()
	err := s.drawPictures(ctx)
	if s.shown != nil {
		s.shown.cost = time.Since(started)
		s.shown.spent += s.shown.cost
		s.log.Debug("pictures", zap.Duration("took", s.shown.cost))
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the pictures of what the tasks see could not be drawn", zap.Error(err))
	}
}

func (s *session) drawPictures(ctx context.Context) (err error) {
	if s.shown == nil {
		if s.shown, err = s.newExhibition(); err != nil {
			return err
		}
	}
	gallery, err := s.shown.gallery(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(gallery)
	if err != nil {
		return err
	}
	s.live.Show(text)
	return atomicfile.Write(s.job.Directory.Gallery(), true, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// restorePage shows what earlier processes of the run left.
func (s *session) restorePage() {
	if s.live == nil {
		return
	}
	records, err := metrics.ReadLog(s.job.Directory.Metrics())
	if err == nil {
		s.live.Restore(records)
	} else if !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("the page begins without the past of the run", zap.Error(err))
	}
	if text, err := os.ReadFile(s.job.Directory.Gallery()); err == nil && json.Valid(text) && s.job.Metrics.Pictures {
		s.live.Show(text)
	}
}

// about is what the page tells of the run besides its records.
func (s *session) about(record Record) page.About {
	name := filepath.Base(string(s.job.Directory))
	if absolute, err := filepath.Abs(string(s.job.Directory)); err == nil {
		name = filepath.Base(absolute)
	}
	return About(name, record, s.job.TaskNames, s.job.Resolved)
}

// About describes a run for its page by what its directory says of it: run.json, the tasks and the configuration.
func About(name string, record Record, tasks []string, config string) page.About {
	facts := []page.Fact{
		{Name: "backbone", Value: fmt.Sprintf("%s, %d parameters with heads", record.Backbone, record.Parameters)},
		{Name: "training pictures", Value: fmt.Sprint(record.Pictures)},
		{Name: "processor", Value: record.CPU},
		{Name: "kernels", Value: fmt.Sprintf("%s, %s, %d threads", record.Kernels, record.Precision, record.Threads)},
		{Name: "program", Value: fmt.Sprintf("pretrain %s, %s", record.Version, record.Go)},
		{Name: "started", Value: record.Started},
	}
	if record.State != StateRunning {
		facts = append(facts, page.Fact{Name: "took", Value: (time.Duration(record.Seconds) * time.Second).String()})
	}
	if record.Error != "" {
		facts = append(facts, page.Fact{Name: "error", Value: page.HidePaths(record.Error)})
	}
	return page.About{
		Name: name, State: record.State, Error: page.HidePaths(record.Error), Steps: int64(record.Steps), Tasks: tasks,
		Chance: record.Chance, Facts: facts, Config: page.HideConfigPaths(config),
	}
}
