// Package mlflow tells an MLflow tracking server of a run, over its REST API: the configuration as parameters, the
// numbers of metrics.jsonl, and how the run ended. Whatever the server does, the training neither waits nor fails.
package mlflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pretrain/internal/endpoint"
	"pretrain/metrics"
)

// Config is the YAML section `logging.mlflow`.
type Config struct {
	URI           string `mapstructure:"uri" doc:"MLflow tracking server to report to, such as http://tracking:5000; empty = none"`
	Experiment    string `mapstructure:"experiment" validate:"min=1" doc:"name of the experiment, which is made if it is missing"`
	Run           string `mapstructure:"run" doc:"name of the run; empty = the name of its directory"`
	Username      string `mapstructure:"username" doc:"user name for the server; empty = the secret is a bearer token"`
	TokenVariable string `mapstructure:"token_variable" doc:"environment variable that holds the token or password, which is never stored, such as MLFLOW_TRACKING_TOKEN; empty = none"`
}

// DefaultConfig reports to no server.
func DefaultConfig() Config { return Config{Experiment: "pretrain"} }

// Validate checks what needs no network and no environment.
func (c Config) Validate() error {
	if c.URI == "" {
		return nil
	}
	return c.endpoint().Validate()
}

func (c Config) endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{
		Key: "logging.mlflow.uri", URL: c.URI, Username: c.Username,
		SecretKey: "logging.mlflow.token_variable", SecretVariable: c.TokenVariable,
	}
}

// Status is how a run stands.
type Status string

// The statuses that a run of this program may have.
const (
	Running  Status = "RUNNING"
	Finished Status = "FINISHED"
	Failed   Status = "FAILED"
	Killed   Status = "KILLED"
)

// Description is what a server is told of a run.
type Description struct {
	ID            string // the same for all processes that work on the run; by it a resumed run is found again
	Name          string // where the configuration gives none
	Version       string // of the program
	Configuration string // YAML
	Started       time.Time
}

// runTag marks a run of the server with our id.
const runTag = "pretrain.run"

// Limits on what a server that is slow or away can cost: records that wait, seconds between attempts, and seconds that
// the end of a run may wait.
const (
	queueLimit  = 256
	retryPeriod = 5 * time.Second
	closePeriod = 10 * time.Second
)

// A Tracker reports one run. Its methods belong to one goroutine.
type Tracker struct {
	api         api
	config      Config
	description Description
	warn        func(error)
	retry       time.Duration
	patience    time.Duration // of Close
	queue       chan metrics.Record
	full, off   atomic.Bool
	cancel      context.CancelFunc
	ended       chan struct{}
	status      Status // set before queue is closed

	parameters []tag

	away   bool   // the server could not be reached, which was warned of
	run    string // id on the server
	before int64  // last step that the server knew when a run was resumed
}

// New prepares to report; nothing is sent before Start. warn is told what keeps records from the server, on the
// tracker's goroutine or the caller's: once that it is away, once that it is too slow, once that it refuses. An error is a
// mistake in the configuration or its environment.
func New(config Config, description Description, warn func(error)) (*Tracker, error) {
	client, err := config.endpoint().Client(requestTimeout)
	if err != nil {
		return nil, err
	}
	parameters, err := flatten(description.Configuration)
	if err != nil {
		return nil, err
	}
	if config.Run == "" {
		config.Run = description.Name
	}
	return &Tracker{
		api: api{client, config.URI}, config: config, description: description, parameters: parameters, warn: warn,
		retry: retryPeriod, patience: closePeriod, status: Failed,
		queue: make(chan metrics.Record, queueLimit), ended: make(chan struct{}),
	}, nil
}

// Start begins to report, on a goroutine of its own that ends with Close or, unfinished, with ctx. Call it once.
func (t *Tracker) Start(ctx context.Context) {
	ctx, t.cancel = context.WithCancel(ctx)
	go func() {
		defer close(t.ended)
		if err := t.report(ctx); err != nil {
			t.off.Store(true)
			if t.away && ctx.Err() != nil {
				return // the end of the run finds the server still away, which was said
			}
			t.warn(fmt.Errorf("logging.mlflow.uri: no more is sent to %s: %w", t.config.URI, err))
		}
	}()
}

// Append queues a record. It never waits: when the queue is full the record is dropped.
func (t *Tracker) Append(record metrics.Record) {
	if t.off.Load() {
		return
	}
	select {
	case t.queue <- record:
	default:
		if t.full.CompareAndSwap(false, true) {
			t.warn(fmt.Errorf("logging.mlflow.uri: %s takes records too slowly: some are left out there; metrics.jsonl has all", t.config.URI))
		}
	}
}

// Close sends what is queued and how the run ended, for a bounded time, and ends the goroutine. Call it once, after Start.
func (t *Tracker) Close(status Status) {
	t.status = status
	close(t.queue)
	timer := time.AfterFunc(t.patience, t.cancel)
	<-t.ended
	timer.Stop()
	t.cancel()
}

// report is the life of a run on the server.
func (t *Tracker) report(ctx context.Context) error {
	if err := t.persist(ctx, t.begin); err != nil {
		return err
	}
	for record := range t.queue {
		metrics, err := t.gather(record)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(metrics, metricsAtOnce) {
			err := t.persist(ctx, func(ctx context.Context) error { return t.api.logBatch(ctx, t.run, chunk, nil) })
			if err != nil {
				return err
			}
		}
	}
	return t.persist(ctx, func(ctx context.Context) error {
		return t.api.update(ctx, t.run, string(t.status), time.Now())
	})
}

// persist tries until it succeeds, is refused, or ctx ends.
func (t *Tracker) persist(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		var refused *refusal
		if err == nil || errors.As(err, &refused) {
			return err
		}
		if ctx.Err() != nil {
			return err
		}
		if !t.away {
			t.away = true
			t.warn(fmt.Errorf("logging.mlflow.uri: %s cannot be reached and is tried again: %w", t.config.URI, err))
		}
		select {
		case <-time.After(t.retry):
		case <-ctx.Done():
			return err
		}
	}
}

// begin finds the run if it is there already, else makes it and logs its parameters.
func (t *Tracker) begin(ctx context.Context) error {
	experiment, err := t.api.experiment(ctx, t.config.Experiment)
	if err != nil {
		return err
	}
	mark := tag{runTag, t.description.ID}
	found, err := t.api.find(ctx, experiment, mark)
	if err != nil {
		return err
	}
	if found != nil {
		return t.goOn(ctx, found)
	}
	tags := []tag{mark, {"mlflow.source.name", "pretrain"}, {"pretrain.version", t.description.Version}}
	if t.run, err = t.api.create(ctx, experiment, t.config.Run, t.description.Started, tags); err != nil {
		return err
	}
	return t.logParameters(ctx)
}

// goOn continues a run that an earlier process began. The server keeps every number that it was ever sent, so the steps
// that it knows are not sent again: they are the same.
func (t *Tracker) goOn(ctx context.Context, found *trackedRun) error {
	t.run = found.Info.ID
	for _, metric := range found.Data.Metrics {
		if step, err := metric.Step.Int64(); err == nil {
			t.before = max(t.before, step)
		}
	}
	return t.api.update(ctx, t.run, string(Running), time.Time{})
}

// logParameters sends the configuration, which the server keeps unchangeable.
func (t *Tracker) logParameters(ctx context.Context) error {
	for chunk := range slices.Chunk(t.parameters, parametersAtOnce) {
		if err := t.api.logBatch(ctx, t.run, nil, chunk); err != nil {
			return err
		}
	}
	return nil
}

// gather turns a record, and those that wait behind it up to about a request's worth, into numbers.
func (t *Tracker) gather(record metrics.Record) (gathered []metric, err error) {
	for {
		if record.Step > t.before {
			scalars, err := record.Scalars()
			if err != nil {
				return nil, err
			}
			for _, scalar := range scalars {
				gathered = append(gathered, metric{
					Key: allowed(scalar.Name), Value: scalar.Value, Timestamp: record.Time.UnixMilli(), Step: record.Step,
				})
			}
		}
		if len(gathered) > metricsAtOnce/2 {
			return gathered, nil
		}
		select {
		case next, more := <-t.queue:
			if !more {
				return gathered, nil
			}
			record = next
		default:
			return gathered, nil
		}
	}
}

// allowed replaces what a name may not hold and shortens it to what is allowed.
func allowed(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < 128 && (r == '_' || r == '-' || r == '.' || r == ' ' || r == '/' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return r
		}
		return '_'
	}, name)
	return name[:min(len(name), nameLimit)]
}
