package main

import (
	"fmt"
	"slices"
)

// heading begins the table.
func heading(torch string) string {
	return fmt.Sprintf("| model, batch | mode | precision | pretrain, images/s | share of peak | PyTorch %s, images/s | ratio | memory | PyTorch's | ratio |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", torch)
}

// line is the row of a pair: medians over the repetitions, and a mark if any of these was disturbed.
func (p *pair) line() string {
	ours, peers := medians(p.ours), medians(p.peers)
	mark := ""
	if ours.Disturbed || peers.Disturbed {
		mark = " (disturbed)"
	}
	return fmt.Sprintf("| %s, %d | %s | %s | %s | %s | %s | %s%s | %s | %s | %s |\n",
		p.model, max(ours.Batch, peers.Batch), p.mode, p.precision, number("%.1f", ours.ImagesPerSecond), number("%.0f %%", 100*ours.ShareOfPeak),
		number("%.1f", peers.ImagesPerSecond), ratio(ours.ImagesPerSecond, peers.ImagesPerSecond), mark,
		number("%.0f MB", ours.PeakRSSBytes/1e6), number("%.0f MB", peers.PeakRSSBytes/1e6), ratio(ours.PeakRSSBytes, peers.PeakRSSBytes))
}

// medians are those of each number; zeros without results.
func medians(results []result) result {
	if len(results) == 0 {
		return result{}
	}
	of := func(number func(result) float64) float64 {
		var numbers []float64
		for _, r := range results {
			numbers = append(numbers, number(r))
		}
		slices.Sort(numbers)
		middle := len(numbers) / 2
		if len(numbers)%2 == 0 {
			return (numbers[middle-1] + numbers[middle]) / 2
		}
		return numbers[middle]
	}
	return result{
		Batch: results[0].Batch, ImagesPerSecond: of(func(r result) float64 { return r.ImagesPerSecond }),
		PeakRSSBytes: of(func(r result) float64 { return r.PeakRSSBytes }), ShareOfPeak: of(func(r result) float64 { return r.ShareOfPeak }),
		Disturbed: slices.ContainsFunc(results, func(r result) bool { return r.Disturbed }),
	}
}

// number formats what was measured; a dash stands for what was not.
func number(format string, value float64) string {
	if value == 0 {
		return "–"
	}
	return fmt.Sprintf(format, value)
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}
