// Package pythontest lets tests hold files against the Python programs that are to read them. It is for tests alone.
package pythontest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// interpreter is Debian's, not one that happens to be first in PATH without Debian's packages.
const interpreter = "/usr/bin/python3"

// Run runs a script and decodes the JSON that it prints into result, unless that is nil. needs are the Debian packages of
// the modules that it imports, python3-MODULE each. Where one is missing the test is skipped, or fails if REQUIRE_TOOLS
// is set, as in .ci/run.
func Run(t testing.TB, needs []string, script string, result any, arguments ...string) {
	t.Helper()
	require(t, needs)
	output, err := exec.Command(interpreter, append([]string{script}, arguments...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("%s: %v: %s", script, err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(output, result); err != nil {
		t.Fatalf("%s: %v in %s", script, err, output)
	}
}

func require(t testing.TB, needs []string) {
	t.Helper()
	var modules []string
	for _, name := range needs {
		modules = append(modules, strings.TrimPrefix(name, "python3-"))
	}
	output, err := exec.Command(interpreter, "-c", "import "+strings.Join(modules, ", ")).CombinedOutput()
	if err == nil {
		return
	}
	message := "needs Debian's " + strings.Join(needs, ", ")
	if os.Getenv("REQUIRE_TOOLS") != "" {
		t.Fatalf("REQUIRE_TOOLS is set, but this test %s: %v %s", message, err, output)
	}
	t.Skipf("SKIPPED: %s: %v %s", message, err, output)
}
