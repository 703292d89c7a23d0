package train

import (
	"context"
	"path/filepath"

	"go.uber.org/zap"

	"pretrain/metrics"
	"pretrain/metrics/mlflow"
)

// mirrors show a run to other programs, besides those that scrape it. None of them can fail it or make it wait.
type mirrors struct {
	pusher  *metrics.Pusher // nil if not asked for, as are the others
	tracker *mlflow.Tracker
	board   *board
	state   string // of the run, as last recorded
}

// openMirrors finds mistakes in what is asked for; nothing is sent or written yet.
func (s *session) openMirrors() (err error) {
	if push := s.job.Metrics.Push; push.URL != "" {
		s.mirrors.pusher, err = metrics.NewPusher(push, s.series.Registry(), s.runID, func(err error) {
			s.log.Warn("metrics cannot be pushed; they are pushed again without another warning", zap.Error(err))
		})
		if err != nil {
			return Usage(err)
		}
	}
	if config := s.job.Logging.MLflow; config.URI != "" {
		s.mirrors.tracker, err = mlflow.New(config, mlflow.Description{
			ID: s.runID, Name: filepath.Base(string(s.job.Directory)), Version: s.job.Version,
			Configuration: s.job.Resolved, Started: s.started,
		}, func(err error) { s.log.Warn("MLflow", zap.Error(err)) })
	}
	return Usage(err)
}

// startMirrors lets them work until the session is closed.
func (s *session) startMirrors(ctx context.Context) error {
	if s.mirrors.pusher != nil {
		s.background(ctx, s.mirrors.pusher.Run)
	}
	if tracker := s.mirrors.tracker; tracker != nil {
		tracker.Start(context.WithoutCancel(ctx))
		s.onClose(func() { tracker.Close(statusOf(s.mirrors.state)) })
	}
	if !s.job.Logging.TensorBoard {
		return nil
	}
	return s.openBoard()
}

// background runs a function until the session is closed, which ends its context and waits for it.
func (s *session) background(ctx context.Context, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx)
	}()
	s.onClose(func() { cancel(); <-ended })
}

// statusOf is what MLflow calls a state of run.json.
func statusOf(state string) mlflow.Status {
	switch state {
	case StateFinished:
		return mlflow.Finished
	case StateInterrupted:
		return mlflow.Killed
	}
	return mlflow.Failed
}

// mirror shows a line of metrics.jsonl to those that ask for it.
func (s *session) mirror(record metrics.Record) {
	if s.mirrors.tracker != nil {
		s.mirrors.tracker.Append(record)
	}
	s.mirrors.board.append(record)
}
