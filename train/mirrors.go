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
	pushers []*metrics.Pusher
	tracker *mlflow.Tracker // nil if not asked for, as is the board
	board   *board
	state   string // of the run, as last recorded
}

// openMirrors finds mistakes in what is asked for; nothing is sent or written yet.
func (s *session) openMirrors() (err error) {
	if err := s.openPushers(); err != nil {
		return Usage(err)
	}
	if config := s.job.Logging.MLflow; config.URI != "" {
		s.mirrors.tracker, err = mlflow.New(config, mlflow.Description{
			ID: s.runID, Name: filepath.Base(string(s.job.Directory)), Version: s.job.Version,
			Configuration: s.job.Resolved, Started: s.started,
		}, func(err error) { s.log.Warn("MLflow", zap.Error(err)) })
	}
	return Usage(err)
}

// openPushers prepares what sends the series somewhere.
func (s *session) openPushers() error {
	failed := func(err error) {
		s.log.Warn("metrics cannot be pushed; they are pushed again without another warning", zap.Error(err))
	}
	add := func(pusher *metrics.Pusher, err error) error {
		s.mirrors.pushers = append(s.mirrors.pushers, pusher)
		return err
	}
	config := s.job.Metrics
	if config.Push.URL != "" {
		if err := add(metrics.NewPusher(config.Push, s.series.Registry(), s.runID, failed)); err != nil {
			return err
		}
	}
	if config.RemoteWrite.URL != "" {
		return add(metrics.NewRemoteWriter(config.RemoteWrite, s.series.Registry(), s.runID, failed))
	}
	return nil
}

// startMirrors lets them work until the session is closed.
func (s *session) startMirrors(ctx context.Context) error {
	for _, pusher := range s.mirrors.pushers {
		s.background(ctx, pusher.Run)
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
