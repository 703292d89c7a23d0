package train

import (
	"fmt"
	"slices"
	"strings"

	"pretrain/checkpoints"
	"pretrain/nn"
)

// Prefixes of the tensors in a checkpoint. What follows is the name of the parameter, buffer or task.
const (
	prefixParameter = "parameters."
	prefixBuffer    = "buffers."
	prefixMoment    = "moments." // moments.1.NAME, and moments.2.NAME for AdamW
	prefixTask      = "state."   // state.TASK.NAME: what a task measured on the data, such as the prior of colours
	prefixWeighter  = "weighter."
)

// Keys of the checkpoint's own strings.
const (
	metaKernels  = "kernels"  // family that computed the run so far
	metaConfig   = "config"   // resolved configuration, as YAML
	metaImported = "imported" // name of the file that the weights came from; only there if they did
	metaPictures = "pictures" // which pictures it was trained on; see session.pictureSet
)

// PictureSet says which pictures a checkpoint's run was trained on, and by what they were decoded; equal texts mean equal
// pixels.
func PictureSet(info checkpoints.Info) string { return info.Meta[metaPictures] }

// tensors lists views of everything that training changes, by name. Saving reads them and restoring writes them, so
// the two cannot disagree.
func (t *Trainer) tensors() []checkpoints.Tensor {
	all := weightTensors(t.store)
	for _, p := range t.store.Parameters() {
		for i, moments := range t.optimizer.moments {
			name := fmt.Sprintf("%s%d.%s", prefixMoment, i+1, p.Name)
			all = append(all, checkpoints.Tensor{Name: name, Shape: p.Shape, Data: moments[p.Offset : p.Offset+len(p.Value)]})
		}
	}
	return all
}

// weightTensors lists views of the weights and statistics of a store.
func weightTensors(store *nn.Store) []checkpoints.Tensor {
	var all []checkpoints.Tensor
	for _, p := range store.Parameters() {
		all = append(all, checkpoints.Tensor{Name: prefixParameter + p.Name, Shape: p.Shape, Data: p.Value})
	}
	for _, b := range store.Buffers() {
		all = append(all, checkpoints.Tensor{Name: prefixBuffer + b.Name, Shape: b.Shape, Data: b.Value})
	}
	return all
}

// state is a checkpoint of the present position. Its tensors share the trainer's memory.
func (t *Trainer) state(score *float64) checkpoints.State {
	state := checkpoints.State{
		Info: checkpoints.Info{
			Step: int64(t.position.Step), Epoch: int64(t.position.Epoch()),
			Position: int64(t.position.Batch() % t.position.BatchesPerEpoch),
			Pictures: int64(t.position.Pictures), Views: int64(t.position.Views),
			Score: score,
			Meta:  map[string]string{metaKernels: string(t.engine.Family()), metaConfig: t.resolved, metaPictures: t.pictures},
		},
		Tensors: t.tensors(),
	}
	for _, task := range t.tasks {
		for name, values := range task.State() {
			state.Tensors = append(state.Tensors, vector(prefixTask+task.Name()+"."+name, values))
		}
	}
	for name, values := range t.weighter.State() {
		state.Tensors = append(state.Tensors, vector(prefixWeighter+name, values))
	}
	slices.SortFunc(state.Tensors, func(a, b checkpoints.Tensor) int { return strings.Compare(a.Name, b.Name) })
	return state
}

func vector(name string, values []float32) checkpoints.Tensor {
	return checkpoints.Tensor{Name: name, Shape: []int{len(values)}, Data: values}
}

// restore sets the trainer to a checkpoint. The states of the tasks are restored when the tasks are made.
func (t *Trainer) restore(state checkpoints.State) error {
	for _, into := range t.tensors() {
		if err := copyTensor(state, into); err != nil {
			return err
		}
	}
	weighter := map[string][]float32{}
	for _, tensor := range state.Tensors {
		if name, ok := strings.CutPrefix(tensor.Name, prefixWeighter); ok {
			weighter[name] = tensor.Data
		}
	}
	if err := t.weighter.Restore(weighter); err != nil {
		return err
	}
	t.position.Step, t.position.Pictures, t.position.Views = int(state.Step), int(state.Pictures), int(state.Views)
	return nil
}

func copyTensor(state checkpoints.State, into checkpoints.Tensor) error {
	from, ok := state.Tensor(into.Name)
	if !ok {
		return fmt.Errorf("the checkpoint has no tensor %s: it is of another model or optimizer", into.Name)
	}
	if !slices.Equal(from.Shape, into.Shape) {
		return fmt.Errorf("the checkpoint's tensor %s has shape %v, the model's %v: it is of another model", into.Name, from.Shape, into.Shape)
	}
	copy(into.Data, from.Data)
	return nil
}

// TaskState collects what a task stored in a checkpoint, for pretext.Env; empty without a checkpoint.
func TaskState(state *checkpoints.State, task string) map[string][]float32 {
	stored := map[string][]float32{}
	if state == nil {
		return stored
	}
	for _, tensor := range state.Tensors {
		if name, ok := strings.CutPrefix(tensor.Name, prefixTask+task+"."); ok {
			stored[name] = tensor.Data
		}
	}
	return stored
}

// LoadWeights copies a checkpoint's weights and statistics into a store, those that the store declares: of the backbone
// alone to read features, of the heads too to see what they answer. The optimizer's state is left aside.
func LoadWeights(store *nn.Store, state checkpoints.State) error {
	for _, into := range weightTensors(store) {
		if err := copyTensor(state, into); err != nil {
			return err
		}
	}
	return nil
}
