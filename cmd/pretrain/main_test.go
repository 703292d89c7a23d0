package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"pretrain/backbone"
	"pretrain/configs"
	"pretrain/pretext"
	"pretrain/train"
)

// childVariable makes the test binary behave as a program for the tests of signals.
const childVariable = "TEST_CHILD_WAITS_FOR_SIGNALS"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		waitForever()
	}
	if os.Getenv(rowVariable) != "" {
		os.Exit(execute(program{arguments: os.Args[1:], stdout: os.Stdout, stderr: os.Stderr}))
	}
	goleak.VerifyTestMain(m)
}

// call runs a command line as a user would.
func call(environment []string, arguments ...string) (code int, stdout, stderr string) {
	var out, diagnostics bytes.Buffer
	code = execute(program{arguments: arguments, environment: environment, stdout: &out, stderr: &diagnostics})
	return code, out.String(), diagnostics.String()
}

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Bad usage and bad configurations exit with 2 before any work, and say where, what, what is allowed and what may
// have been meant.
func TestBadUsage(t *testing.T) {
	good := "tasks:\n  rotation: {}\n"
	out := filepath.Join(t.TempDir(), "out")
	for name, test := range map[string]struct {
		file        string
		environment string
		arguments   []string // FILE stands for the file
		want        []string
	}{
		"unknown key": {
			file: good + "train:\n  epoch: 3\n", arguments: []string{"train", "FILE", "--data", ".", "--out", out},
			want: []string{
				"run.yaml:4: ", "train.epoch = 3: unknown key", "did you mean train.epochs?",
				"allowed: in train: epochs, ",
			},
		},
		"wrong type": {
			file: good + "train:\n  epochs: many\n", arguments: []string{"train", "FILE", "--data", ".", "--out", out},
			want: []string{
				"run.yaml:4: ", "train.epochs = many: is a text, not a whole number",
				"allowed: a whole number, at least 1",
			},
		},
		"out of range": {
			file: good + "train:\n  epochs: 0\n", arguments: []string{"train", "FILE", "--data", ".", "--out", out},
			want: []string{"run.yaml:4: ", "train.epochs = 0: is out of range", "allowed: a whole number, at least 1"},
		},
		"unknown choice": {
			file: good + "optimizer: {name: adam}\n", arguments: []string{"config", "check", "FILE"},
			want: []string{
				"run.yaml:3: ", "optimizer.name = adam: is unknown", "did you mean adamw?",
				"allowed: one of adamw, sgd",
			},
		},
		"missing file": {
			arguments: []string{"train", "nowhere/quikstart.yaml", "--data", ".", "--out", out},
			want: []string{
				"nowhere/quikstart.yaml: there is no such file or recipe", "did you mean quickstart?",
				"allowed: a YAML file or a recipe: ",
			},
		},
		"missing pictures": {
			file: good, arguments: []string{"train", "FILE", "--data", "nowhere/pictures", "--out", out},
			want: []string{
				"--data: data.path = nowhere/pictures: no such file or directory", "allowed: a folder of pictures",
			},
		},
		"no pictures": {
			file: good, arguments: []string{"train", "FILE", "--out", out},
			want: []string{"data.path is empty", "--data DIR"},
		},
		"unknown variable": {
			file: good, environment: "PRETRAIN_TRAIN_EPOCH=3", arguments: []string{
				"train", "FILE", "--data", ".", "--out", out,
			},
			want: []string{
				"PRETRAIN_TRAIN_EPOCH = 3: unknown variable", "did you mean PRETRAIN_TRAIN_EPOCHS?",
				"allowed: PRETRAIN_SECTION_KEY",
			},
		},
		"wrong variable": {
			file: good, environment: "PRETRAIN_TRAIN_EPOCHS=x", arguments: []string{"config", "show", "FILE"},
			want: []string{"PRETRAIN_TRAIN_EPOCHS: train.epochs = x: is a text, not a whole number"},
		},
		"unknown --set": {
			file: good, arguments: []string{"config", "check", "FILE", "--set", "train.epoch=3"},
			want: []string{"--set: train.epoch = 3: unknown key; did you mean train.epochs?"},
		},
		"--set without value": {
			file:      good,
			arguments: []string{"config", "check", "FILE", "--set", "train.epochs"},
			want:      []string{"want KEY=VALUE", "config check --help"},
		},
		"several at once": {
			file:        "tasks: {rotaton: {}}\ntrain: {epochs: 0}\n",
			environment: "PRETRAIN_X=1",
			arguments:   []string{"config", "check", "FILE"},
			want:        []string{"3 problems", "did you mean tasks.rotation?", "train.epochs = 0", "PRETRAIN_X = 1"},
		},
		"resume and overwrite": {
			file:      good,
			arguments: []string{"train", "FILE", "--out", out, "--resume", "--overwrite"},
			want:      []string{"--resume", "--overwrite", "one of the two"},
		},
		"no --out": {
			file:      good,
			arguments: []string{"train", "FILE"},
			want:      []string{`"out" not set`, "pretrain train --help"},
		},
		"no argument": {arguments: []string{"train"}, want: []string{"the argument CONFIG is missing"}},
		"two arguments": {
			arguments: []string{"train", "a", "b"},
			want:      []string{`only one argument CONFIG is wanted, got ["b"] too`},
		},
		"unknown flag": {
			arguments: []string{"train", "quickstart", "--output", out},
			want:      []string{"unknown flag: --output"},
		},
		"unknown command": {
			arguments: []string{"tarin"},
			want:      []string{`unknown command "tarin" for "pretrain"`, "did you mean train?"},
		},
		"unknown subcommand": {
			arguments: []string{"config", "chek"},
			want:      []string{`unknown command "chek" for "pretrain config"`, "did you mean check?"},
		},
		"arguments for tasks": {arguments: []string{"tasks", "rotation"}, want: []string{"unknown command"}},
		"eval of no run": {
			arguments: []string{"eval", out, "--train", ".", "--test", "."},
			want:      []string{out + " is not the directory of a run"},
		},
		"extract of no run": {
			arguments: []string{"extract", out, "--data", ".", "--out", "x.npy"},
			want:      []string{out + " is not the directory of a run"},
		},
		"export of no run": {
			arguments: []string{"export", out, "--out", "x"},
			want:      []string{out + " is not the directory of a run"},
		},
		"export format": {
			arguments: []string{"export", out, "--out", "x", "--format", "pickle"},
			want:      []string{`--format is "pickle"`, "safetensors"},
		},
		"eval layers": {
			arguments: []string{"eval", out, "--train", ".", "--test", ".", "--layers", "1,two"},
			want:      []string{`--layers is "1,two"`},
		},
		"bench argument": {arguments: []string{"bench", "vit_t4_32"}, want: []string{"unknown command"}},
		"bench model": {
			arguments: []string{"bench", "--models", "vit_t4_32,resnet5"},
			want:      []string{`--models: model "resnet5"`, "there are vit_t4_32, ", `did you mean "resnet50"?`},
		},
		"bench mode": {
			arguments: []string{"bench", "--modes", "training"},
			want:      []string{`--modes: mode "training"`, `did you mean "train"?`},
		},
		"bench precision": {
			arguments: []string{"bench", "--precisions", "bf61"},
			want:      []string{`--precisions: precision "bf61"`, `did you mean "bf16"?`},
		},
		"bench threads": {
			arguments: []string{"bench", "--threads", "1000000"},
			want:      []string{"--threads is 1000000", "1 to 4096, or 0 for all cores"},
		},
		"bench no seconds": {
			arguments: []string{"bench", "--calibrate", "--seconds", "nan"},
			want:      []string{"--seconds is NaN", "at most 86400"},
		},
		"bench many seconds": {
			arguments: []string{"bench", "--calibrate", "--seconds", "1e300"},
			want:      []string{"--seconds is 1e+300"},
		},
		"bench calibrate": {
			arguments: []string{"bench", "--calibrate", "--batch", "3", "--profile"},
			want:      []string{"--calibrate measures kernels", "leave out --batch and --profile"},
		},
		"bench row's mode": {arguments: []string{"bench", "--row", "[]"}, want: []string{"for the program itself"}},
		"scaling's profile": {
			arguments: []string{"bench", "--scaling", "--profile"},
			want:      []string{"leave out --profile"},
		},
		"scaling's recompute": {
			arguments: []string{"bench", "--scaling", "--recompute"},
			want:      []string{"leave out --recompute"},
		},
		"scaling's precisions": {
			arguments: []string{"bench", "--scaling", "--precisions", "fp32,bf16"},
			want:      []string{"--precisions is fp32,bf16: growth is measured in one"},
		},
		"misspelt section": {
			file:      good,
			arguments: []string{"config", "check", "FILE", "--set", "tran.epochs=3"},
			want:      []string{"did you mean train.epochs?"},
		},
		"--set without key": {
			file:      good,
			arguments: []string{"config", "check", "FILE", "--set", "=3"},
			want:      []string{"want KEY=VALUE"},
		},
		"bad word of a flag": {
			arguments: []string{"bench", "--batch", "many"},
			want:      []string{`invalid argument "many" for "--batch"`, "bench --help"},
		},
		"bench seconds": {arguments: []string{"bench", "--seconds", "0"}, want: []string{"--seconds is 0"}},
		"bench memory": {
			arguments: []string{"bench", "--models", "vit_t4_32", "--batch", "100000000"},
			want:      []string{"--batch (vit_t4_32, train, fp32) is 100000000", "bytes", "are free", "lower it to at most"},
		},
		"bench row": {
			arguments: []string{"bench", "--row", "{"},
			want:      []string{"--row", "for the program itself"},
		},
		"bench scaling": {
			arguments: []string{"bench", "--scaling", "--models", "resnet50"},
			want:      []string{"--scaling has models"},
		},
		"extract layer": {
			arguments: []string{"extract", out, "--data", ".", "--out", "x.npy", "--layer"},
			want:      []string{"--layer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, test.file)
			for i, argument := range test.arguments {
				if argument == "FILE" {
					test.arguments[i] = file
				}
			}
			code, stdout, stderr := call([]string{test.environment}, test.arguments...)
			if code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if stdout != "" {
				t.Errorf("standard output of a refused command: %q", stdout)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not in\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "goroutine") || strings.Contains(stderr, ".go:") {
				t.Errorf("a stack trace:\n%s", stderr)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("the refused command has made the run's directory")
			}
		})
	}
}

func TestConfigCheckOfRecipes(t *testing.T) {
	for _, recipe := range configs.Recipes() {
		code, stdout, stderr := call(nil, "config", "check", recipe)
		if code != exitSuccess || !strings.HasPrefix(stdout, recipe+": no problems; ") || stderr != "" {
			t.Errorf("%s: exit code %d\n%s%s", recipe, code, stdout, stderr)
		}
	}
}

func TestConfigShowLoadsBackAndNamesOrigins(t *testing.T) {
	environment := []string{"PRETRAIN_TRAIN_SEED=9", "PRETRAIN_KERNELS=portable"}
	code, first, stderr := call(environment, "config", "show", "quickstart", "--set", "train.epochs=7", "--data", "pictures")
	if code != exitSuccess {
		t.Fatal(stderr)
	}
	for _, want := range []string{
		"  path: pictures  # --data\n", "  epochs: 7  # --set\n", "  seed: 9  # PRETRAIN_TRAIN_SEED\n",
		"# recipe quickstart:", "# default\n",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not in\n%s", want, first)
		}
	}
	_, second, stderr := call(nil, "config", "show", write(t, first))
	if values(t, first) != values(t, second) {
		t.Errorf("the shown configuration loads as another one:\n%s%s", second, stderr)
	}
}

// values is a YAML text without its comments.
func values(t *testing.T, text string) string {
	t.Helper()
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(document)
}

func TestConfigShowWithoutArgumentShowsDefaults(t *testing.T) {
	code, stdout, stderr := call(nil, "config", "show")
	if code != exitSuccess || strings.Contains(stdout, "recipe") || strings.Count(stdout, "# default\n") < 50 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestListingsNameEverythingRegistered(t *testing.T) {
	_, tasks, _ := call(nil, "tasks")
	for _, task := range pretext.Definitions() {
		for _, want := range []string{task.Name + ": ", task.Citation, "KEY (in tasks." + task.Name + ")"} {
			if !strings.Contains(tasks, want) {
				t.Errorf("%q is not in\n%s", want, tasks)
			}
		}
	}
	_, backbones, _ := call(nil, "backbones")
	for _, family := range backbone.Families() {
		for _, want := range []string{
			family.Name + ": ", family.Architectures[0].Citation, "KEY (in backbone." + family.Name + ")",
			family.Architectures[0].Name + ": ",
		} {
			if !strings.Contains(backbones, want) {
				t.Errorf("%q is not in\n%s", want, backbones)
			}
		}
	}
}

// TestEmptyArgumentsAreRefused: a variable that is not set in the user's shell must not stand for the defaults, the
// folder at hand or something else that nobody asked for.
func TestEmptyArgumentsAreRefused(t *testing.T) {
	for _, arguments := range [][]string{
		{
			"train",
			"",
			"--out",
			"x"}, {"config",
			"check",
			""}, {"config",
			"show",
			""}, {"sample",
			""}, {"export",
			"",
			"--out",
			"x",
		},
		{"eval", "", "--train", ".", "--test", "."}, {"extract", "", "--data", ".", "--out", "x.npy"}, {"config", ""},
	} {
		code, stdout, stderr := call(nil, arguments...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, "is empty") && !strings.Contains(stderr, `command ""`) {
			t.Errorf("%q: exit code %d\n%s%s", arguments, code, stdout, stderr)
		}
	}
}

func TestPlainCommands(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{nil, "Available Commands"},
		{[]string{"config"}, "schema"},
		{[]string{"version"}, "pretrain "},
		{[]string{"config", "schema"}, "https://json-schema.org/draft/2020-12/schema"},
	} {
		code, stdout, stderr := call(nil, test.arguments...)
		if code != exitSuccess || !strings.Contains(stdout, test.want) {
			t.Errorf("%q: exit code %d\n%s%s", test.arguments, code, stdout, stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	interrupted, cancel := context.WithCancelCause(context.Background())
	cancel(&signalError{15})
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"failure", context.Background(), workError{errors.New("disk full")}, 1},
		{"cobra", context.Background(), errors.New("unknown flag"), 2},
		{"usage", context.Background(), workError{fmt.Errorf("wrapped: %w", train.Usage(errors.New("no such run")))}, 2},
		{"configuration", context.Background(), workError{&configs.Error{}}, 2},
		{"SIGINT", context.Background(), workError{&train.Interrupted{Cause: &signalError{2}}}, 130},
		{"SIGTERM", context.Background(), workError{fmt.Errorf("wrapped: %w", &signalError{15})}, 143},
		{"cancelled by a signal", interrupted, workError{fmt.Errorf("read: %w", context.Canceled)}, 143},
		{"failure after a signal", interrupted, workError{errors.New("disk full")}, 1},
		{"cancelled otherwise", context.Background(), workError{context.Canceled}, 1},
	} {
		if got := exitCode(test.ctx, test.err); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

func TestResumeCommand(t *testing.T) {
	for _, test := range []struct {
		program program
		want    string
	}{
		{
			program{name: "pretrain", arguments: []string{"train", "quickstart", "--out", "runs/a"}},
			"pretrain train quickstart --out runs/a --resume",
		},
		{
			program{name: "bin/pretrain", arguments: []string{"train", "my file.yaml", "--overwrite", "--out", "it's"}},
			`bin/pretrain train 'my file.yaml' --out 'it'\''s' --resume`,
		},
		{program{name: "pretrain", arguments: []string{"train", "", "--resume"}}, "pretrain train '' --resume"},
		{
			program{
				name: "pretrain", arguments: []string{"train", "q"},
				environment: []string{"HOME=/", "PRETRAIN_DATA_PATH=my pictures", "PRETRAIN_KERNELS=avx2"},
			},
			"PRETRAIN_DATA_PATH='my pictures' PRETRAIN_KERNELS=avx2 pretrain train q --resume"},
	} {
		if got := test.program.resumeCommand(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
