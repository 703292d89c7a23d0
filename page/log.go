package page

import (
	"encoding/json"
	"fmt"
)

// LogLine writes a line of train.log, which is JSON, as the console shows it. Any other line stays as it is.
func LogLine(line string) string {
	fields := map[string]any{}
	if json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	text := func(name string) string {
		value, _ := fields[name].(string)
		delete(fields, name)
		return value
	}
	at, level, message := text("time"), text("level"), text("message")
	if len(at) >= len("2006-01-02T15:04:05") {
		at = at[len("2006-01-02T"):len("2006-01-02T15:04:05")]
	}
	shown := fmt.Sprintf("%s  %s  %s", at, level, message)
	if rest, err := json.Marshal(fields); err == nil && len(fields) > 0 {
		shown += "  " + string(rest)
	}
	return shown
}
