// Command results makes the tables of docs/results.md: it trains every experiment, evaluates it, and writes one line a
// measurement to a CSV file and the tables to standard output.
//
//	go run ./results -pretrain ../bin/pretrain -data CLOTHING -out ../runs/results [-only resnet18] [-seeds 1,2,3] [-set train.precision=bf16] [-tables]
//
// CLOTHING holds train, val and test. Runs that are finished are not repeated, so it may be stopped and started again.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(log.Ltime)
	var s suite
	var only, seeds, settings string
	flag.StringVar(&s.pretrain, "pretrain", "../bin/pretrain", "the program")
	flag.StringVar(&s.data, "data", "", "folder with train, val and test, each with a folder a class")
	flag.StringVar(&s.out, "out", "../runs/results", "folder of the runs")
	flag.StringVar(&only, "only", "", "experiments whose name matches this regular expression")
	flag.StringVar(&seeds, "seeds", "1,2,3", "seeds of the experiments that are repeated")
	flag.BoolVar(&s.tables, "tables", false, "print the tables of what is measured, train nothing")
	flag.IntVar(&s.grid, "grid", 1, "read the runs as grids of this many cells along a side (see pretrain eval --grid), without redrawn splits")
	flag.StringVar(&settings, "set", "", "settings KEY=VALUE of every run, with commas between them")
	flag.Parse()
	if s.data == "" && !s.tables {
		log.Fatal("-data is empty: name the folder that holds train, val and test")
	}
	s.seeds = strings.Split(seeds, ",")
	if settings != "" {
		s.settings = strings.Split(settings, ",")
	}
	chosen, err := regexp.Compile(only)
	if err != nil {
		log.Fatalf("-only: %v", err)
	}
	if err := s.run(chosen); err != nil {
		log.Fatal(err)
	}
}

// suite is where the experiments are made.
type suite struct {
	pretrain, data, out string
	seeds               []string
	settings            []string // of every run
	tables              bool     // only
	grid                int      // cells along a side; at most 1 = one mean
}

// reading marks the files of a way to read the runs.
func (s suite) reading() string {
	if s.grid <= 1 {
		return ""
	}
	return fmt.Sprintf("-grid%d", s.grid)
}

// run makes what is missing and prints the tables of what there is.
func (s suite) run(chosen *regexp.Regexp) error {
	var rows []row
	matching := slices.DeleteFunc(slices.Clone(experiments), func(e experiment) bool { return !chosen.MatchString(e.name) })
	if len(matching) == 0 {
		return fmt.Errorf("-only %s matches none of %s", chosen, strings.Join(names(experiments), ", "))
	}
	for _, e := range matching {
		for _, seed := range s.seedsOf(e) {
			measured, err := s.measure(e, seed)
			if err != nil {
				return fmt.Errorf("%s, seed %s: %w", e.name, seed, err)
			}
			rows = append(rows, measured...)
		}
	}
	if err := writeCSV(filepath.Join(s.out, "results"+s.reading()+".csv"), rows); err != nil {
		return err
	}
	return printTables(os.Stdout, rows)
}

func names(experiments []experiment) []string {
	var all []string
	for _, e := range experiments {
		all = append(all, e.name)
	}
	return all
}

func (s suite) seedsOf(e experiment) []string {
	if e.once {
		return s.seeds[:1]
	}
	return s.seeds
}

// measure trains and evaluates one experiment, unless that was done before.
func (s suite) measure(e experiment, seed string) ([]row, error) {
	run := filepath.Join(s.out, e.name+"-seed"+seed)
	report := filepath.Join(run, "eval", "eval"+s.reading()+".json")
	if _, err := os.Stat(report); err != nil {
		if s.tables {
			return nil, nil
		}
		if err := s.train(e, seed, run); err != nil {
			return nil, err
		}
		if err := s.evaluate(run, report, e.beside && seed == s.seeds[0]); err != nil {
			return nil, err
		}
	}
	return readRows(e, seed, run, report)
}

// train begins the run, or goes on with one that was stopped.
func (s suite) train(e experiment, seed, run string) error {
	arguments := []string{"train", e.recipe, "--data", s.part("train"), "--out", run, "--set", "train.seed=" + seed}
	for _, setting := range slices.Concat(e.settings, s.settings) {
		arguments = append(arguments, "--set", setting)
	}
	if _, err := os.Stat(filepath.Join(run, "config.resolved.yaml")); err == nil {
		arguments = append(arguments, "--resume")
	}
	return s.command(arguments...)
}

// evaluate measures a run and, if wanted, random weights and pixels beside it.
func (s suite) evaluate(run, report string, beside bool) error {
	reading := []string{"--splits", "10"}
	if s.grid > 1 {
		reading = []string{"--grid", strconv.Itoa(s.grid)}
	}
	arguments := []string{"eval", run, "--train", s.part("train"), "--val", s.part("val"), "--test", s.part("test")}
	arguments = slices.Concat(arguments, reading, []string{"--json", report})
	if !beside {
		arguments = append(arguments, "--features", "pretrained")
	}
	return s.command(arguments...)
}

func (s suite) part(name string) string { return filepath.Join(s.data, name) }

func (s suite) command(arguments ...string) error {
	log.Printf("pretrain %s", strings.Join(arguments, " "))
	command := exec.Command(s.pretrain, arguments...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	return command.Run()
}
