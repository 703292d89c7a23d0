package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// result is what either side tells of a row.
type result struct {
	Batch           int     `json:"batch"`
	ImagesPerSecond float64 `json:"images_per_second"`
	PeakRSSBytes    float64 `json:"peak_rss_bytes"`
	ShareOfPeak     float64 `json:"share_of_peak"`
	Disturbed       bool    `json:"disturbed"`
}

// pair is one row of the table, measured on both sides.
type pair struct {
	model, mode, precision string
	ours, peers            []result
}

// pairs lists the rows. Features of pretext are those of its backbone.
func pairs(o options) []*pair {
	var all []*pair
	for _, model := range o.models {
		for _, mode := range o.modes {
			if model == "pretext" && mode == "features" {
				continue
			}
			for _, precision := range o.precisions {
				all = append(all, &pair{model: model, mode: mode, precision: precision})
			}
		}
	}
	return all
}

// errUnavailable marks what one side does not compute.
var errUnavailable = errors.New("not available")

// measure runs both sides alternately; every other repetition begins with the peer.
func (p *pair) measure(ctx context.Context, o options) error {
	for repetition := range o.repetitions {
		sides := []func() error{
			func() error { return p.add(&p.ours, func() (result, error) { return p.measureOurs(ctx, o) }) },
			func() error { return p.add(&p.peers, func() (result, error) { return p.measurePeer(ctx, o) }) },
		}
		if repetition%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(); err != nil {
				return fmt.Errorf("%s, %s, %s: %w", p.model, p.mode, p.precision, err)
			}
		}
	}
	return nil
}

// add appends a result unless the side has none.
func (p *pair) add(to *[]result, measure func() (result, error)) error {
	measured, err := measure()
	if errors.Is(err, errUnavailable) {
		log.Printf("%s, %s, %s: %v", p.model, p.mode, p.precision, err)
		return nil
	}
	if err == nil {
		*to = append(*to, measured)
	}
	return err
}

// exitUsage is the program's exit code for what it cannot be asked for, such as a precision that it does not have.
const exitUsage = 2

func (p *pair) measureOurs(ctx context.Context, o options) (result, error) {
	output, diagnostics, err := run(ctx, os.Environ(), o.pretrain, "bench", "--models", p.model, "--modes", p.mode, "--precisions", p.precision,
		"--seconds", fmt.Sprint(o.seconds), "--threads", fmt.Sprint(o.threads), "--json", "-")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitUsage {
		return result{}, fmt.Errorf("%w: %s", errUnavailable, diagnostics)
	}
	if err != nil {
		return result{}, fmt.Errorf("%w\n%s", err, diagnostics)
	}
	var report struct{ Rows []result }
	if err := json.Unmarshal(output, &report); err != nil || len(report.Rows) != 1 {
		return result{}, fmt.Errorf("pretrain bench wrote %d rows, want 1 (%v)", len(report.Rows), err)
	}
	return report.Rows[0], nil
}

// measurePeer takes the faster of the ways that PyTorch has to make features.
func (p *pair) measurePeer(ctx context.Context, o options) (result, error) {
	ways := [][]string{nil}
	if p.mode == "features" {
		ways = append(ways, []string{"--freeze"})
	}
	var best result
	for _, way := range ways {
		arguments := append([]string{"-W", "ignore", o.peer, p.model, "--mode", p.mode, "--precision", p.precision,
			"--seconds", fmt.Sprint(o.seconds), "--threads", fmt.Sprint(o.threads)}, way...)
		output, diagnostics, err := run(ctx, peerEnvironment(os.Environ(), o.threads), o.python, arguments...)
		if err != nil {
			return best, fmt.Errorf("%w\n%s", err, diagnostics)
		}
		var measured result
		if err := json.Unmarshal(output, &measured); err != nil {
			return best, fmt.Errorf("%s wrote no result: %w", o.peer, err)
		}
		if measured.ImagesPerSecond > best.ImagesPerSecond {
			best = measured
		}
	}
	return best, nil
}

// run runs a command to its end.
func run(ctx context.Context, environment []string, name string, arguments ...string) (output []byte, diagnostics string, err error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Env = environment
	var errors bytes.Buffer
	command.Stderr = &errors
	output, err = command.Output()
	return output, strings.TrimSpace(errors.String()), err
}

// openblas is where Debian has the OpenBLAS that shares its threads with PyTorch's own.
const openblas = "/usr/lib/x86_64-linux-gnu/openblas-openmp"

// peerEnvironment lets the peer keep its memory, find the right OpenBLAS, and detect the processor by itself.
func peerEnvironment(environment []string, threads int) []string {
	var kept []string
	for _, variable := range environment {
		if name, _, _ := strings.Cut(variable, "="); name != "OPENBLAS_CORETYPE" && name != "OPENBLAS_L2_SIZE" {
			kept = append(kept, variable)
		}
	}
	kept = append(kept, "MALLOC_MMAP_THRESHOLD_=4294967296", "MALLOC_TRIM_THRESHOLD_=8589934592", "MALLOC_TOP_PAD_=67108864",
		fmt.Sprintf("OMP_NUM_THREADS=%d", threads))
	if _, err := os.Stat(openblas); err == nil {
		kept = append(kept, "LD_LIBRARY_PATH="+openblas)
	}
	return kept
}

// torchVersion asks Python for its PyTorch.
func torchVersion(ctx context.Context, python string) (string, error) {
	output, _, err := run(ctx, os.Environ(), python, "-W", "ignore", "-c", "import torch; print(torch.__version__)")
	return strings.TrimSpace(string(output)), err
}
