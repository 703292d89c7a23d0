package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api is the part of MLflow's REST API 2.0 that a run needs.
type api struct {
	client *http.Client
	uri    string
}

// requestTimeout bounds one request.
const requestTimeout = 10 * time.Second

// answerLimit is the number of bytes that are read of an answer.
const answerLimit = 8 << 20

// refusal is an answer that would be the same if the request were sent again.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the server refuses with status %d %s: %s", r.status, r.code, r.message)
}

// missing reports whether the server says that what was asked for does not exist.
func missing(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == "RESOURCE_DOES_NOT_EXIST"
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// metric is one number at one step; the time is in milliseconds since 1970.
type metric struct {
	Key       string  `json:"key"`
	Value     float64 `json:"value"`
	Timestamp int64   `json:"timestamp"`
	Step      int64   `json:"step"`
}

type trackedRun struct {
	Info struct {
		ID string `json:"run_id"`
	} `json:"info"`
	Data struct {
		Metrics []struct {
			Step json.Number `json:"step"` // in quotes too, as protobuf's JSON writes 64 bits
		} `json:"metrics"`
	} `json:"data"`
}

// experiment finds or makes the experiment of that name.
func (a *api) experiment(ctx context.Context, name string) (id string, err error) {
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	err = a.call(ctx, http.MethodGet, "experiments/get-by-name?experiment_name="+url.QueryEscape(name), nil, &found)
	if !missing(err) {
		return found.Experiment.ID, err
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	err = a.call(ctx, http.MethodPost, "experiments/create", map[string]any{"name": name}, &made)
	return made.ID, err
}

// find looks for the run with that tag; nil if there is none.
func (a *api) find(ctx context.Context, experiment string, t tag) (*trackedRun, error) {
	var found struct {
		Runs []trackedRun `json:"runs"`
	}
	err := a.call(ctx, http.MethodPost, "runs/search", map[string]any{
		"experiment_ids": []string{experiment}, "max_results": 1,
		"filter": fmt.Sprintf("tags.`%s` = '%s'", t.Key, t.Value),
	}, &found)
	if err != nil || len(found.Runs) == 0 {
		return nil, err
	}
	return &found.Runs[0], nil
}

// create makes a run, which is running from then on.
func (a *api) create(ctx context.Context, experiment, name string, started time.Time, tags []tag) (id string, err error) {
	var made struct {
		Run trackedRun `json:"run"`
	}
	err = a.call(ctx, http.MethodPost, "runs/create", map[string]any{
		"experiment_id": experiment, "run_name": name, "start_time": started.UnixMilli(), "tags": tags,
	}, &made)
	return made.Run.Info.ID, err
}

// update sets the status of a run; a time of zero leaves its end open.
func (a *api) update(ctx context.Context, run, status string, ended time.Time) error {
	request := map[string]any{"run_id": run, "status": status}
	if !ended.IsZero() {
		request["end_time"] = ended.UnixMilli()
	}
	return a.call(ctx, http.MethodPost, "runs/update", request, nil)
}

// logBatch sends numbers and parameters, of which the server takes a thousand and a hundred at once.
func (a *api) logBatch(ctx context.Context, run string, metrics []metric, params []tag) error {
	request := map[string]any{"run_id": run}
	if len(metrics) > 0 {
		request["metrics"] = metrics
	}
	if len(params) > 0 {
		request["params"] = params
	}
	return a.call(ctx, http.MethodPost, "runs/log-batch", request, nil)
}

// call sends a request and reads the answer into a pointer, unless that is nil. A refusal is a *refusal.
func (a *api) call(ctx context.Context, method, path string, body, answer any) error {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.uri, "/")+"/api/2.0/mlflow/"+path, text)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return faultOf(response.StatusCode, content)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

// faultOf tells a refusal from what may pass.
func faultOf(status int, content []byte) error {
	var fault struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(content, &fault) != nil {
		fault.Message = fmt.Sprintf("%.200q", content)
	}
	switch {
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return fmt.Errorf("the server answers with status %d %s: %s", status, fault.Code, fault.Message)
	}
	return &refusal{status, fault.Code, fault.Message}
}
