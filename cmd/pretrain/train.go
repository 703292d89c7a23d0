package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pretrain/configs"
	"pretrain/run"
	"pretrain/train"
)

func (p program) trainCommand() *cobra.Command {
	var from sourceFlags
	var out string
	var resume, overwrite bool
	command := &cobra.Command{
		Use:   "train CONFIG --data DIR --out RUN",
		Short: "Train a backbone on unlabelled pictures",
		Long: `Train a backbone on the pretext tasks of CONFIG, a YAML file or the name of an embedded recipe, and leave everything
in the directory RUN: the resolved configuration, logs, metrics, checkpoints and the exported backbone.

SIGINT or SIGTERM ends the step under way, saves a checkpoint and exits with 130 or 143; --resume then goes on to the
same weights, bit for bit, as if nothing had happened. A second signal ends the program at once.

Recipes: ` + strings.Join(configs.Recipes(), ", ") + ".",
		Example: `  pretrain train quickstart --data pictures --out runs/first
  pretrain train my.yaml --data pictures.txt --out runs/second --set train.epochs=30 --set tasks.rotation.weight=0.5
  pretrain train my.yaml --data pictures.txt --out runs/second --overwrite
  PRETRAIN_TRAIN_THREADS=4 pretrain train my.yaml --data pictures.txt --out runs/second --resume`,
		Args: one("CONFIG"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			start, err := startOf(resume, overwrite)
			if err != nil {
				return err
			}
			resolved, err := configs.Load(from.source(p, command, arguments[0], configs.Required))
			if err != nil {
				return err
			}
			err = run.Train(command.Context(), resolved, run.TrainOptions{
				Directory: out, Start: start, Version: programVersion(), Console: p.stderr, Terminal: p.terminal, Columns: p.errColumns,
			})
			return p.sayHowToGoOn(err)
		}),
	}
	from.register(command)
	command.Flags().StringVar(&out, "out", "", "directory `RUN`, made if need be, for instance --out runs/first")
	command.Flags().BoolVar(&resume, "resume", false, "go on with the run in --out from its last checkpoint; workers, threads, logging and metrics may be changed")
	command.Flags().BoolVar(&overwrite, "overwrite", false, "delete the run in --out and begin again")
	required(command, "out")
	return command
}

// startOf says what the two flags mean for an old run.
func startOf(resume, overwrite bool) (train.Start, error) {
	switch {
	case resume && overwrite:
		return train.StartFresh, train.Usage(errors.New("--resume goes on with the run in --out and --overwrite deletes it: give one of the two"))
	case resume:
		return train.StartResume, nil
	case overwrite:
		return train.StartOverwrite, nil
	}
	return train.StartFresh, nil
}

// sayHowToGoOn prints the command that resumes an interrupted run.
func (p program) sayHowToGoOn(err error) error {
	var interrupted *train.Interrupted
	if errors.As(err, &interrupted) {
		fmt.Fprintf(p.stderr, "To go on: %s\n", p.resumeCommand())
	}
	return err
}

// resumeCommand is the command line with --resume, quoted for a shell. Settings that came from the environment go with
// it, because they may be gone from the shell in which it is repeated.
func (p program) resumeCommand() string {
	var words []string
	for _, variable := range p.environment {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, configs.Prefix) {
			words = append(words, name+"="+quote(value))
		}
	}
	words = append(words, quote(p.name))
	for _, argument := range p.arguments {
		if argument != "--overwrite" && argument != "--resume" {
			words = append(words, quote(argument))
		}
	}
	return strings.Join(append(words, "--resume"), " ")
}

// quote protects a word from a POSIX shell.
func quote(word string) string {
	harmless := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./=,:@%+", r)
	}
	if word != "" && !slices.ContainsFunc([]rune(word), func(r rune) bool { return !harmless(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// required marks a flag without which a command cannot work. The only error is that of a flag that does not exist.
func required(command *cobra.Command, flag string) {
	if err := command.MarkFlagRequired(flag); err != nil {
		panic(err)
	}
}

// checkFilled refuses required flags and lists that are given empty, for the reason that atMostOne gives: an empty --out
// would be the folder at hand, an empty --probe those that nobody asked for.
func checkFilled(command *cobra.Command) (err error) {
	command.Flags().Visit(func(flag *pflag.Flag) {
		required := flag.Annotations[cobra.BashCompOneRequiredFlag] != nil && flag.Value.String() == ""
		if list, ok := flag.Value.(pflag.SliceValue); required || ok && len(list.GetSlice()) == 0 {
			err = cmp.Or(err, fmt.Errorf("--%s is empty: give it a value", flag.Name))
		}
	})
	return err
}
