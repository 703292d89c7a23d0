package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pretrain/nn"
)

// program writes a script that stands for `pretrain`.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pretrain")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestApartAsksForTheRow: the child is given the whole spec, and the row that it writes is the one that comes back.
func TestApartAsksForTheRow(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	self := program(t, fmt.Sprintf(`printf '%%s\n' "$@" >%s; echo noise >&2; echo '{"model":"m","batch":4,"disturbed":true}'`, asked))
	row, err := Apart(self)(t.Context(), small(Train))
	if err != nil || row.Model != "m" || row.Batch != 4 || !row.Disturbed {
		t.Errorf("%+v (%v)", row, err)
	}
	content, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.SplitN(strings.TrimSpace(string(content)), "\n", 3)
	var spec Spec
	if words[0] != "bench" || words[1] != "--"+RowFlag || json.Unmarshal([]byte(words[2]), &spec) != nil {
		t.Fatalf("the process was started with %q", words)
	}
	if diff := cmp.Diff(small(Train), spec); diff != "" {
		t.Error(diff)
	}
}

// TestApartPassesOnWhatTheProcessSays: a failure is told with the process's own words.
func TestApartPassesOnWhatTheProcessSays(t *testing.T) {
	for script, want := range map[string]string{
		"echo out of memory >&2; exit 1": "vit_t4_32, train, fp32 with a batch of 4: " +
			"the process that measured it ended with: exit status 1\nout of memory",
		"kill -9 $$":    "signal: killed",
		"echo not JSON": "vit_t4_32: the process that measured it wrote no row: ",
		"true":          "wrote no row: unexpected end of JSON input",
	} {
		if _, err := Apart(program(t, script))(t.Context(), small(Train)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", script, err, want)
		}
	}
}

// TestApartEndsWithItsContext: the process is killed, and the error is why, not how.
func TestApartEndsWithItsContext(t *testing.T) {
	why := errors.New("stopped by SIGINT")
	ctx, cancel := context.WithCancelCause(t.Context())
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for range 1000 {
			if _, err := os.Stat(started); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel(why)
	}()
	if _, err := Apart(program(t, "touch "+started+"; exec sleep 60"))(ctx, small(Train)); !errors.Is(err, why) {
		t.Errorf("the error is %v", err)
	}
}

// TestRowsAreShownOneByOne, and what was measured before an error is kept.
func TestRowsAreShownOneByOne(t *testing.T) {
	specs := []Spec{{Model: "a"}, {Model: "b"}, {Model: "c"}}
	broken := errors.New("broken")
	for _, test := range []struct {
		fails, refused string // the model that cannot be measured, or shown
		want           []string
	}{
		{"", "", []string{"measure a", "show a", "measure b", "show b", "measure c", "show c"}},
		{"b", "", []string{"measure a", "show a", "measure b"}},
		{"", "a", []string{"measure a", "show a"}},
	} {
		var events []string
		measure := func(_ context.Context, spec Spec) (Row, error) {
			events = append(events, "measure "+spec.Model)
			if spec.Model == test.fails {
				return Row{}, broken
			}
			return Row{Model: spec.Model}, nil
		}
		report, err := Rows(t.Context(), specs, measure, func(row Row) error {
			events = append(events, "show "+row.Model)
			if row.Model == test.refused {
				return broken
			}
			return nil
		})
		if diff := cmp.Diff(test.want, events); diff != "" {
			t.Errorf("%+v: %s", test, diff)
		}
		if want := test.fails+test.refused != ""; errors.Is(err, broken) != want {
			t.Errorf("%+v: the error is %v", test, err)
		}
		if test.fails == "b" && len(report.Rows) != 1 {
			t.Errorf("%d rows are kept, want the one that was measured", len(report.Rows))
		}
	}
}

// jsonKeys are the names of a struct's fields in JSON, those that may be missing with a question mark.
func jsonKeys(of any) []string {
	var keys []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		if option != "" {
			name += "?"
		}
		keys = append(keys, name)
	}
	return keys
}

// TestReportedNames: other programs read reports by these names, so a change of one is a change for them.
func TestReportedNames(t *testing.T) {
	for _, test := range []struct {
		of   any
		want string
	}{
		{Row{}, "model variant? mode precision recompute? batch threads images_per_second views_per_image step_seconds steps clean_steps " +
			"other_cores disturbed flops_per_image peak_flops_per_second share_of_peak arena_bytes predicted_bytes peak_rss_bytes " +
			"kernels cpu profile?"},
		{ProfileRow{}, "kind calls seconds share gflops_per_second? gigabytes_per_second"},
		{Report{}, "rows scaling?"},
		{Scaling{}, "axes tasks together sum_of_single_steps_seconds"},
		{Axis{}, "name unit model points time flops memory"},
		{Fit{}, "exponent factor r_squared"},
		{Variant{}, "side? width? depth? heads? tasks?"},
		{CalibrationRow{}, "kernels fp32_gflops_per_second bf16_gflops_per_second preferred agrees"},
	} {
		if diff := cmp.Diff(strings.Fields(test.want), jsonKeys(test.of)); diff != "" {
			t.Errorf("%T: %s", test.of, diff)
		}
	}
}

// TestEmptyReport has an empty list of rows and not null, which readers would have to expect.
func TestEmptyReport(t *testing.T) {
	report, err := Rows(t.Context(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(report); err != nil || string(text) != `{"rows":[]}` {
		t.Errorf("%s (%v)", text, err)
	}
}

// TestMeasuredRowAsJSON: a measured row has every name that is promised, but for what was not asked for.
func TestMeasuredRowAsJSON(t *testing.T) {
	spec := small(Features)
	spec.Profile, spec.Variant = false, Variant{Side: 8}
	row, err := Measure(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(jsonKeys(Row{}), func(key string) bool { return key == "profile?" || key == "recompute?" })
	for i := range want {
		want[i] = strings.TrimSuffix(want[i], "?")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Error(diff)
	}
	larger := got["predicted_bytes"].(float64) > got["arena_bytes"].(float64)
	if got["precision"] != string(nn.Float32) || got["mode"] != "features" || !larger {
		t.Errorf("%s", text)
	}
}
