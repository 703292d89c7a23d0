package bench

import (
	"time"

	"pretrain/internal/kernel"
)

// CalibrationRow is how fast one kernel family multiplies here, and whether the table over CPU models is right about it.
type CalibrationRow struct {
	Kernels   string  `json:"kernels"`
	Float32   float64 `json:"fp32_gflops_per_second"`
	BFloat16  float64 `json:"bf16_gflops_per_second"`
	Preferred bool    `json:"preferred"` // by the table
	Agrees    bool    `json:"agrees"`
}

// Calibrate measures every family that this machine runs, the preferred one first. It chooses nothing: a choice by
// measurement could give a run other bits from one day to the next.
func Calibrate(seconds float64) []CalibrationRow {
	var rows []CalibrationRow
	for _, m := range kernel.Calibrate(time.Duration(seconds * float64(time.Second))) {
		rows = append(rows, CalibrationRow{
			Kernels: string(m.Family), Float32: m.Float32 / 1e9, BFloat16: m.BFloat16 / 1e9, Preferred: m.Preferred, Agrees: m.Agrees,
		})
	}
	return rows
}
