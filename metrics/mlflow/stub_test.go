package mlflow

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a tracking server that keeps the documented rules of REST API 2.0: names, sizes and parameters that may not
// change.
type stub struct {
	t           *testing.T
	mutex       sync.Mutex
	experiments map[string]string // id by name
	runs        map[string]*stubRun
	requests    int
	fault       func(request int) (status int, body string) // an answer of 0 lets the request through
	token       string
	answered    chan string // paths
}

type stubRun struct {
	experiment, name, status string
	tags, params             map[string]string
	metrics                  []metric
	ended                    int64
}

func newStub(t *testing.T) (*stub, string) {
	s := &stub{t: t, experiments: map[string]string{}, runs: map[string]*stubRun{}, answered: make(chan string, 1000)}
	mux := http.NewServeMux()
	for path, handle := range map[string]func(url.Values, stubRequest) (int, any){
		"GET /api/2.0/mlflow/experiments/get-by-name": s.getByName,
		"POST /api/2.0/mlflow/experiments/create":     s.createExperiment,
		"POST /api/2.0/mlflow/runs/create":            s.createRun,
		"POST /api/2.0/mlflow/runs/search":            s.search,
		"POST /api/2.0/mlflow/runs/update":            s.update,
		"POST /api/2.0/mlflow/runs/log-batch":         s.logBatch,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, handle) })
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.URL
}

// stubRequest has the fields of all requests.
type stubRequest struct {
	Name          string   `json:"name"`
	ExperimentID  string   `json:"experiment_id"`
	ExperimentIDs []string `json:"experiment_ids"`
	RunName       string   `json:"run_name"`
	RunID         string   `json:"run_id"`
	Filter        string   `json:"filter"`
	Status        string   `json:"status"`
	StartTime     int64    `json:"start_time"`
	EndTime       int64    `json:"end_time"`
	MaxResults    int      `json:"max_results"`
	Tags          []tag    `json:"tags"`
	Params        []tag    `json:"params"`
	Metrics       []metric `json:"metrics"`
}

func fault(code, message string) any {
	return map[string]string{"error_code": code, "message": message}
}

func (s *stub) serve(w http.ResponseWriter, r *http.Request, handle func(url.Values, stubRequest) (int, any)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	defer func() { s.answered <- r.URL.Path }()
	s.requests++
	if s.fault != nil {
		if status, body := s.fault(s.requests); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return
		}
	}
	if got := r.Header.Get("Authorization"); got != s.token {
		s.t.Errorf("%s with authorization %q", r.URL.Path, got)
	}
	var request stubRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1e6))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil && r.Method == http.MethodPost {
		s.t.Errorf("%s: %v", r.URL.Path, err)
	}
	status, answer := handle(r.URL.Query(), request)
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Error(err)
	}
}

func (s *stub) getByName(query url.Values, _ stubRequest) (int, any) {
	id, there := s.experiments[query.Get("experiment_name")]
	if !there {
		return http.StatusNotFound, fault("RESOURCE_DOES_NOT_EXIST", "no such experiment")
	}
	return http.StatusOK, map[string]any{"experiment": map[string]any{"experiment_id": id}}
}

func (s *stub) createExperiment(_ url.Values, r stubRequest) (int, any) {
	if _, there := s.experiments[r.Name]; there {
		return http.StatusBadRequest, fault("RESOURCE_ALREADY_EXISTS", r.Name)
	}
	s.experiments[r.Name] = fmt.Sprint(len(s.experiments) + 1)
	return http.StatusOK, map[string]any{"experiment_id": s.experiments[r.Name]}
}

func (s *stub) createRun(_ url.Values, r stubRequest) (int, any) {
	run := &stubRun{
		experiment: r.ExperimentID, name: r.RunName, status: "RUNNING",
		tags: map[string]string{}, params: map[string]string{},
	}
	for _, tag := range r.Tags {
		run.tags[tag.Key] = tag.Value
	}
	if r.StartTime == 0 || r.ExperimentID == "" {
		s.t.Errorf("a run without start or experiment: %+v", r)
	}
	id := fmt.Sprintf("run%d", len(s.runs)+1)
	s.runs[id] = run
	return http.StatusOK, map[string]any{"run": map[string]any{"info": map[string]any{"run_id": id}}}
}

// search knows the one filter that is asked for, and answers with the last value of each metric, as the API does.
func (s *stub) search(_ url.Values, r stubRequest) (int, any) {
	parts := regexp.MustCompile("^tags\\.`(.+)` = '(.+)'$").FindStringSubmatch(r.Filter)
	if parts == nil || len(r.ExperimentIDs) != 1 || r.MaxResults < 1 {
		s.t.Errorf("the search is %+v", r)
		return http.StatusBadRequest, fault("INVALID_PARAMETER_VALUE", r.Filter)
	}
	found := []any{}
	for id, run := range s.runs {
		if run.experiment == r.ExperimentIDs[0] && run.tags[parts[1]] == parts[2] {
			last := map[string]metric{}
			for _, m := range run.metrics {
				last[m.Key] = m
			}
			list := []metric{}
			for _, m := range last {
				list = append(list, m)
			}
			found = append(found, map[string]any{"info": map[string]any{"run_id": id}, "data": map[string]any{"metrics": list}})
		}
	}
	return http.StatusOK, map[string]any{"runs": found}
}

func (s *stub) update(_ url.Values, r stubRequest) (int, any) {
	run := s.runs[r.RunID]
	if run == nil {
		return http.StatusNotFound, fault("RESOURCE_DOES_NOT_EXIST", r.RunID)
	}
	run.status, run.ended = r.Status, r.EndTime
	return http.StatusOK, map[string]any{}
}

var validName = regexp.MustCompile(`^[/\w.\- ]{1,250}$`)

func (s *stub) logBatch(_ url.Values, r stubRequest) (int, any) {
	run := s.runs[r.RunID]
	switch {
	case run == nil:
		return http.StatusNotFound, fault("RESOURCE_DOES_NOT_EXIST", r.RunID)
	case len(r.Metrics) > 1000 || len(r.Params) > 100 || len(r.Metrics)+len(r.Params) > 1000:
		return http.StatusBadRequest, fault("INVALID_PARAMETER_VALUE", "too many")
	}
	for _, m := range r.Metrics {
		if !validName.MatchString(m.Key) || m.Timestamp <= 0 {
			return http.StatusBadRequest, fault("INVALID_PARAMETER_VALUE", m.Key)
		}
	}
	for _, p := range r.Params {
		if old, there := run.params[p.Key]; !validName.MatchString(p.Key) || len(p.Value) > 500 || there && old != p.Value {
			return http.StatusBadRequest, fault("INVALID_PARAMETER_VALUE", p.Key)
		}
		run.params[p.Key] = p.Value
	}
	run.metrics = append(run.metrics, r.Metrics...)
	return http.StatusOK, map[string]any{}
}
