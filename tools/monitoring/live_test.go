package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pretrain/configs"
	"pretrain/run"
	"pretrain/sample"
	"pretrain/train"
)

// TestEveryQueryAnswers scrapes a real training with a real Prometheus, which reads the files of deploy, and asks it every
// query of the dashboards.
func TestEveryQueryAnswers(t *testing.T) {
	program := tool(t, "prometheus")
	address := startTraining(t)
	server := startPrometheus(t, program, address)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	missing := dashboardQueries(t)
	for len(missing) > 0 {
		if ctx.Err() != nil {
			t.Fatalf("no value, or none that is a number, for\n%s", strings.Join(missing, "\n"))
		}
		time.Sleep(500 * time.Millisecond) // half a scrape
		missing = server.unanswered(ctx, missing)
	}
	server.checkTargets(t)
	server.checkRules(t)
}

// freeAddress is a port of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// startTraining trains the quick start, made smaller, until the test ends, and returns where it serves its metrics.
func startTraining(t *testing.T) (address string) {
	t.Helper()
	address = freeAddress(t)
	pictures, labelled := sampleLists(t)
	overrides := []configs.Override{
		{Path: "data.path", Value: pictures}, {Path: "eval.train", Value: labelled}, {Path: "eval.test", Value: labelled},
	}
	for key, value := range map[string]string{
		"data.max_bad_ratio": "0.5", "data.workers": "1",
		"backbone.vit.depth": "1", "backbone.vit.width": "24", "backbone.vit.heads": "3",
		"train.batch_size": "8", "train.epochs": "100000", "train.calibration_pictures": "8", "eval.every_epochs": "5",
		"metrics.address": address, "metrics.inspect_every_steps": "5",
	} {
		overrides = append(overrides, configs.Override{Path: key, Value: value})
	}
	resolved, err := configs.Load(configs.Source{Name: "quickstart", Overrides: overrides, Pictures: configs.Required})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	directory := filepath.Join(t.TempDir(), "run")
	go func() { ended <- run.Train(ctx, resolved, run.TrainOptions{Directory: directory, Console: io.Discard}) }()
	t.Cleanup(func() {
		cancel()
		var interrupted *train.Interrupted
		if err := <-ended; !errors.As(err, &interrupted) {
			t.Errorf("the training ended by itself: %v", err)
		}
	})
	return address
}

// sampleLists writes two list files of a few pictures of the sample, one of training pictures, of which one is damaged,
// and one with labels.
func sampleLists(t *testing.T) (pictures, labelled string) {
	t.Helper()
	dir := t.TempDir()
	if err := sample.Extract(dir); err != nil {
		t.Fatal(err)
	}
	var training, labels strings.Builder
	for class := range 4 {
		paths, err := filepath.Glob(filepath.Join(dir, "train", "*", fmt.Sprintf("*%d.jpg", class)))
		if err != nil || len(paths) < 16 {
			t.Fatalf("%d pictures in the sample, %v", len(paths), err)
		}
		for _, path := range paths[:8] {
			fmt.Fprintln(&training, path)
			fmt.Fprintf(&labels, "%s\t%d\n", path, class)
		}
	}
	damaged := filepath.Join(dir, "damaged.jpg")
	content, err := os.ReadFile(strings.SplitN(training.String(), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, damaged, string(content[:len(content)/2]))
	fmt.Fprintln(&training, damaged)
	pictures, labelled = filepath.Join(dir, "pictures.txt"), filepath.Join(dir, "labelled.txt")
	write(t, pictures, training.String())
	write(t, labelled, labels.String())
	return pictures, labelled
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// prometheusServer is a Prometheus that runs until the test ends.
type prometheusServer struct{ url string }

// startPrometheus starts one on the configuration of deploy, which is changed in the address of the run, in the interval
// and in the folder of the rules only.
func startPrometheus(t *testing.T, program, target string) prometheusServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(filepath.Join(deployFolder, "prometheus", "rules"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(deployFolder, "prometheus", "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := string(content)
	for _, change := range [][2]string{
		{"127.0.0.1:9464", target}, {"_interval: 15s", "_interval: 1s"}, {"- rules/", "- " + rules + "/"},
	} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("prometheus.yml does not contain %q", change[0])
		}
		config = strings.ReplaceAll(config, change[0], change[1])
	}
	write(t, filepath.Join(dir, "prometheus.yml"), config)
	address := freeAddress(t)
	command := exec.CommandContext(t.Context(), program, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--log.level", "warn")
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // its data goes with the test
		_ = command.Wait()
	})
	return prometheusServer{"http://" + address}
}

// get asks the HTTP API.
func (s prometheusServer) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(&struct{ Data any }{into})
}

// unanswered are the queries for which Prometheus has no number, perhaps because it has just been started.
func (s prometheusServer) unanswered(ctx context.Context, queries []string) (missing []string) {
	for _, query := range queries {
		var data struct{ Result []struct{ Value [2]any } }
		err := s.get(ctx, "query?query="+url.QueryEscape(query), &data)
		answered := false
		for _, result := range data.Result {
			text, _ := result.Value[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			answered = answered || err == nil && !math.IsNaN(value)
		}
		if err != nil || !answered {
			missing = append(missing, query)
		}
	}
	return missing
}

// checkTargets: the run is the only target, and it is scraped.
func (s prometheusServer) checkTargets(t *testing.T) {
	t.Helper()
	var data struct {
		ActiveTargets []struct{ Health, LastError string }
	}
	if err := s.get(t.Context(), "targets", &data); err != nil {
		t.Fatal(err)
	}
	if len(data.ActiveTargets) != 1 || data.ActiveTargets[0].Health != "up" {
		t.Errorf("targets: %+v", data.ActiveTargets)
	}
}

// checkRules: all rules of the files are evaluated without an error, and a healthy run is not called lost.
func (s prometheusServer) checkRules(t *testing.T) {
	t.Helper()
	type evaluated struct{ Name, Health, LastError, State string }
	var data struct{ Groups []struct{ Rules []evaluated } }
	if err := s.get(t.Context(), "rules", &data); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, group := range data.Groups {
		for _, r := range group.Rules {
			seen++
			if r.Health != "ok" || r.State == "firing" {
				t.Errorf("%+v", r)
			}
		}
	}
	if want := len(rules(t)); seen != want {
		t.Errorf("%d rules are evaluated, there are %d", seen, want)
	}
}
