package configs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"pretrain/data"
	"pretrain/pretext"
)

// check finds what no single value shows: wrong combinations and missing folders. A combination is left alone while a
// section that it depends on has problems of its own.
func (r *Resolved) check(source Source, found []Problem) []Problem {
	c := r.Config
	var problems []Problem
	for _, rule := range []struct {
		needed   bool
		find     func() error
		sections []string
	}{
		{true, c.Data.Check, []string{"data"}},
		{true, c.Train.Check, []string{"train"}},
		{true, c.Eval.Check, []string{"eval"}},
		{true, c.Metrics.Validate, []string{"metrics"}},
		{true, c.Logging.MLflow.Validate, []string{"logging"}},
		{true, c.checkBackbone, []string{"data", "backbone"}},
		{source.Name != "", c.checkTasks, []string{"tasks"}},
		{source.Pictures != Unchecked, func() error { return c.checkPictures(source.Pictures) }, []string{"data"}},
		{source.Pictures != Unchecked, c.checkLabelled, []string{"eval"}},
		{source.Pictures != Unchecked, c.Metrics.CheckFiles, []string{"metrics"}},
		{source.Pictures != Unchecked, r.checkTasksFit, []string{"data", "backbone", "tasks", "train"}},
	} {
		if rule.needed && !touches(found, rule.sections) {
			problems = append(problems, r.explain(rule.find())...)
		}
	}
	return problems
}

// touches reports whether a problem concerns one of the sections, or a whole source.
func touches(problems []Problem, sections []string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		section, _, _ := strings.Cut(p.Path, ".")
		return section == "" || slices.Contains(sections, section)
	})
}

// explain turns the error of a check, or every error that it joins, into problems. Checks begin their errors with the
// key that is wrong, which tells the origin.
func (r *Resolved) explain(err error) []Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var problems []Problem
		for _, one := range joined.Unwrap() {
			problems = append(problems, r.explain(one)...)
		}
		return problems
	}
	problem := Problem{Fault: err.Error()}
	path, _, _ := strings.Cut(err.Error(), " ")
	if key := r.tree.Key(strings.TrimSuffix(path, ":")); key != nil {
		problem.Origin = key.Origin
	}
	return []Problem{problem}
}

// checkBackbone makes the backbone and forgets it: its constructor knows what sizes and parameters go together.
func (c *Config) checkBackbone() error {
	_, err := c.NewBackbone()
	return err
}

func (c *Config) checkTasks() error {
	if len(c.ActiveTasks()) > 0 {
		return nil
	}
	var names []string
	for _, task := range pretext.Definitions() {
		names = append(names, "tasks."+task.Name)
	}
	return fmt.Errorf("tasks: there is nothing to learn: write a section for at least one of %s, with a weight above 0", strings.Join(names, ", "))
}

// checkTasksFit makes the tasks and forgets them: their constructors know what suits the backbone and the size of the
// views. The pictures may not be at hand, so one of all colours stands for them.
func (r *Resolved) checkTasksFit() error {
	c := r.Config
	network, err := c.NewBackbone()
	if err != nil {
		return nil // checkBackbone has said so
	}
	env := pretext.Env{
		Backbone: network, Side: c.Data.Size, Epochs: c.Train.Epochs, Seed: c.Train.Seed,
		Augmentation: c.Data.Augmentation, Normalization: c.Data.Normalization(),
		Sample: func(int) ([]data.Image, error) { return []data.Image{colours(c.Data.Size)}, nil },
	}
	var all error
	for _, name := range c.ActiveTasks() {
		env.Batch = c.Tasks[name].TaskPictures(c.Train.BatchSize)
		if _, err := c.Tasks[name].New(env); err != nil {
			all = errors.Join(all, r.taskError("tasks."+name, err))
		}
	}
	return all
}

// taskError puts a task's section in front of its error, which begins with a key of that section if one is at fault.
func (r *Resolved) taskError(section string, err error) error {
	path, _, _ := strings.Cut(section+"."+err.Error(), " ")
	if r.tree.Key(strings.TrimSuffix(path, ":")) != nil {
		return fmt.Errorf("%s.%w", section, err)
	}
	return fmt.Errorf("%s: %w", section, err)
}

// colours is a picture in which red grows to the right and green downwards.
func colours(side int) data.Image {
	picture := data.NewImage(side, side)
	for y := range side {
		for x := range side {
			picture.Pix[3*(y*side+x)] = uint8(255 * x / side)
			picture.Pix[3*(y*side+x)+1] = uint8(255 * y / side)
		}
	}
	return picture
}

// checkPictures wants the training pictures to be there.
func (c *Config) checkPictures(pictures Pictures) error {
	if c.Data.Path == "" && pictures == Required {
		return errors.New("data.path is empty: name the folder of pictures with --data DIR, or in the file")
	}
	return exists("data.path", c.Data.Path)
}

// checkLabelled wants the labelled pictures to be there if they are to be used.
func (c *Config) checkLabelled() error {
	if c.Eval.EveryEpochs == 0 {
		return nil
	}
	return errors.Join(exists("eval.train", c.Eval.Train), exists("eval.test", c.Eval.Test))
}

// exists wants a folder or list file to be there, if one is named.
func exists(key, path string) error {
	if path == "" {
		return nil
	}
	_, err := os.Stat(path)
	if err == nil {
		return nil
	}
	message := fmt.Sprintf("%s = %s: %s; allowed: a folder of pictures or a list file", key, path, cause(err))
	if beside := nearestFile(path, "*"); beside != "" {
		message += "; did you mean " + beside + "?"
	}
	return errors.New(message)
}
