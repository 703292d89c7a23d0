package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"pretrain/metrics"
)

// training is a process that trains, and what it said so far.
type training struct {
	directory string
	page      string // address, with a slash at its end
	command   *exec.Cmd
	said      *strings.Builder
	read      chan struct{} // closed when it says nothing more
}

// start begins a training that ends with the context at the latest, and waits for its page.
func (o options) start(ctx context.Context, folder string) (*training, error) {
	t := &training{directory: filepath.Join(folder, "run"), said: &strings.Builder{}, read: make(chan struct{})}
	t.command = exec.CommandContext(ctx, o.pretrain, o.arguments(t.directory)...)
	t.command.Cancel = func() error { return t.command.Process.Signal(os.Interrupt) }
	output, err := t.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.command.Start(); err != nil {
		return nil, err
	}
	found := make(chan string, 1)
	go t.listen(output, found)
	select {
	case t.page = <-found:
		return t, nil
	case <-t.read:
		return nil, fmt.Errorf("the training ended before it had a page: %w\n%s", reason(t.command.Wait()), t.said)
	}
}

// arguments are those of a training that lasts for longer than anybody measures. Closer looks cost the same, seen or
// unseen, and would only be noise.
func (o options) arguments(directory string) []string {
	arguments := []string{"train", o.config, "--data", o.data, "--out", directory}
	settings := []string{
		"train.epochs=100000", "logging.progress=off", "logging.level=debug",
		"metrics.enabled=true", "metrics.address=127.0.0.1:0", "metrics.inspect_every_steps=0",
	}
	if o.attribute {
		settings = append(settings, "metrics.pprof=true")
	} else {
		settings = append(settings, "logging.every_steps=2")
	}
	for _, setting := range append(settings, o.set...) {
		arguments = append(arguments, "--set", setting)
	}
	return arguments
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

// listen keeps what the training says and finds the address of its page.
func (t *training) listen(output io.Reader, found chan<- string) {
	defer close(t.read)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		t.said.WriteString(lines.Text() + "\n")
		if page := address.FindString(lines.Text()); page != "" {
			select {
			case found <- page:
			default:
			}
		}
	}
}

// stop interrupts the training, which ends by itself only in an error.
func (t *training) stop() error {
	_ = t.command.Process.Signal(os.Interrupt) // it may be stopping already
	<-t.read
	err := t.command.Wait()
	const interrupted = 130
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == interrupted || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("the training ended by itself: %w\n%s", reason(err), t.said)
}

// reason is what a process ended with, in words even if it was content.
func reason(err error) error {
	if err == nil {
		return errors.New("it had nothing more to do")
	}
	return err
}

func (t *training) log() string { return filepath.Join(t.directory, "train.log") }

// poll is the time between two looks for a new line.
const poll = 20 * time.Millisecond

// lines returns a function that waits for the next lines of metrics.jsonl and tells of each what was used so far. When
// the training or the context ends, it says io.EOF.
func (t *training) lines() func(context.Context) ([]mark, error) {
	follower := metrics.Follow(filepath.Join(t.directory, "metrics.jsonl"))
	return func(ctx context.Context) ([]mark, error) {
		for {
			records, _, _, err := follower.Poll()
			if err != nil {
				return nil, err
			}
			if len(records) > 0 {
				return marks(records, t.command.Process.Pid)
			}
			select {
			case <-ctx.Done():
				return nil, io.EOF
			case <-t.read:
				return nil, io.EOF
			case <-time.After(poll):
			}
		}
	}
}

// marks says what was used when the records were found; several at once share it.
func marks(records []metrics.Record, process int) (marks []mark, err error) {
	used, err := processorSeconds(process)
	if err != nil {
		return nil, err
	}
	own, err := ownSeconds()
	for _, r := range records {
		marks = append(marks, mark{step: r.Step, epoch: r.Epoch, pictures: r.Pictures, time: r.Time, processor: used, watcher: own})
	}
	return marks, err
}

// processorSeconds is what a process has used, in steps of 10 ms.
func processorSeconds(process int) (float64, error) {
	p, err := procfs.NewProc(process)
	if err != nil {
		return 0, err
	}
	stat, err := p.Stat()
	return stat.CPUTime(), err
}

// ownSeconds is what this process has used.
func ownSeconds() (float64, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds(), nil
}

// drawings is what the pictures of the page took, in seconds.
type drawings struct {
	count               int
	first, later, total float64 // total is the time from the first line of the log to its last
}

// readDrawings reads the log of a training. Compiling the graph is in the first drawing.
func readDrawings(path string) (d drawings, err error) {
	file, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer file.Close()
	var begun time.Time
	for lines := json.NewDecoder(file); ; {
		var line struct {
			Time    time.Time `json:"time"`
			Message string    `json:"message"`
			Took    float64   `json:"took"` // seconds
		}
		if err := lines.Decode(&line); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // it may be being written
			return d, nil
		} else if err != nil {
			return d, fmt.Errorf("%s: %w", path, err)
		}
		if begun.IsZero() {
			begun = line.Time
		}
		if d.total = line.Time.Sub(begun).Seconds(); line.Message == "pictures" {
			d.add(line.Took)
		}
	}
}

// awaitDrawing waits until the pictures of the page have been drawn once.
func (t *training) awaitDrawing(ctx context.Context) error {
	for {
		d, err := readDrawings(t.log())
		if err == nil && d.count > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) { // the page is there before the log
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no pictures were drawn for the page until then, at the end of an epoch: %w", ctx.Err())
		case <-t.read:
			return errors.New("the training ended before it drew pictures for the page")
		case <-time.After(time.Second):
		}
	}
}

func (d *drawings) add(seconds float64) {
	if d.count++; d.count == 1 {
		d.first = seconds
	} else {
		d.later += seconds
	}
}
