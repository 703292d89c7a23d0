package metrics

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Scalar is one number of a record, under the name that other programs show it by: a path such as loss/rotation,
// tasks/rotation/accuracy or probes/knn/4/accuracy.
type Scalar struct {
	Name  string
	Value float64 // finite
}

// groups is where the numbers at the top of a record go; others go to "run".
var groups = map[string]string{
	"loss": "loss/weighted", "learning_rate": "optimizer/learning_rate", "gradient_norm": "optimizer/gradient_norm",
	"pictures_per_second": "speed/pictures_per_second", "data_wait_ratio": "speed/data_wait_ratio",
	"operations_per_second": "speed/operations_per_second", "peak_share": "speed/peak_share",
}

// Scalars lists every finite number of the record but its step and time, sorted by name. It goes by the names of
// metrics.jsonl, so that what is added to a record is listed too; in a list, the texts of an element are part of its name,
// else its number.
func (r Record) Scalars() ([]Scalar, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("metrics record: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("metrics record: %w", err)
	}
	delete(fields, "step")
	var scalars []Scalar
	collect(fields, nil, func(path []string, value float64) {
		scalars = append(scalars, Scalar{scalarName(path), value})
	})
	slices.SortFunc(scalars, func(a, b Scalar) int { return strings.Compare(a.Name, b.Name) })
	return scalars, nil
}

// collect visits the numbers below a value of JSON. Null, a number that was not finite, is passed over.
func collect(value any, path []string, visit func(path []string, value float64)) {
	path = slices.Clip(path)
	switch value := value.(type) {
	case float64:
		if !math.IsInf(value, 0) {
			visit(path, value)
		}
	case map[string]any:
		for name, field := range value {
			collect(field, append(path, name), visit)
		}
	case []any:
		for i, element := range value {
			collect(element, append(path, elementName(element, i)...), visit)
		}
	}
}

// elementName is what tells an element of a list from the others.
func elementName(element any, number int) (names []string) {
	fields, _ := element.(map[string]any)
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(fields))) { // probe before layer
		if text, ok := fields[key].(string); ok {
			names = append(names, text)
		}
	}
	if names == nil {
		return []string{fmt.Sprint(number)}
	}
	return names
}

// scalarName groups what people compare: the losses with each other, the rest by its path.
func scalarName(path []string) string {
	name := strings.Join(path, "/")
	if len(path) == 1 {
		if grouped := groups[name]; grouped != "" {
			return grouped
		}
		return "run/" + name
	}
	if len(path) == 3 && path[0] == "tasks" && path[2] == "loss" {
		return "loss/" + path[1]
	}
	return name
}
