package pythontest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// spy is a test that remembers how it ended.
type spy struct {
	testing.TB
	skipped, failed string
}

func (s *spy) Helper() {}

func (s *spy) Skipf(format string, arguments ...any) {
	s.skipped = fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

func (s *spy) Fatalf(format string, arguments ...any) {
	s.failed = fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

func (s *spy) Fatal(arguments ...any) { s.Fatalf("%s", fmt.Sprint(arguments...)) }

// try runs a script in a test of its own.
func try(t *testing.T, needs []string, script string, result any, arguments ...string) *spy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.py")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	s, ended := &spy{TB: t}, make(chan struct{})
	go func() {
		defer close(ended)
		Run(s, needs, file, result, arguments...)
	}()
	<-ended
	return s
}

// standard is what every Python has, so that these tests need its interpreter alone.
var standard = []string{"python3-json", "python3-sys"}

// TestResultsAndFailures: what a script prints is the result, and a script that fails fails the test with its own words.
func TestResultsAndFailures(t *testing.T) {
	require(t, standard)
	var sum struct{ Sum int }
	if s := try(t, standard, "import json, sys\nprint(json.dumps({'Sum': int(sys.argv[1]) + int(sys.argv[2])}))", &sum, "2", "40"); s.failed+s.skipped != "" || sum.Sum != 42 {
		t.Errorf("%+v, sum %d", s, sum.Sum)
	}
	if s := try(t, standard, "print('no JSON, and nobody wants any')", nil); s.failed+s.skipped != "" {
		t.Errorf("%+v", s)
	}
	for script, want := range map[string]string{
		"print('[1, ')": "[1,", "raise ValueError('the third row is off')": "the third row is off", "import sys\nsys.exit(3)": "exit status 3",
	} {
		if s := try(t, standard, script, &sum); s.skipped != "" || !strings.Contains(s.failed, want) || !strings.Contains(s.failed, "script.py") {
			t.Errorf("%q: %+v", script, s)
		}
	}
}

// TestWhatIsMissingIsSaid: a test whose modules are missing is skipped aloud, or fails where tools are required.
func TestWhatIsMissingIsSaid(t *testing.T) {
	needs := []string{"python3-sys", "python3-abacus_of_nobody"}
	const message = "needs Debian's python3-sys, python3-abacus_of_nobody"
	t.Setenv("REQUIRE_TOOLS", "")
	if s := try(t, needs, "print(1)", nil); s.failed != "" || !strings.HasPrefix(s.skipped, "SKIPPED: "+message) {
		t.Errorf("%+v", s)
	}
	t.Setenv("REQUIRE_TOOLS", "1")
	if s := try(t, needs, "print(1)", nil); s.skipped != "" || !strings.Contains(s.failed, message) || !strings.Contains(s.failed, "REQUIRE_TOOLS") {
		t.Errorf("%+v", s)
	}
}
