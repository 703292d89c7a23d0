package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pretrain/checkpoints"
	"pretrain/internal/random"
	"pretrain/train"
)

// killed is a run of some thirty seconds, with batch normalisation, all tasks, weights that remember losses, and many
// checkpoints.
const killed = `
data: {size: 32, cache_side: 40, max_pictures: 64}
backbone:
  name: resnet18
  resnet: {stem: standard, width: 16}
tasks:
  rotation: {weight: 1}
  relative_position: {weight: 1}
  patch_location: {weight: 1}
  colorization: {weight: 1}
losses: {weighter: dwa}
train: {epochs: 40, batch_size: 8, calibration_pictures: 64}
checkpoints: {every_steps: 3, keep: 2}
logging: {every_steps: 2, level: debug}
metrics: {address: "127.0.0.1:0"}
`

// program is the built binary and the configuration of a run.
type program struct{ path, config string }

func buildProgram(t *testing.T) program {
	t.Helper()
	if os.Getenv("SLOW_TESTS") == "" {
		t.Skip("takes minutes: set SLOW_TESTS=1 to run it")
	}
	p := program{filepath.Join(t.TempDir(), "pretrain"), filepath.Join(t.TempDir(), "killed.yaml")}
	if output, err := exec.Command("go", "build", "-o", p.path, "pretrain/cmd/pretrain").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	write(t, p.config, []byte(killed))
	return p
}

// train is the command that trains into a directory with a number of workers and threads.
func (p program) train(directory string, workers, threads int, flags ...string) *exec.Cmd {
	command := exec.Command(p.path, append([]string{"train", p.config, "--data", filepath.Join(samples, "train"), "--out", directory,
		"--set", fmt.Sprintf("data.workers=%d", workers), "--set", fmt.Sprintf("train.threads=%d", threads)}, flags...)...)
	command.Env = append(os.Environ(), "PRETRAIN_KERNELS=")
	return command
}

// TestTenKills kills a run with SIGKILL at ten random moments and resumes it each time with other numbers of workers and
// threads. Every file named *.ckpt is whole after each kill, and the exported weights are those of a run that was left
// alone, byte for byte.
func TestTenKills(t *testing.T) {
	p := buildProgram(t)
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	started := time.Now()
	if output, err := p.train(whole, 1, 2).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	took := time.Since(started)
	r := random.New(1, "kills")
	var flags []string
	for kill := range 10 {
		command := p.train(parts, 1+kill%4, 1+kill%3, flags...)
		var output bytes.Buffer
		command.Stderr = &output
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Float64() * float64(took) / 6))
		_ = command.Process.Kill() // fails if it has ended, which Wait tells
		if err := command.Wait(); err != nil && command.ProcessState.Exited() {
			t.Fatalf("before kill %d the run ended by itself: %v\n%s", kill, err, output.String())
		}
		t.Logf("kill %d: %s", kill, wholeCheckpoints(t, parts))
		if flags = nil; train.Directory(parts).HoldsRun() {
			flags = []string{"--resume"}
		}
	}
	if output, err := p.train(parts, 2, 2, flags...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if !bytes.Equal(weights(t, parts), weights(t, whole)) {
		t.Error("the exported weights differ from those of the run that was left alone")
	}
	sameCheckpoint(t, whole, parts)
}

// wholeCheckpoints loads every *.ckpt of a run and tells the newest.
func wholeCheckpoints(t *testing.T, run string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(run, "checkpoints", "*.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	newest := int64(-1)
	for _, path := range found {
		state, err := checkpoints.Load(path)
		if err != nil {
			t.Errorf("a kill left a damaged checkpoint: %v", err)
		}
		newest = max(newest, state.Step)
	}
	return fmt.Sprintf("%d checkpoints, the newest of step %d", len(found), newest)
}

// TestSignals: a run that is told to stop saves a checkpoint, prints the command that goes on, and exits with 128 and
// the number of the signal.
func TestSignals(t *testing.T) {
	p := buildProgram(t)
	for signal, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		t.Run(signal.String(), func(t *testing.T) {
			run := filepath.Join(t.TempDir(), "run")
			command := p.train(run, 2, 2)
			stderr, err := command.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			text := ""
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				text += lines.Text() + "\n"
				if strings.Count(text, "checkpoint") == 2 && strings.Contains(lines.Text(), "checkpoint") {
					if err := command.Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
				}
			}
			var exit *exec.ExitError
			if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != code {
				t.Errorf("ended with %v, want exit code %d\n%s", err, code, text)
			}
			if !strings.Contains(text, " train "+p.config) || !strings.Contains(text, "--resume\n") {
				t.Errorf("the command to go on is not printed:\n%s", text)
			}
			record, err := train.Directory(run).ReadRecord()
			if err != nil || record.State != "interrupted" {
				t.Errorf("run.json says %+v, %v", record, err)
			}
			found, err := checkpoints.Latest(train.Directory(run).Checkpoints())
			if err != nil || found.State.Step != int64(record.Step) {
				t.Errorf("stopped at step %d, saved: step %d, %v", record.Step, found.State.Step, err)
			}
		})
	}
}
