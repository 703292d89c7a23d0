package main

import "slices"

// median is the middle value; of an even number the upper one.
func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
