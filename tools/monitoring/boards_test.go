package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"
)

// TestGeneratedFiles: what is in the tree is what the generator makes.
func TestGeneratedFiles(t *testing.T) {
	files, err := generate(deployFolder)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (make generate writes it anew): %s", path, diff)
		}
	}
}

// TestPrometheusRule: the object for Kubernetes holds every rule as the plain files have it.
func TestPrometheusRule(t *testing.T) {
	var object struct {
		Kind string
		Spec struct{ Groups []struct{ Rules []rule } }
	}
	readYAML(t, deployFolder+"/kubernetes/prometheusrule.yaml", &object)
	var got []rule
	for _, group := range object.Spec.Groups {
		got = append(got, group.Rules...)
	}
	want := rules(t)
	order := func(a, b rule) int { return strings.Compare(a.Alert+a.Record, b.Alert+b.Record) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" || object.Kind != "PrometheusRule" {
		t.Errorf("kind %q: %s", object.Kind, diff)
	}
}

func TestPrometheusRuleOfBadFiles(t *testing.T) {
	for name, content := range map[string]string{"no YAML": "groups: [", "no list": "groups: 3"} {
		path := t.TempDir() + "/rules.yml"
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := prometheusRule(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
	}
	if _, err := prometheusRule("missing.yml"); !os.IsNotExist(err) {
		t.Errorf("error %v for a missing file", err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte("# why\na: 1 # so\n"), &node); err != nil {
		t.Fatal(err)
	}
	dropComments(&node)
	if text, err := yaml.Marshal(&node); err != nil || string(text) != "a: 1\n" {
		t.Errorf("without comments: %q, %v", text, err)
	}
}

// dashboardQueries are the expressions in the files that Grafana reads, with its variables replaced as it replaces them.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	variables := strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "10s")
	for _, path := range glob(t, "grafana/*.json") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file any
		if err := json.Unmarshal(content, &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, expr := range expressions(file) {
			queries = append(queries, variables.Replace(expr))
		}
	}
	slices.Sort(queries)
	return slices.Compact(queries)
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// expressions collects the queries of panels and of variables, wherever they are in a dashboard.
func expressions(node any) (found []string) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			found = append(found, expressions(child)...)
		}
	case map[string]any:
		for key, child := range node {
			value, isText := child.(string)
			switch {
			case key == "expr" && isText:
				found = append(found, value)
			case key == "query" && isText && labelValues.MatchString(value):
				match := labelValues.FindStringSubmatch(value)
				found = append(found, "count by ("+match[2]+") ("+match[1]+")")
			default:
				found = append(found, expressions(child)...)
			}
		}
	}
	return found
}

// TestQueriesParse: dashboards and rules are PromQL about series that exist.
func TestQueriesParse(t *testing.T) {
	queries := dashboardQueries(t)
	if want := 50; len(queries) < want {
		t.Errorf("only %d queries are found in the dashboards", len(queries))
	}
	known := servedSeries(t)
	for _, r := range rules(t) {
		queries = append(queries, r.Expr)
		if r.Record != "" {
			known = append(known, r.Record)
		}
	}
	for _, query := range queries {
		expr, err := parser.ParseExpr(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		for _, selector := range parser.ExtractSelectors(expr) {
			for _, matcher := range selector {
				if matcher.Name == "__name__" && !slices.Contains(known, matcher.Value) {
					t.Errorf("%s: nothing is called %s", query, matcher.Value)
				}
			}
		}
	}
}

// servedSeries are the names in docs/metrics.md, which is generated of what a run serves, and those that come with them.
func servedSeries(t *testing.T) []string {
	t.Helper()
	documentation, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"up", "ALERTS", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total",
		"process_open_fds", "go_goroutines", "go_memstats_heap_inuse_bytes",
	}
	for _, match := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+)").FindAllStringSubmatch(string(documentation), -1) {
		if match[2] == "histogram" {
			names = append(names, match[1]+"_bucket", match[1]+"_sum", match[1]+"_count")
			continue
		}
		names = append(names, match[1])
	}
	return names
}

// TestEverySeriesIsShown: a dashboard shows everything that a run serves of its own.
func TestEverySeriesIsShown(t *testing.T) {
	all := strings.Join(dashboardQueries(t), "\n")
	for _, name := range servedSeries(t) {
		ours := strings.HasPrefix(name, "pretrain_") && !strings.HasSuffix(name, "_bucket") // a sum and a count tell as much
		if ours && !regexp.MustCompile(`\b`+name+`\b`).MatchString(all) {
			t.Errorf("no dashboard shows %s", name)
		}
	}
}
