package configs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckResumable(t *testing.T) {
	for set, want := range map[string][]string{
		"":                          nil,
		"train.threads=3":           nil,
		"data.workers=5":            nil,
		"logging.level=debug":       nil,
		"metrics.address=0.0.0.0:0": nil,
		"metrics.push.url=http://a": nil,
		"logging.tensorboard=true":  nil,
		"train.seed=7":              {"train.seed"},
		"train.epochs=99":           {"train.epochs"},
		"tasks.rotation.weight=0":   {"tasks.rotation.weight"},
		"data.mean=0,0,0":           {"data.mean"},
	} {
		source := Source{Name: "quickstart"}
		if path, value, found := strings.Cut(set, "="); found {
			source.Overrides = []Override{{Flag: "--set", Path: path, Value: value}}
		}
		var got []string
		var changed *Error
		if err := CheckResumable(load(t, Source{Name: "quickstart"}), load(t, source)); errors.As(err, &changed) {
			for _, problem := range changed.Problems {
				got = append(got, problem.Path)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", set, diff)
		}
	}
}

func TestChangeableKeysExist(t *testing.T) {
	tree, err := Default().tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range changeable {
		found := false
		for _, key := range tree.Keys() {
			found = found || Changeable(key.Path) && len(key.Path) >= len(prefix) && key.Path[:len(prefix)] == prefix
		}
		if !found {
			t.Errorf("no key is called %s", prefix)
		}
	}
}
