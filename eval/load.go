package eval

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pretrain/backbone"
	"pretrain/export"
	"pretrain/nn"
)

// Loaded tells what LoadWeights did beside copying.
type Loaded struct {
	Ignored []string // tensors that are no part of a backbone: the classifier, and counters of batches
	Resized []string // in words
}

// A MismatchError lists every tensor of a weights file that does not fit the backbone, and every one that it lacks.
type MismatchError struct {
	Backbone                  string
	Missing, Extra, Misshapen []string
}

// Error lists all of them, a kind a line.
func (e *MismatchError) Error() string {
	text := fmt.Sprintf("the weights do not fit %s:", e.Backbone)
	for _, kind := range []struct {
		title string
		names []string
	}{{"missing", e.Missing}, {"extra", e.Extra}, {"of another shape", e.Misshapen}} {
		if len(kind.names) > 0 {
			text += fmt.Sprintf("\n  %s (%d): %s", kind.title, len(kind.names), strings.Join(kind.names, ", "))
		}
	}
	return text
}

// LoadWeights replaces the backbone's parameters and statistics by tensors under their public names and in their public
// layouts, as Weights gives them. Position embeddings and patch kernels of other sizes are interpolated where the
// backbone can (backbone.Resizer). A classifier (fc.*, head.*) and num_batches_tracked are left out; any other tensor
// that is missing, extra or misshapen is listed in a *MismatchError, and nothing is changed then. The tensors are only read.
func (m *Model) LoadWeights(tensors []export.Tensor) (Loaded, error) {
	l := loading{model: m, wanted: m.backboneParameters()}
	for _, t := range tensors {
		if err := l.take(t); err != nil {
			return Loaded{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.wanted)) {
		l.wrong.Missing = append(l.wrong.Missing, shaped(name, publicShape(l.wanted[name])))
	}
	if len(l.wrong.Missing)+len(l.wrong.Extra)+len(l.wrong.Misshapen) > 0 {
		l.wrong.Backbone = m.Backbone.Name()
		return Loaded{}, &l.wrong
	}
	for parameter, values := range l.values {
		copy(parameter.Value, values)
	}
	return l.done, nil
}

// loading is a LoadWeights under way.
type loading struct {
	model  *Model
	wanted map[string]*nn.Parameter // not seen yet, by public name
	values map[*nn.Parameter][]float32
	done   Loaded
	wrong  MismatchError
}

// take finds the parameter of a tensor and notes its values.
func (l *loading) take(t export.Tensor) error {
	parameter := l.wanted[t.Name]
	switch {
	case parameter == nil && ignored(t.Name):
		l.done.Ignored = append(l.done.Ignored, t.Name)
		return nil
	case parameter == nil:
		l.wrong.Extra = append(l.wrong.Extra, shaped(t.Name, t.Shape))
		return nil
	}
	delete(l.wanted, t.Name)
	if resizer, ok := l.model.Backbone.(backbone.Resizer); ok {
		var said string
		if t, said = resizer.Resize(t); said != "" {
			l.done.Resized = append(l.done.Resized, said)
		}
	}
	if want := publicShape(parameter); !slices.Equal(want, t.Shape) {
		l.wrong.Misshapen = append(l.wrong.Misshapen, fmt.Sprintf("%s, expected %v", shaped(t.Name, t.Shape), want))
		return nil
	}
	return l.keep(parameter, t)
}

// keep notes the values in the parameter's own layout.
func (l *loading) keep(parameter *nn.Parameter, t export.Tensor) (err error) {
	if parameter.Layout == nn.OHWI {
		if t, err = export.OHWI(t); err != nil {
			return err
		}
	}
	if l.values == nil {
		l.values = map[*nn.Parameter][]float32{}
	}
	l.values[parameter] = t.Data
	return nil
}

// ignored names what files of whole classifiers hold beside the backbone.
func ignored(name string) bool {
	return strings.HasPrefix(name, "fc.") || strings.HasPrefix(name, "head.") || strings.HasSuffix(name, ".num_batches_tracked")
}

func shaped(name string, shape []int) string { return fmt.Sprint(name, " ", shape) }

// publicShape is the shape that a parameter has outside.
func publicShape(p *nn.Parameter) []int {
	if p.Layout != nn.OHWI {
		return p.Shape
	}
	return []int{p.Shape[0], p.Shape[3], p.Shape[1], p.Shape[2]}
}
