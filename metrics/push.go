package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"

	"pretrain/internal/endpoint"
)

// PushConfig is the YAML section `metrics.push`, for runs that end before they are scraped.
type PushConfig struct {
	URL              string `mapstructure:"url" doc:"Pushgateway to push the series to, such as http://gateway:9091; empty = none"`
	EverySeconds     int    `mapstructure:"every_seconds" validate:"gte=1" doc:"seconds between two pushes; the last one is made at the end of the run"`
	Job              string `mapstructure:"job" validate:"min=1" doc:"value of the label job that the pushed series are grouped by"`
	Instance         string `mapstructure:"instance" doc:"value of the label instance that the pushed series are grouped by; empty = the id of the run"`
	Username         string `mapstructure:"username" doc:"user name for the Pushgateway; empty = none"`
	PasswordVariable string `mapstructure:"password_variable" doc:"environment variable that holds the password, which is never stored"`
}

// DefaultPushConfig pushes nothing until a URL is given.
func DefaultPushConfig() PushConfig { return PushConfig{EverySeconds: 15, Job: "pretrain"} }

func (c PushConfig) endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{
		Key: "metrics.push.url", URL: c.URL, Username: c.Username,
		SecretKey: "metrics.push.password_variable", SecretVariable: c.PasswordVariable,
	}
}

func (c PushConfig) validate() error {
	if c.URL == "" {
		return nil
	}
	return c.endpoint().Validate()
}

// pushTimeout bounds a push, and with it how long the end of a run may wait for the last one.
const pushTimeout = 5 * time.Second

// Pusher sends the series of a registry somewhere, again and again.
type Pusher struct {
	key     string // of the configuration, for messages
	send    func(context.Context) error
	every   time.Duration
	failed  func(error)
	warning sync.Once
}

// NewPusher prepares to push the registry to a Pushgateway; it connects to nothing yet. instance is the label's value where
// the configuration names none. failed is told of the first failure only, on a goroutine of Run. An error is a mistake in
// the configuration or its environment.
func NewPusher(config PushConfig, registry *prometheus.Registry, instance string, failed func(error)) (*Pusher, error) {
	client, err := config.endpoint().Client(pushTimeout)
	if err != nil {
		return nil, err
	}
	if config.Instance != "" {
		instance = config.Instance
	}
	gateway := push.New(config.URL, config.Job).Grouping("instance", instance).Gatherer(registry).Client(client)
	return &Pusher{
		key: "metrics.push.url", send: gateway.PushContext, every: time.Duration(config.EverySeconds) * time.Second, failed: failed,
	}, nil
}

// Run pushes at every interval until ctx ends, and then once more. It returns at most pushTimeout after ctx ends.
func (p *Pusher) Run(ctx context.Context) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.push(ctx)
		case <-ctx.Done():
			p.push(context.WithoutCancel(ctx))
			return
		}
	}
}

// push sends the present values. What fails is tried anew, with the values of then, at the next interval.
func (p *Pusher) push(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	err := p.send(bounded)
	if err == nil || ctx.Err() != nil {
		return
	}
	p.warning.Do(func() { p.failed(fmt.Errorf("%s: %w", p.key, err)) })
}
