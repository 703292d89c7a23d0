package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pretrain/configs"
)

// TestQuotedWordsSurviveTheShell: the command that an interrupted run prints means the same when it is typed.
func TestQuotedWordsSurviveTheShell(t *testing.T) {
	awkward := rapid.SampledFrom([]string{"", " ", "'", "''", `"`, `\`, "$HOME", "`ls`", "a b", "*", "~", "#", "!", "-n", "\n", "é", "a=b", ";"})
	words := rapid.SliceOfN(rapid.OneOf(awkward, rapid.StringOf(rapid.RuneFrom([]rune("ab '\"\\$`!*?\n\té")))), 200, 200).Example(1)
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	printed, err := exec.Command("sh", "-c", `printf '%s\0' `+strings.Join(quoted, " ")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join(words, "\x00")+"\x00", string(printed)); diff != "" {
		t.Error(diff)
	}
}

// TestSetFlag: only the first = divides, and the order of the command line is kept.
func TestSetFlag(t *testing.T) {
	var flag settingsFlag
	for _, text := range []string{"data.path=a=b", "train.epochs =3", "data.path="} {
		if err := flag.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	want := settingsFlag{
		{Flag: "--set", Path: "data.path", Value: "a=b"}, {Flag: "--set", Path: "train.epochs", Value: "3"}, {Flag: "--set", Path: "data.path"},
	}
	if diff := cmp.Diff(want, flag); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "=", "=3", "train.epochs"} {
		if err := flag.Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestParseLayers(t *testing.T) {
	for text, want := range map[string][]int{"all": nil, "1": {1}, "2,4": {2, 4}, " 3 , 1 ": {3, 1}} {
		got, err := parseLayers(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"", ",", "0", "-1", "1,", "1;2", "two", "1.5", "99999999999999999999", "ALL"} {
		if got, err := parseLayers(text); err == nil || !strings.Contains(err.Error(), "such as 2,4") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestWhereAValueComesFrom: what config show says of a key written in every place, and of each place alone.
func TestWhereAValueComesFrom(t *testing.T) {
	file := write(t, "tasks: {rotation: {}}\ntrain: {seed: 11}\n")
	for _, test := range []struct {
		environment []string
		arguments   []string
		want        string
	}{
		{nil, nil, "seed: 11  # " + file + ":2"},
		{[]string{"PRETRAIN_TRAIN_SEED=12"}, nil, "seed: 12  # PRETRAIN_TRAIN_SEED"},
		{[]string{"PRETRAIN_TRAIN_SEED=12"}, []string{"--set", "train.seed=13"}, "seed: 13  # --set"},
		{nil, []string{"--set", "train.seed=13", "--set", "train.seed=14"}, "seed: 14  # --set"},
		{nil, []string{"--set", "data.path=a", "--data", "b"}, "path: b  # --data"},
		{[]string{"PRETRAIN_DATA_PATH=c"}, []string{"--data", ""}, `path: ""  # --data`},
		{[]string{"pretrain_train_seed=12", "PRETRAIN=1", "PRETRAINED_X=1"}, nil, "seed: 11  # " + file + ":2"},
	} {
		code, stdout, stderr := call(test.environment, append([]string{"config", "show", file}, test.arguments...)...)
		if code != exitSuccess || !strings.Contains(stdout, "  "+test.want+"\n") {
			t.Errorf("%q %q: exit code %d, %q is not in\n%s%s", test.environment, test.arguments, code, test.want, stdout, stderr)
		}
	}
	for _, recipe := range configs.Recipes() {
		_, stdout, _ := call(nil, "config", "show", recipe)
		for line := range strings.Lines(stdout) {
			if !strings.HasSuffix(line, ":\n") && !strings.Contains(line, "  # ") {
				t.Errorf("%s: a value without an origin: %s", recipe, line)
			}
		}
	}
}
