package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/backbone"
	"pretrain/run"
)

func (p program) importCommand() *cobra.Command {
	options := run.ImportOptions{Environment: p.environment, Version: programVersion()}
	var set settingsFlag
	command := &cobra.Command{
		Use:   "import FILE --backbone NAME --out RUN",
		Short: "Make a run of weights that were trained elsewhere",
		Long: `Make the directory RUN from the weights in FILE, safetensors or .npz, under the names that timm (ViT) or torchvision
(ResNet) use, float16, bfloat16, float32 or float64. Eval, extract and export read it like any run, and training begins
with the weights by --set backbone.weights=RUN/exported/backbone.safetensors.

Sizes come from FILE.json or model.json beside FILE where export has written one, else from the shapes of the tensors;
--set and PRETRAIN_* variables win. Without such a description, check data.size, data.mean and data.std: they must be
those that the weights were trained with. Where --set asks for pictures or patches of another size, position embeddings
(bicubic, antialiased) and patch kernels (pseudoinverse of that resize) are interpolated as timm does, and said so.

The weights must fit: tensors that are missing, extra or of another shape are listed, and nothing is written. A
classifier (fc.*, head.*) and num_batches_tracked are left out, and said so.`,
		Example: `  pretrain import resnet50.safetensors --backbone resnet50 --out runs/imagenet --set data.size=224
  pretrain import vit.npz --backbone vit_tiny --out runs/vit --set data.size=96 --set backbone.vit.patch=8
  pretrain import backbone.safetensors --out runs/copy --overwrite`,
		Args: one("FILE"),
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			options.File, options.Overrides = arguments[0], set
			imported, err := run.Import(options)
			if err != nil {
				return err
			}
			return sayImported(p.stdout, imported, options)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Backbone, "backbone", "", "architecture `NAME`; may be left out where a description beside FILE tells, for instance --backbone resnet50")
	flags.StringVar(&options.Directory, "out", "", "directory `RUN`, made if need be, for instance --out runs/imagenet")
	flags.BoolVar(&options.Overwrite, "overwrite", false, "delete the run in --out first")
	flags.Var(&set, "set", "override one key of the configuration, may be given many times, for instance --set data.size=96 --set data.mean=0.5,0.5,0.5")
	required(command, "out")
	complete(command, "backbone", architectures()...)
	return command
}

// architectures are the names of all networks.
func architectures() []string {
	var names []string
	for _, family := range backbone.Families() {
		for _, architecture := range family.Architectures {
			names = append(names, architecture.Name)
		}
	}
	return names
}

// sayImported tells everything that was decided about the weights.
func sayImported(w io.Writer, imported run.Imported, options run.ImportOptions) error {
	var said strings.Builder
	fmt.Fprintf(&said, "%s: %d tensors from %s\n", imported.Backbone, imported.Tensors, options.File)
	if len(imported.Settings) > 0 {
		fmt.Fprintf(&said, "taken from the file: %s\n", strings.Join(imported.Settings, " "))
	}
	if len(imported.Ignored) > 0 {
		fmt.Fprintf(&said, "left out, as no part of a backbone: %s\n", leftOut(imported.Ignored))
	}
	for _, resized := range imported.Resized {
		fmt.Fprintf(&said, "%s\n", resized)
	}
	if data := imported.Config.Data; !imported.Described {
		fmt.Fprintf(&said, "pictures will be read at data.size=%d with data.mean=%v data.std=%v: check that the weights were trained so\n", data.Size, data.Mean, data.Std)
	}
	fmt.Fprintf(&said, "written to %s\n", options.Directory)
	_, err := io.WriteString(w, said.String())
	return err
}

// leftOut names tensors, the counters of batches by their number alone.
func leftOut(names []string) string {
	all := len(names)
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.HasSuffix(name, ".num_batches_tracked") })
	if counters := all - len(names); counters > 0 {
		names = append(names, fmt.Sprintf("%d num_batches_tracked", counters))
	}
	return strings.Join(names, ", ")
}
