package tensorboard

import "math"

// Histogram counts float32 values in buckets that grow with the value, eight to an octave, so that small weights and
// large ones are told apart alike. The zero value is ready to use; one goroutine may use it.
type Histogram struct {
	counts       map[int]int // by bucket
	count        int
	min, max     float64
	sum, squares float64
}

// bucketShift leaves the exponent and three bits of the fraction of a float32.
const bucketShift = 20

// Add counts the values times scale. What is not finite is left out.
func (h *Histogram) Add(values []float32, scale float64) {
	if h.counts == nil {
		h.counts = map[int]int{}
		h.min, h.max = math.Inf(1), math.Inf(-1)
	}
	var dense [2 << (32 - 1 - bucketShift)]int // negative numbers first
	for _, value := range values {
		x := float64(value) * scale
		if math.IsNaN(x) || math.IsInf(float64(float32(x)), 0) {
			continue
		}
		h.count++
		h.min, h.max = min(h.min, x), max(h.max, x)
		h.sum += x
		h.squares += x * x
		dense[bucketOf(float32(x))+len(dense)/2]++
	}
	for i, count := range dense {
		if count > 0 {
			h.counts[i-len(dense)/2] += count
		}
	}
}

// bucketOf numbers the buckets in ascending order: 0 begins at zero, −1 ends there.
func bucketOf(x float32) int {
	size := int(math.Float32bits(x) &^ (1 << 31) >> bucketShift)
	if x < 0 {
		return -1 - size
	}
	return size
}

// upperLimit is where a bucket ends and the next one begins.
func upperLimit(bucket int) float64 {
	if bucket < 0 {
		return 0 - float64(math.Float32frombits(uint32(-1-bucket)<<bucketShift))
	}
	return min(float64(math.Float32frombits(uint32(bucket+1)<<bucketShift)), math.MaxFloat64) // no infinity
}

// buckets lists the buckets from the first that holds a value to the last: where each ends, and how many it holds. Runs
// of empty ones are one bucket. The first ends below all values and is empty, so that the second has a beginning.
func (h *Histogram) buckets() (limits, counts []float64) {
	first, last := bucketOf(float32(h.min)), bucketOf(float32(h.max))
	add := func(bucket, count int) {
		if count == 0 && len(counts) > 0 && counts[len(counts)-1] == 0 {
			limits[len(limits)-1] = upperLimit(bucket)
			return
		}
		limits, counts = append(limits, upperLimit(bucket)), append(counts, float64(count))
	}
	for bucket := first - 1; bucket <= last; bucket++ {
		add(bucket, h.counts[bucket])
	}
	return limits, counts
}
