package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pretrain/nn"
	"pretrain/train"
)

// Scaling says how the cost of a training step grows.
type Scaling struct {
	Axes []Axis `json:"axes"`
	// Tasks are the single tasks of the model pretext, and Together all of them in one step. A step of k tasks costs
	// what its views cost: the trunk runs once. SumSeconds is what the single steps take one after the other.
	Tasks      []Row   `json:"tasks"`
	Together   Row     `json:"together"`
	SumSeconds float64 `json:"sum_of_single_steps_seconds"`
}

// Axis is a series of steps that differ in one number.
type Axis struct {
	Name   string  `json:"name"` // what varies
	Unit   string  `json:"unit"`
	Model  string  `json:"model"` // what the others are
	Points []Point `json:"points"`
	Time   Fit     `json:"time"`  // seconds of a step against the number
	FLOPs  Fit     `json:"flops"` // likewise, of the products
	Memory Fit     `json:"memory"`
}

// Point is one step of an axis.
type Point struct {
	Value float64 `json:"value"`
	Row   Row     `json:"row"`
}

// sweep is an axis to be measured.
type sweep struct {
	axis   Axis
	values []float64
	specs  []Spec
}

// series makes a sweep out of one spec a value.
func series(name, unit, model string, values []int, spec func(value int) Spec) sweep {
	s := sweep{axis: Axis{Name: name, Unit: unit, Model: model}}
	for _, value := range values {
		s.values, s.specs = append(s.values, float64(value)), append(s.specs, spec(value))
	}
	return s
}

// headWidth is the width of an attention head in every standard ViT.
const headWidth = 64

// sweeps are the axes: each doubles its number two to four times around a ViT-Tiny/4 at 32 px, and the picture size of
// a ResNet-18 besides.
func sweeps(base Spec) []sweep {
	with := func(model string, batch int, v Variant) Spec {
		spec := base
		spec.Model, spec.Mode, spec.Batch, spec.Variant = model, Train, batch, v
		return spec
	}
	return []sweep{
		series("picture size", "px", "ViT-Tiny/4, 32 pictures", []int{16, 24, 32, 48, 64}, func(n int) Spec {
			return with("vit_t4_32", 32, Variant{Side: n})
		}),
		series("picture size", "px", "ResNet-18 with a small stem, 16 pictures", []int{16, 24, 32, 48, 64}, func(n int) Spec {
			return with("resnet18_c", 16, Variant{Side: n})
		}),
		series("width", "channels", "ViT/4 at 32 px, 12 blocks, heads of 64, 32 pictures", []int{64, 128, 192, 256, 384}, func(n int) Spec {
			return with("vit_t4_32", 32, Variant{Width: n, Depth: 12, Heads: n / headWidth})
		}),
		series("depth", "blocks", "ViT/4 at 32 px, 192 channels, 32 pictures", []int{3, 6, 12, 24}, func(n int) Spec {
			return with("vit_t4_32", 32, Variant{Width: 192, Depth: n, Heads: 3})
		}),
		series("batch", "pictures", "ViT-Tiny/4 at 32 px", []int{8, 16, 32, 64, 128}, func(n int) Spec {
			return with("vit_t4_32", n, Variant{})
		}),
		series("tasks", "views a picture", "ViT-Tiny/4 at 32 px, 32 pictures; 1, 2, 3, 4 tasks", taskViews, func(views int) Spec {
			return with("pretext", taskBatch, Variant{Tasks: taskNames()[:1+slices.Index(taskViews, views)]})
		}),
	}
}

// taskViews are the views that the first task, the first two and so on want of a picture.
var taskViews = []int{1, 3, 4, 5}

// taskBatch is the number of pictures of the steps that compare tasks.
const taskBatch = 32

func taskNames() []string {
	var names []string
	for _, task := range pretextTasks() {
		names = append(names, task.Name)
	}
	return names
}

// scalingBase is what all steps of Scale have in common. Of the options it takes Seconds, Threads, Kernels, MemoryLimit
// and Precisions, which may name one.
func (o Options) scalingBase() (Spec, error) {
	precisions := orAll(o.Precisions, []string{string(nn.Float32)})
	if err := errors.Join(o.check(), known("--precisions", "precision", precisions, PrecisionNames())); err != nil {
		return Spec{}, train.Usage(err)
	}
	if len(precisions) > 1 {
		return Spec{}, train.Usage(fmt.Errorf("--precisions is %s: growth is measured in one", strings.Join(precisions, ",")))
	}
	precision := nn.Precision(precisions[0])
	return Spec{Precision: precision, Threads: o.Threads, Seconds: o.Seconds, Kernels: o.Kernels}, nil
}

// Scale measures how cost grows with picture size, width, depth, batch and number of tasks, and shows every row at once.
func Scale(ctx context.Context, o Options, measure Measurer, show func(Row) error) (Report, error) {
	base, err := o.scalingBase()
	if err != nil {
		return Report{}, err
	}
	all := sweeps(base)
	if err := o.checkMemory(specsOf(all)); err != nil {
		return Report{}, err
	}
	report := Report{Rows: []Row{}, Scaling: &Scaling{}}
	for _, s := range all {
		axis, err := s.measure(ctx, measure, show)
		if err != nil {
			return report, err
		}
		report.Scaling.Axes = append(report.Scaling.Axes, axis)
	}
	return report, report.Scaling.compareTasks(ctx, base, measure, show)
}

func specsOf(all []sweep) []Spec {
	var specs []Spec
	for _, s := range all {
		specs = append(specs, s.specs...)
	}
	return specs
}

// measure runs a sweep and fits its laws.
func (s sweep) measure(ctx context.Context, measure Measurer, show func(Row) error) (Axis, error) {
	measured, err := Rows(ctx, s.specs, measure, show)
	if err != nil {
		return s.axis, err
	}
	var seconds, flops, bytes []float64
	for i, row := range measured.Rows {
		s.axis.Points = append(s.axis.Points, Point{s.values[i], row})
		seconds = append(seconds, row.StepSeconds)
		flops = append(flops, row.FLOPsPerImage*float64(row.Batch))
		bytes = append(bytes, float64(row.ArenaBytes))
	}
	s.axis.Time, s.axis.FLOPs, s.axis.Memory = fitPower(s.values, seconds), fitPower(s.values, flops), fitPower(s.values, bytes)
	return s.axis, nil
}

// compareTasks measures each task alone and all together.
func (s *Scaling) compareTasks(ctx context.Context, base Spec, measure Measurer, show func(Row) error) error {
	var specs []Spec
	for _, names := range append(singles(taskNames()), taskNames()) {
		spec := base
		spec.Model, spec.Mode, spec.Batch, spec.Variant = "pretext", Train, taskBatch, Variant{Tasks: names}
		specs = append(specs, spec)
	}
	measured, err := Rows(ctx, specs, measure, show)
	if err != nil {
		return err
	}
	last := len(measured.Rows) - 1
	s.Tasks, s.Together = measured.Rows[:last], measured.Rows[last]
	for _, row := range s.Tasks {
		s.SumSeconds += row.StepSeconds
	}
	return nil
}

// singles are lists of one name each.
func singles(names []string) [][]string {
	var lists [][]string
	for _, name := range names {
		lists = append(lists, []string{name})
	}
	return lists
}
