// Command overhead measures what it costs a training to be looked at:
//
//	go run ./overhead -pretrain ../bin/pretrain -data DIR [-config quickstart] [-pairs 8] [-steps 200] [-scrape 1s] [-set KEY=VALUE]...
//
// It trains in pairs, in turns first unseen (no metrics are served) and first seen: the live page is open, which means
// that its events are read as they come and its pictures as they change, and /metrics is scraped. A browser would draw
// besides, on the machine of whoever looks, so none is started here. Speeds are those of metrics.jsonl from its first
// line on, in pictures a second of wall-clock time, pictures for the page included. It prints the ratio of every pair, and
// their median with an interval that holds the true median in about 95 of 100 cases. Nothing else should run meanwhile.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"pretrain/metrics"
)

// options are the flags.
type options struct {
	pretrain, config, data string
	pairs, steps           int
	scrape                 time.Duration
	set                    settings
}

// settings are further --set of the trainings.
type settings []string

func (s *settings) String() string { return strings.Join(*s, " ") }

// Set adds one.
func (s *settings) Set(value string) error {
	*s = append(*s, value)
	return nil
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.pretrain, "pretrain", "../bin/pretrain", "the program")
	flag.StringVar(&o.config, "config", "quickstart", "recipe or file")
	flag.StringVar(&o.data, "data", "", "folder of pictures")
	flag.IntVar(&o.pairs, "pairs", 8, "pairs of trainings")
	flag.IntVar(&o.steps, "steps", 200, "steps of a training")
	flag.DurationVar(&o.scrape, "scrape", time.Second, "time between two scrapes")
	flag.Var(&o.set, "set", "KEY=VALUE of the trainings, may be repeated")
	flag.Parse()
	if o.data == "" || o.pairs < 1 || o.steps < 20 {
		log.Fatal("-data must be given, -pairs be at least 1 and -steps at least 20")
	}
	ratios, err := o.measure(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	low, middle, high := medianInterval(ratios)
	fmt.Printf("seen over unseen, median of %d pairs: %.4f (%.4f to %.4f)\n", len(ratios), middle, low, high)
}

// measure returns the speed seen over the speed unseen of every pair.
func (o options) measure(ctx context.Context) (ratios []float64, err error) {
	folder, err := os.MkdirTemp("", "overhead")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	for pair := range o.pairs {
		speeds := map[bool]float64{}
		for _, seen := range []bool{pair%2 == 1, pair%2 == 0} {
			if speeds[seen], err = o.train(ctx, filepath.Join(folder, "run"), seen); err != nil {
				return nil, err
			}
		}
		ratios = append(ratios, speeds[true]/speeds[false])
		fmt.Printf("pair %d: unseen %.1f, seen %.1f pictures a second: %.4f\n", pair+1, speeds[false], speeds[true], ratios[pair])
	}
	return ratios, nil
}

// train trains once and returns the pictures a second.
func (o options) train(ctx context.Context, directory string, seen bool) (float64, error) {
	arguments := []string{
		"train", o.config, "--data", o.data, "--out", directory, "--overwrite", "--set", fmt.Sprintf("train.max_steps=%d", o.steps),
		"--set", "logging.every_steps=5", "--set", "logging.progress=off", "--set", fmt.Sprintf("metrics.enabled=%t", seen), "--set", "metrics.address=127.0.0.1:0",
	}
	for _, setting := range o.set {
		arguments = append(arguments, "--set", setting)
	}
	command := exec.CommandContext(ctx, o.pretrain, arguments...)
	output, err := command.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := command.Start(); err != nil {
		return 0, err
	}
	said := o.look(ctx, output)
	if err := command.Wait(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, said)
	}
	return speed(filepath.Join(directory, "metrics.jsonl"))
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

// look reads what a training says until it ends, and looks at its page if it has one.
func (o options) look(ctx context.Context, output io.Reader) string {
	ctx, stop := context.WithCancel(ctx)
	var all strings.Builder
	var watchers sync.WaitGroup
	for lines := bufio.NewScanner(output); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if page := address.FindString(lines.Text()); page != "" {
			watchers.Go(func() { watch(ctx, page) })
			watchers.Go(func() { scrape(ctx, page+"metrics", o.scrape) })
		}
	}
	stop()
	watchers.Wait()
	return all.String()
}

// watch reads the events of a page as a browser does.
func watch(ctx context.Context, page string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page+"live/events", nil)
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Printf("the page is not seen: %v", err)
		return
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("event: pictures")) {
			fetch(ctx, page+"live/pictures.json")
		}
	}
}

// scrape reads the metrics again and again.
func scrape(ctx context.Context, address string, every time.Duration) {
	for ticker := time.NewTicker(every); ; {
		select {
		case <-ticker.C:
			fetch(ctx, address)
		case <-ctx.Done():
			ticker.Stop()
			return
		}
	}
}

func fetch(ctx context.Context, address string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return // the training has ended
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

// speed is the pictures a second between the first and the last line of a file of metrics.
func speed(path string) (float64, error) {
	records, err := metrics.ReadLog(path)
	if err != nil {
		return 0, err
	}
	if len(records) < 3 {
		return 0, fmt.Errorf("%s has %d lines: take more -steps", path, len(records))
	}
	first, last := records[0], records[len(records)-1]
	return float64(last.Pictures-first.Pictures) / last.Time.Sub(first.Time).Seconds(), nil
}

// medianInterval is the median with the interval between those order statistics that hold it in 95 of 100 cases, by the
// normal approximation of the binomial distribution; of few pairs it is their whole range.
func medianInterval(values []float64) (low, middle, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	middle = (sorted[(n-1)/2] + sorted[n/2]) / 2
	reach := int(0.98 * math.Sqrt(float64(n)))
	return sorted[max(0, n/2-1-reach)], middle, sorted[min(n-1, (n+1)/2+reach)]
}
