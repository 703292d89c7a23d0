package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"pretrain/internal/terminal"
	"pretrain/metrics"
	"pretrain/train"
)

// Limits on a page that may be anybody's.
const (
	answerTime = 5 * time.Second
	pageLimit  = 16 << 20 // bytes
	// silence is how long a run may not answer before it is given up, once it has answered.
	silence = 30 * time.Second
)

// address is the Source of a run that is reached by its metrics alone.
type address struct {
	url    string
	client *http.Client
	first  bool // nothing was seen yet
	last   View
	seen   time.Time // of the last answer
	points []point   // one a new step that was seen
	past   map[string][]float64
}

// point is what counters said at a moment.
type point struct {
	time                               time.Time
	pictures, wait, stepSeconds, ratio float64
}

// Address watches the metrics that a run serves at host:port, or at the URL of that page. Text that cannot be such an
// address is a train.UsageError.
func Address(text string) (Source, error) {
	page, err := pageOf(text)
	if err != nil {
		return nil, train.Usage(err)
	}
	// Connections are not kept: a run lets few clients in at once, and nothing has to be closed at the end.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	client := &http.Client{Timeout: answerTime, Transport: transport}
	return &address{url: page, client: client, first: true, past: map[string][]float64{}}, nil
}

// pageOf completes host:port, or a URL without a path, to the URL of the metrics.
func pageOf(text string) (string, error) {
	whole := text
	if !strings.Contains(text, "://") {
		whole = "http://" + text
	}
	page, err := url.Parse(whole)
	switch {
	case err != nil:
		return "", fmt.Errorf("address %q: must be host:port, such as %s, or a URL", text, metrics.DefaultAddress)
	case page.Scheme != "http" && page.Scheme != "https":
		return "", fmt.Errorf("address %q: must begin with http:// or https://, or be host:port alone", page.Redacted())
	case page.Hostname() == "" && page.Port() == "":
		return "", fmt.Errorf("address %q names no host: must be host:port, such as %s", page.Redacted(), metrics.DefaultAddress)
	}
	if port := page.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return "", fmt.Errorf("address %q: port %s must be between 1 and 65535", page.Redacted(), port)
		}
	}
	if page.Hostname() == "" { // :9464
		page.Host = net.JoinHostPort("127.0.0.1", page.Port())
	}
	if page.Path == "" || page.Path == "/" {
		page.Path = "/metrics"
	}
	return page.String(), nil
}

// title is the address without a password.
func (a *address) title() string {
	page, err := url.Parse(a.url)
	if err != nil {
		return "" // Address has parsed it
	}
	return page.Redacted()
}

// Look asks for the page. Not to get it is an error the first time, and after the run has been silent for too long.
func (a *address) Look(ctx context.Context) (View, error) {
	page, err := a.fetch(ctx)
	switch {
	case err == nil:
		a.seen, a.first, a.last = time.Now(), false, a.view(page, time.Now())
		return a.last, nil
	case ctx.Err() != nil:
		return View{}, context.Cause(ctx)
	case a.first:
		return View{}, err
	}
	v, silent := a.last, time.Since(a.seen)
	if v.Done == 1 { // a run serves its metrics for as long as it lives
		v.State, v.Ended = train.StateFinished, true
		return v, nil
	}
	duration := terminal.Duration(silent.Seconds())
	if silent > silence {
		return v, fmt.Errorf("the run has not answered for %s and was %.1f %% done: it has ended, or the way to it is cut; "+
			"see its directory: %w", duration, 100*v.Done, err)
	}
	v.Notes = append(slices.Clone(v.Notes), "no answer for "+duration)
	return v, nil
}

// families are the series of a page by name.
type families map[string]*dto.MetricFamily

func (a *address) fetch(ctx context.Context) (families, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	response, err := a.client.Do(request)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
		return nil, fmt.Errorf("%s: no answer within %v: is the run there, and may this machine reach it?", a.title(), answerTime)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; a run says in its log where it serves its metrics", a.title(), bare(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: the answer is %q, not a page of metrics", a.title(), response.Status)
	}
	return a.parse(io.LimitReader(response.Body, pageLimit))
}

// bare takes the URL, which may have a password, off an error.
func bare(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

func (a *address) parse(page io.Reader) (families, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(page)
	if err != nil {
		return nil, fmt.Errorf("%s: the page is not in the text format of Prometheus: %s", a.title(), terminal.Clean(err.Error()))
	}
	if parsed["pretrain_run_progress_ratio"] == nil {
		return nil, fmt.Errorf("%s: the page has no pretrain_run_progress_ratio: it is not that of a run", a.title())
	}
	return parsed, nil
}

// value is the number of a gauge or counter without labels; NaN if it is not there.
func (f families) value(name string) float64 {
	if family := f[name]; family != nil && len(family.Metric) > 0 {
		return number(family.Metric[0])
	}
	return nan
}

func number(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Untyped != nil:
		return m.Untyped.GetValue()
	}
	return nan
}

// each visits the series of a family, with the labels by name.
func (f families) each(name string, visit func(labels map[string]string, value float64)) {
	for _, m := range f[name].GetMetric() {
		labels := map[string]string{}
		for _, pair := range m.Label {
			labels[pair.GetName()] = pair.GetValue()
		}
		visit(labels, number(m))
	}
}

// histogram is the number of observations and their sum; zero if there are none.
func (f families) histogram(name string) (count, sum float64) {
	for _, m := range f[name].GetMetric() {
		count += float64(m.Histogram.GetSampleCount())
		sum += m.Histogram.GetSampleSum()
	}
	return count, sum
}

func (a *address) view(page families, now time.Time) View {
	a.remember(page, now)
	v := View{
		Title: a.title(), State: train.StateRunning, Done: page.value("pretrain_run_progress_ratio"),
		Left: a.left(page), Sign: a.points[len(a.points)-1].time,
	}
	page.each("pretrain_run_info", func(labels map[string]string, _ float64) {
		v.About = about(labels["backbone"], labels["kernels"])
	})
	v.Measure = a.measures(page)
	if written := page.value("pretrain_checkpoint_timestamp_seconds"); written > 0 {
		v.Checkpoint = terminal.Age(now.Sub(time.Unix(int64(written), 0)).Seconds()) + " ago"
	}
	switch {
	case page.value("pretrain_run_failed") == 1:
		v.State, v.Ended = train.StateFailed, true
	case v.Done == 1 && now.Sub(v.Sign) > silence: // served on after its end
		v.State, v.Ended = train.StateFinished, true
	}
	return v
}

// remember adds a point if the run has moved since the last one, and forgets all if it began anew.
func (a *address) remember(page families, now time.Time) {
	_, seconds := page.histogram("pretrain_step_duration_seconds")
	p := point{
		now, page.value("pretrain_images_total"), page.value("pretrain_data_wait_seconds_total"), seconds,
		page.value("pretrain_run_progress_ratio"),
	}
	if n := len(a.points); n > 0 {
		switch before := a.points[n-1]; {
		case before.pictures == p.pictures && before.ratio == p.ratio:
			return
		case p.pictures < before.pictures: // counters begin at 0 in every process
			a.points = nil
		}
	}
	a.points = append(a.points, p)
	a.add("loss", page.value("pretrain_loss"))
	rate, _ := a.rates()
	a.add("rate", rate)
	page.each("pretrain_task_loss", func(labels map[string]string, value float64) { a.add("task "+labels["task"], value) })
	for name, probe := range probesOf(page) {
		known := a.past["probe "+name]
		if len(known) == 0 || known[len(known)-1] != float64(probe.Accuracy) {
			a.add("probe "+name, float64(probe.Accuracy))
		}
	}
	const kept = 100 // points that rates may look back to
	a.points = a.points[max(0, len(a.points)-kept):]
}

// add appends to a past, and thins it out when it has become long.
func (a *address) add(name string, value float64) {
	const most = 2048
	values := append(a.past[name], value)
	if len(values) > most {
		for i := range most / 2 {
			values[i] = values[2*i]
		}
		values = values[:most/2]
	}
	a.past[name] = values
}

// window is the points at the ends of the recent past: those of the last ten seconds, and at least two.
func (a *address) window() (from, to point) {
	to = a.points[len(a.points)-1]
	from = point{} // with one point, since the process began
	for i := len(a.points) - 2; i >= 0; i-- {
		from = a.points[i]
		if to.time.Sub(from.time) >= 10*time.Second {
			break
		}
	}
	return from, to
}

// rates are the pictures a second and the part of the time that waited for data, of recent steps.
func (a *address) rates() (pictures, wait float64) {
	from, to := a.window()
	seconds := to.stepSeconds - from.stepSeconds
	if seconds <= 0 {
		return nan, nan
	}
	return (to.pictures - from.pictures) / seconds, (to.wait - from.wait) / seconds
}

// left is the run's own estimate of the time to its end or, where it gives none, one from the progress that was seen.
func (a *address) left(page families) float64 {
	if seconds := page.value("pretrain_run_remaining_seconds"); !math.IsNaN(seconds) {
		return seconds
	}
	from, to := a.window()
	if from.time.IsZero() || to.ratio <= from.ratio {
		return nan
	}
	return (1 - to.ratio) * to.time.Sub(from.time).Seconds() / (to.ratio - from.ratio)
}

func (a *address) measures(page families) []Measure {
	loss, rate, norm := page.value("pretrain_loss"), page.value("pretrain_learning_rate"), page.value("pretrain_gradient_norm")
	all := []Measure{lossMeasure(loss, rate, norm, a.past["loss"])}
	tasks := tasksOf(page)
	for _, name := range slices.Sorted(maps.Keys(tasks)) {
		all = append(all, taskMeasure(name, tasks[name], a.past["task "+name]))
	}
	pictures, wait := a.rates()
	all = append(all, rateMeasure(pictures, wait, a.past["rate"]))
	probes := probesOf(page)
	for _, name := range slices.Sorted(maps.Keys(probes)) {
		probe := probes[name]
		all = append(all, Measure{
			Name: name + " probe", Value: fmt.Sprintf("%.3f", float64(probe.Accuracy)), Past: a.past["probe "+name],
			Beside: []string{"layer " + probe.Layer},
		})
	}
	return all
}

func tasksOf(page families) map[string]metrics.Task {
	tasks := map[string]metrics.Task{}
	page.each("pretrain_task_loss", func(labels map[string]string, value float64) {
		tasks[labels["task"]] = metrics.Task{Loss: metrics.Number(value), Metrics: map[string]metrics.Number{}}
	})
	page.each("pretrain_task_accuracy_ratio", func(labels map[string]string, value float64) {
		if task, ok := tasks[labels["task"]]; ok {
			accuracy := metrics.Number(value)
			task.Accuracy = &accuracy
			tasks[labels["task"]] = task
		}
	})
	page.each("pretrain_task_metric", func(labels map[string]string, value float64) {
		if task, ok := tasks[labels["task"]]; ok {
			task.Metrics[labels["metric"]] = metrics.Number(value)
		}
	})
	return tasks
}

func probesOf(page families) map[string]metrics.Probe {
	var probes []metrics.Probe
	page.each("pretrain_probe_accuracy_ratio", func(labels map[string]string, value float64) {
		probes = append(probes, metrics.Probe{Probe: labels["probe"], Layer: labels["layer"], Accuracy: metrics.Number(value)})
	})
	return bestOf(probes)
}
