package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Report is everything that was measured: rows, or how cost grows.
type Report struct {
	Rows    []Row    `json:"rows"`
	Scaling *Scaling `json:"scaling,omitempty"`
}

// RowFlag is the flag of `pretrain bench` that measures one Spec, given as JSON, and writes its Row to standard output
// as JSON. It is for Apart and not for people.
const RowFlag = "row"

// A Measurer measures one row.
type Measurer func(ctx context.Context, spec Spec) (Row, error)

// Apart measures every row in a process of its own, so that its peak memory is its own and nothing is warm. program is
// the path of `pretrain`.
func Apart(program string) Measurer {
	return func(ctx context.Context, spec Spec) (Row, error) {
		text, err := json.Marshal(spec)
		if err != nil {
			return Row{}, err
		}
		command := exec.CommandContext(ctx, program, "bench", "--"+RowFlag, string(text))
		command.WaitDelay = 10 * time.Second
		var output, diagnostics bytes.Buffer
		command.Stdout, command.Stderr = &output, &diagnostics
		err = command.Run()
		if ctx.Err() != nil {
			return Row{}, context.Cause(ctx)
		}
		if err != nil {
			return Row{}, fmt.Errorf("%s, %s, %s with a batch of %d: the process that measured it ended with: %w\n%s",
				spec.Model, spec.Mode, spec.Precision, spec.Batch, err, strings.TrimSpace(diagnostics.String()))
		}
		var row Row
		if err := json.Unmarshal(output.Bytes(), &row); err != nil {
			return Row{}, fmt.Errorf("%s: the process that measured it wrote no row: %w", spec.Model, err)
		}
		return row, nil
	}
}

// Rows measures one row after the other and shows each at once.
func Rows(ctx context.Context, specs []Spec, measure Measurer, show func(Row) error) (Report, error) {
	report := Report{Rows: []Row{}}
	for _, spec := range specs {
		row, err := measure(ctx, spec)
		if err != nil {
			return report, err
		}
		report.Rows = append(report.Rows, row)
		if err := show(row); err != nil {
			return report, err
		}
	}
	return report, nil
}
