package train

import "math"

// Rate is the learning rate of a step out of total steps, as a share of the base rate: a linear warm-up, then a
// cosine to FinalRatio (Loshchilov & Hutter 2017), steps by Factor at the milestones, or a constant. Warm-up and
// milestones are fractions of the run, so that a longer run keeps its shape.
func (s ScheduleConfig) Rate(step, total int) float64 {
	warmup := s.Warmup * float64(total)
	if position := float64(step) + 1; position < warmup {
		return position / warmup
	}
	switch s.Name {
	case "cosine":
		progress := (float64(step) - warmup) / math.Max(1, float64(total)-warmup)
		return s.FinalRatio + (1-s.FinalRatio)*(1+math.Cos(math.Pi*math.Max(0, progress)))/2
	case "step":
		rate := 1.0
		for _, milestone := range s.Milestones {
			if float64(step)/float64(total) >= milestone { // 0.55·100 is a little more than 55, but 55/100 is 0.55
				rate *= s.Factor
			}
		}
		return rate
	default:
		return 1
	}
}
