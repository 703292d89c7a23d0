package metrics

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"

	"pretrain/internal/endpoint"
)

// RemoteWriteConfig is the YAML section `metrics.remote_write`, for runs that a Prometheus cannot reach.
type RemoteWriteConfig struct {
	URL              string `mapstructure:"url" doc:"address that takes Prometheus' remote-write protocol 1.0, such as http://prometheus:9090/api/v1/write; empty = none"`
	EverySeconds     int    `mapstructure:"every_seconds" validate:"gte=1" doc:"seconds between two samples of the series; the last one is sent at the end of the run"`
	Job              string `mapstructure:"job" validate:"min=1" doc:"value of the label job that the series get"`
	Instance         string `mapstructure:"instance" doc:"value of the label instance that the series get; empty = the id of the run"`
	Username         string `mapstructure:"username" doc:"user name for the server; empty = none, the password is a bearer token then"`
	PasswordVariable string `mapstructure:"password_variable" doc:"environment variable that holds the password or bearer token, which is never stored"`
}

// DefaultRemoteWriteConfig sends nothing until a URL is given.
func DefaultRemoteWriteConfig() RemoteWriteConfig {
	return RemoteWriteConfig{EverySeconds: 15, Job: "pretrain"}
}

func (c RemoteWriteConfig) endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{
		Key: "metrics.remote_write.url", URL: c.URL, Username: c.Username,
		SecretKey: "metrics.remote_write.password_variable", SecretVariable: c.PasswordVariable,
	}
}

func (c RemoteWriteConfig) validate() error {
	if c.URL == "" {
		return nil
	}
	return c.endpoint().Validate()
}

// remoteBackoff tries a request that failed for a reason that may pass once or twice more within pushTimeout.
var remoteBackoff = remote.BackoffConfig{Min: time.Second, Max: 2 * time.Second, MaxRetries: 2}

// NewRemoteWriter prepares to send the registry by the remote-write protocol 1.0; for the rest see NewPusher. No marks of
// staleness are sent at the end, so that rules see the last values for five minutes, as those of a Pushgateway.
func NewRemoteWriter(config RemoteWriteConfig, registry *prometheus.Registry, instance string, failed func(error)) (*Pusher, error) {
	client, err := config.endpoint().Client(pushTimeout)
	if err != nil {
		return nil, err
	}
	api, err := remote.NewAPI(config.URL, remote.WithAPIPath(""), remote.WithAPIHTTPClient(client), remote.WithAPIBackoff(remoteBackoff))
	if err != nil {
		return nil, err
	}
	if config.Instance != "" {
		instance = config.Instance
	}
	own := model.LabelSet{model.JobLabel: model.LabelValue(config.Job), model.InstanceLabel: model.LabelValue(instance)}
	send := func(ctx context.Context) error {
		request, err := newWriteRequest(registry, own, time.Now())
		if err != nil {
			return err
		}
		_, err = api.Write(ctx, remote.WriteV1MessageType, request)
		return err
	}
	return &Pusher{
		key: "metrics.remote_write.url", send: send, every: time.Duration(config.EverySeconds) * time.Second, failed: failed,
	}, nil
}

// writeRequest is an encoded message WriteRequest. Its methods are those by which the library takes such messages.
type writeRequest []byte

// Size is that of the message in bytes.
func (w writeRequest) Size() int { return len(w) }

// MarshalToSizedBuffer copies the message.
func (w writeRequest) MarshalToSizedBuffer(to []byte) (int, error) { return copy(to, w), nil }

// Numbers of fields, as in prompb/remote.proto and prompb/types.proto of Prometheus.
const (
	requestSeries             = 1
	seriesLabel, seriesSample = 1, 2
	labelName, labelValue     = 1, 2
	sampleValue, sampleTime   = 1, 2 // milliseconds since 1970
)

// newWriteRequest gathers the present values, one sample a series. Histograms become series of their buckets, sum and count;
// own is added to all labels.
func newWriteRequest(registry prometheus.Gatherer, own model.LabelSet, now time.Time) (request writeRequest, err error) {
	families, err := registry.Gather()
	if err != nil {
		return nil, err
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}, families...)
	if err != nil {
		return nil, err
	}
	for _, sample := range samples {
		request = appendMessage(request, requestSeries, encodeSample(sample, own))
	}
	return request, nil
}

// encodeSample is a message TimeSeries. Labels are in the order of their names, as the protocol asks.
func encodeSample(sample *model.Sample, own model.LabelSet) (series []byte) {
	labels := model.LabelSet(sample.Metric).Merge(own)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		label := appendMessage(nil, labelName, []byte(name))
		series = appendMessage(series, seriesLabel, appendMessage(label, labelValue, []byte(labels[name])))
	}
	point := protowire.AppendTag(nil, sampleValue, protowire.Fixed64Type)
	point = protowire.AppendFixed64(point, math.Float64bits(float64(sample.Value)))
	point = protowire.AppendTag(point, sampleTime, protowire.VarintType)
	return appendMessage(series, seriesSample, protowire.AppendVarint(point, uint64(sample.Timestamp)))
}

func appendMessage(to []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), message)
}
