package train

import (
	"runtime"
	"time"

	"github.com/klauspost/cpuid/v2"

	"pretrain/checkpoints"
	"pretrain/export"
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// Import describes a run whose weights come from elsewhere and are complete: it is read like a trained one and cannot be
// resumed.
type Import struct {
	Directory Directory
	Start     Start  // StartFresh or StartOverwrite
	Resolved  string // the configuration as YAML
	Version   string // of the program
	File      string // name of the file that the weights come from
	Store     *nn.Store
	Weights   export.Weights // of the store
	Family    kernel.Family  // that will read the run, for run.json
}

// WriteImport makes the directory of an imported run: configuration, a checkpoint of step 0, the exported backbone and
// run.json. A directory that may not be used, or that a training is at work in, is a UsageError.
func WriteImport(i Import) error {
	if err := i.Directory.Check(i.Start); err != nil {
		return err
	}
	release, _, err := i.Directory.lock()
	if err != nil {
		return err
	}
	defer release()
	if err := i.Directory.begin(i.Start, i.Resolved); err != nil {
		return err
	}
	folder, err := checkpoints.OpenFolder(i.Directory.Checkpoints(), checkpoints.DefaultConfig())
	if err != nil {
		return err
	}
	state := checkpoints.State{
		Info:    checkpoints.Info{Meta: map[string]string{metaConfig: i.Resolved, metaImported: i.File}},
		Tensors: weightTensors(i.Store),
	}
	if _, _, err := folder.Save(state); err != nil {
		return err
	}
	if _, err := export.Backbone(i.Directory.Exported(), i.Weights); err != nil {
		return err
	}
	return i.Directory.writeRecord(i.record())
}

func (i Import) record() Record {
	record := Record{
		State: StateImported, Version: i.Version, Go: runtime.Version(), CPU: cpuid.CPU.BrandName, Kernels: string(i.Family),
		Precision: string(nn.Float32), Backbone: i.Weights.Model.Name, Started: time.Now().UTC().Format(time.RFC3339),
	}
	for _, p := range i.Store.Parameters() {
		record.Parameters += len(p.Value)
	}
	return record
}
