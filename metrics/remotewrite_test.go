package metrics

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// writeDefinitions are what a receiver of remote-write 1.0 has to know, by the field numbers and types of Prometheus'
// prompb/remote.proto and prompb/types.proto. The tests read requests by them with a general parser of protocol buffers.
const writeDefinitions = `
syntax = "proto3";
message WriteRequest { repeated TimeSeries timeseries = 1; }
message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }
message Label { string name = 1; string value = 2; }
message Sample { double value = 1; int64 timestamp = 2; }
`

// written is a request as a receiver reads it.
type written struct {
	header http.Header
	series map[string]sent // by their labels, as Prometheus spells them
}

type sent struct {
	Value     any // a number, or how protobuf's JSON spells one that is not finite
	Timestamp int64
}

// receiver answers writes with a status and hands them over.
func receiver(t *testing.T, status int) (url string, seen chan written) {
	t.Helper()
	message := writeMessage(t)
	seen = make(chan written, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- written{r.Header, parseWrite(t, message, body)}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/api/v1/write", seen
}

func writeMessage(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"write.proto": writeDefinitions}),
	}}
	files, err := compiler.Compile(context.Background(), "write.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages().ByName("WriteRequest")
}

func parseWrite(t *testing.T, of protoreflect.MessageDescriptor, body []byte) map[string]sent {
	content, err := snappy.Decode(nil, body)
	message := dynamicpb.NewMessage(of)
	if err == nil {
		err = proto.UnmarshalOptions{}.Unmarshal(content, message)
	}
	var text []byte
	if err == nil {
		text, err = protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
	}
	var request struct {
		Timeseries []struct {
			Labels  []struct{ Name, Value string }
			Samples []struct {
				Value     any
				Timestamp int64 `json:",string"`
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &request)
	}
	if err != nil {
		t.Errorf("a request cannot be read: %v", err)
	}
	series := map[string]sent{}
	for _, s := range request.Timeseries {
		var labels []string
		for i, label := range s.Labels {
			if i > 0 && label.Name <= s.Labels[i-1].Name {
				t.Errorf("labels are not in order: %v", s.Labels)
			}
			labels = append(labels, label.Name+"="+label.Value)
		}
		name := strings.Join(labels, ",")
		if _, twice := series[name]; twice || len(s.Samples) != 1 {
			t.Errorf("%s is there twice, or has %d samples", name, len(s.Samples))
		}
		series[name] = sent(s.Samples[0])
	}
	return series
}

// TestRemoteWrite: every series that a scrape shows is there, histograms as their buckets, sum and count, with job and
// instance; the headers are those of the protocol; and a last sample follows the end.
func TestRemoteWrite(t *testing.T) {
	t.Setenv("WRITE_SECRET", "sesame")
	url, seen := receiver(t, http.StatusNoContent)
	config := DefaultRemoteWriteConfig()
	config.URL, config.EverySeconds, config.PasswordVariable = url, 3600, "WRITE_SECRET"
	started := time.Now()
	writing(t, config, filled().Registry(), noFailure(t))()
	got := <-seen
	for name, want := range map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0",
		"Authorization": "Bearer sesame",
	} {
		if got.header.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	for name, want := range map[string]float64{
		"__name__=pretrain_task_loss,instance=r1,job=pretrain,task=rotation":              1.25,
		"__name__=pretrain_step_duration_seconds_count,instance=r1,job=pretrain":          1,
		"__name__=pretrain_step_duration_seconds_bucket,instance=r1,job=pretrain,le=+Inf": 1,
	} {
		point, ok := got.series[name]
		if at := time.UnixMilli(point.Timestamp); !ok || point.Value != want || at.Before(started.Truncate(time.Millisecond)) || at.After(time.Now()) {
			t.Errorf("%s is %v, want %g now", name, point, want)
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d more requests at the end", len(seen))
	}
}

// TestRemoteWriteOfOddValues: labels of a user's making and numbers that are not finite arrive as they are.
func TestRemoteWriteOfOddValues(t *testing.T) {
	url, seen := receiver(t, http.StatusOK)
	series := NewSeries()
	series.SetRunInfo(RunInfo{Run: "r1", Version: "\xff \"quoted\"\n", Backbone: "ünï"})
	series.SetFailed(true)
	config := DefaultRemoteWriteConfig()
	config.URL, config.EverySeconds, config.Instance, config.Job = url, 3600, "host:1", "a b"
	writing(t, config, series.Registry(), noFailure(t))()
	found := false
	for name, point := range (<-seen).series {
		if name == "__name__=pretrain_loss,instance=host:1,job=a b" && point.Value != "NaN" {
			t.Errorf("the loss is %v", point.Value)
		}
		found = found || strings.Contains(name, "__name__=pretrain_run_info,backbone=ünï") && strings.Contains(name, "version=\uFFFD \"quoted\"\n")
	}
	if !found {
		t.Error("the run is not described")
	}
}

// writing runs a remote writer until stop is called.
func writing(t *testing.T, config RemoteWriteConfig, registry *prometheus.Registry, failed func(error)) (stop func()) {
	t.Helper()
	writer, err := NewRemoteWriter(config, registry, "r1", failed)
	if err != nil {
		t.Fatal(err)
	}
	return running(t, writer)
}

// TestAReceiverThatRefuses is warned of once, with what it said, and gets more samples all the same.
func TestAReceiverThatRefuses(t *testing.T) {
	url, seen := receiver(t, http.StatusNotFound)
	config := DefaultRemoteWriteConfig()
	config.URL = url
	failures := make(chan error, 10)
	writer, err := NewRemoteWriter(config, filled().Registry(), "r1", func(err error) { failures <- err })
	if err != nil {
		t.Fatal(err)
	}
	writer.every = time.Millisecond
	stop := running(t, writer)
	<-seen
	<-seen
	stop()
	if err := <-failures; len(failures) > 0 || !strings.Contains(err.Error(), "metrics.remote_write.url") || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v, and %d more warnings", err, len(failures))
	}
}

func TestMistakesInRemoteWrite(t *testing.T) {
	for name, test := range map[string]struct {
		config RemoteWriteConfig
		want   string
	}{
		"no scheme": {RemoteWriteConfig{URL: "prometheus:9090"}, "metrics.remote_write.url is \"prometheus:9090\""},
		"password":  {RemoteWriteConfig{URL: "http://a:b@prometheus"}, "metrics.remote_write.password_variable"},
		"user only": {RemoteWriteConfig{URL: "http://prometheus", Username: "a"}, "metrics.remote_write.password_variable is empty"},
	} {
		if err := (Config{RemoteWrite: test.config}).Validate(); err == nil ||
			!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), ":b@") {
			t.Errorf("%s: %v", name, err)
		}
	}
	unset := RemoteWriteConfig{URL: "http://prometheus", PasswordVariable: "NOT_SET_ANYWHERE", EverySeconds: 1, Job: "a"}
	if _, err := NewRemoteWriter(unset, filled().Registry(), "r1", nil); err == nil ||
		!strings.Contains(err.Error(), "NOT_SET_ANYWHERE, which is not set") {
		t.Errorf("a missing password gives %v", err)
	}
}

// TestRealRemoteWrite sends to a Prometheus that scrapes nothing, and asks it for what it got.
func TestRealRemoteWrite(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		skip(t, "prometheus, from the Debian package of that name")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	settings := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(settings, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "--config.file="+settings, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.enable-remote-write-receiver")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { command.Process.Kill(); command.Wait() }()
	waitFor(t, "http://"+address+"/-/ready")
	config := DefaultRemoteWriteConfig()
	config.URL = "http://" + address + "/api/v1/write"
	writing(t, config, filled().Registry(), noFailure(t))()
	for query, want := range map[string]string{
		`pretrain_task_loss{instance="r1",job="pretrain",task="rotation"}`: `"1.25"`,
		`histogram_quantile(1, pretrain_step_duration_seconds_bucket)`:     `"instance":"r1"`,
	} {
		if _, body := request(t, "GET", "http://"+address+"/api/v1/query?query="+url.QueryEscape(query)); !strings.Contains(body, want) {
			t.Errorf("%s: %s", query, body)
		}
	}
}
