package configs

import (
	"fmt"
	"strings"
)

// changeable are the keys, or sections, that a resumed run may be given anew: none of them changes a bit of the result.
var changeable = []string{"data.workers", "data.prefetch", "data.cache_mib", "train.threads", "logging", "metrics"}

// CheckResumable compares the configuration that a run is to be resumed with to the one that is recorded in the run. The
// error is an *Error with every key that differs and may not.
func CheckResumable(recorded, wanted *Resolved) error {
	var problems []Problem
	for _, key := range wanted.tree.Keys() {
		if Changeable(key.Path) {
			continue
		}
		now, err := key.Literal()
		if err != nil {
			return err
		}
		then, err := recorded.tree.Key(key.Path).Literal()
		if err != nil {
			return err
		}
		if now != then {
			problems = append(problems, Problem{
				Origin: key.Origin, Path: key.Path, Value: now, Fault: fmt.Sprintf("the run was begun with %s", then),
				Allowed: "a resumed run may change " + strings.Join(changeable, ", ") + " only",
			})
		}
	}
	if len(problems) > 0 {
		return &Error{Problems: problems}
	}
	return nil
}

// Changeable reports whether a key, such as data.workers, changes no bit of the result of a run.
func Changeable(path string) bool {
	for _, prefix := range changeable {
		if path == prefix || strings.HasPrefix(path, prefix+".") {
			return true
		}
	}
	return false
}
