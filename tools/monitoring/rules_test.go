package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const deployFolder = "../../deploy"

// tool finds a program of the Debian package prometheus. Without it the test is left out; with REQUIRE_TOOLS set, as in
// .ci/run, it fails instead.
func tool(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("REQUIRE_TOOLS") != "" {
		t.Fatalf("REQUIRE_TOOLS is set, but this test needs %s, from the Debian package prometheus", program)
	}
	if err != nil {
		t.Skipf("SKIPPED: needs %s, from the Debian package prometheus", program)
	}
	return path
}

// rule is an alert or a recording rule.
type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// rules are those of all files.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	for _, path := range glob(t, "prometheus/rules/*.yml") {
		var file struct{ Groups []struct{ Rules []rule } }
		readYAML(t, path, &file)
		for _, group := range file.Groups {
			all = append(all, group.Rules...)
		}
	}
	return all
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(deployFolder, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s matches %d files, %v", pattern, len(paths), err)
	}
	return paths
}

// alerts are the names of the alerts in order.
func alerts(t *testing.T) (names []string) {
	t.Helper()
	for _, r := range rules(t) {
		if r.Alert != "" {
			names = append(names, r.Alert)
		}
	}
	slices.Sort(names)
	return names
}

// TestPromtool has Prometheus's own program check the configuration and the rules, and run the rules' tests.
func TestPromtool(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, arguments := range [][]string{
		{"check", "config", filepath.Join(deployFolder, "prometheus", "prometheus.yml")},
		append([]string{"check", "rules"}, glob(t, "prometheus/rules/*.yml")...),
		append([]string{"test", "rules"}, glob(t, "prometheus/tests/*.yml")...),
	} {
		t.Run(strings.Join(arguments[:2], " "), func(t *testing.T) {
			t.Parallel()
			if output, err := exec.CommandContext(t.Context(), promtool, arguments...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
			}
		})
	}
}

// TestEveryAlertIsTested: some test has it fire, and some has it not.
func TestEveryAlertIsTested(t *testing.T) {
	var firing, silent []string
	for _, path := range glob(t, "prometheus/tests/*.yml") {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Name     string `yaml:"alertname"`
					Expected []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, path, &file)
		for _, test := range file.Tests {
			for _, alert := range test.Alerts {
				if len(alert.Expected) > 0 {
					firing = append(firing, alert.Name)
				} else {
					silent = append(silent, alert.Name)
				}
			}
		}
	}
	for _, name := range alerts(t) {
		if !slices.Contains(firing, name) {
			t.Errorf("no test has %s fire", name)
		}
		if !slices.Contains(silent, name) {
			t.Errorf("no test has %s not fire", name)
		}
	}
}

// TestRunbook: every alert has a severity, says what is the matter, and leads to its own paragraph; there are no others.
func TestRunbook(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for _, match := range regexp.MustCompile(`(?m)^## (Pretrain\w+)$`).FindAllStringSubmatch(string(runbook), -1) {
		headings = append(headings, match[1])
	}
	slices.Sort(headings)
	if names := alerts(t); !slices.Equal(headings, names) {
		t.Errorf("docs/runbook.md is about %v, the alerts are %v", headings, names)
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if want := "docs/runbook.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if severity := r.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q is neither critical nor warning", r.Alert, severity)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary or a description", r.Alert)
		}
	}
}
