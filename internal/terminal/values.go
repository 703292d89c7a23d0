package terminal

import (
	"fmt"
	"math"
	"strings"
)

// Duration writes seconds as 59s, 59m59s, 23h59m or 9d23h, and "unknown" for what is no number, or beyond ten million
// years.
func Duration(seconds float64) string {
	const most = 3e14
	if math.IsNaN(seconds) || math.Abs(seconds) > most {
		return "unknown"
	}
	whole := int(math.Round(seconds))
	switch {
	case whole < 60:
		return fmt.Sprintf("%ds", whole)
	case whole < 3600:
		return fmt.Sprintf("%dm%02ds", whole/60, whole%60)
	case whole < 24*3600:
		return fmt.Sprintf("%dh%02dm", whole/3600, whole/60%60)
	}
	return fmt.Sprintf("%dd%02dh", whole/86400, whole/3600%24)
}

// Age is Duration in its larger unit alone: 59s, 59m, 23h, 9d. What is in the future, by a clock that is ahead of this
// one, is 0s old.
func Age(seconds float64) string {
	text := Duration(max(0, seconds))
	if end := strings.IndexAny(text, "mhd"); end > 0 && text != "unknown" {
		return text[:end+1]
	}
	return text
}

// Loss writes a loss, or another measure of about that size, in at most six columns, however far it has diverged.
func Loss(loss float64) string {
	switch size := math.Abs(loss); {
	case size < 100:
		return fmt.Sprintf("%.2f", loss)
	case size < 10_000:
		return fmt.Sprintf("%.0f", loss)
	}
	return fmt.Sprintf("%.0e", loss) // NaN and infinities too
}

var bars = []rune("▁▂▃▄▅▆▇█")

// Sparkline draws values, the oldest first, in at most width columns from their lowest to their highest. Where there are
// more values than columns a column is the mean of its share; what is no number is left out, and a column without any
// number is empty.
func Sparkline(values []float64, width int) string {
	means := shrink(values, width)
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range means {
		if finite(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	var line strings.Builder
	for _, v := range means {
		switch {
		case !finite(v):
			line.WriteByte(' ')
		case high == low:
			line.WriteRune(bars[0])
		default: // halves before the difference, which may be beyond float64
			line.WriteRune(bars[int(math.Round((v/2-low/2)/(high/2-low/2)*float64(len(bars)-1)))])
		}
	}
	return line.String()
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// shrink makes at most width means of values.
func shrink(values []float64, width int) []float64 {
	if len(values) <= width {
		return values
	}
	means := make([]float64, max(width, 0))
	for i := range means {
		share := values[i*len(values)/width : (i+1)*len(values)/width]
		sum, count := 0.0, 0.0
		for _, v := range share {
			if finite(v) {
				sum += v
				count++
			}
		}
		means[i] = sum / count // NaN for none
	}
	return means
}
