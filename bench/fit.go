package bench

import (
	"math"

	"gonum.org/v1/gonum/stat"
)

// Fit is the power law y = Factor·xᴱˣᵖᵒⁿᵉⁿᵗ, fitted by least squares to the logarithms.
type Fit struct {
	Exponent float64 `json:"exponent"`
	Factor   float64 `json:"factor"`
	R2       float64 `json:"r_squared"` // share of the variance of log y that the law explains
}

// fitPower fits a power law to positive numbers, of which two at least must differ.
func fitPower(x, y []float64) Fit {
	logX, logY := logarithms(x), logarithms(y)
	intercept, slope := stat.LinearRegression(logX, logY, nil, false)
	return Fit{Exponent: slope, Factor: math.Exp(intercept), R2: stat.RSquared(logX, logY, nil, intercept, slope)}
}

func logarithms(x []float64) []float64 {
	logs := make([]float64, len(x))
	for i, v := range x {
		logs[i] = math.Log(v)
	}
	return logs
}
