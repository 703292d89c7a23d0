package run

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"

	"pretrain/internal/kernel"
	"pretrain/train"
)

// Machine is what the program computes with here.
type Machine struct {
	CPU     string
	Kernels string   // family in use: the preferred one, or that of PRETRAIN_KERNELS
	Others  []string // families that this CPU runs besides
}

// ThisMachine describes the machine. It fails if PRETRAIN_KERNELS asks for kernels that it does not run.
func ThisMachine() (Machine, error) {
	engine, err := kernel.New(kernel.Options{Family: Kernels(), Workers: 1})
	if err != nil {
		return Machine{}, train.Usage(fmt.Errorf("%s: %w", kernelsVariable, err))
	}
	defer engine.Close()
	m := Machine{CPU: cpuid.CPU.BrandName, Kernels: string(engine.Family())}
	for _, family := range kernel.Families() {
		if family != engine.Family() {
			m.Others = append(m.Others, string(family))
		}
	}
	return m, nil
}
