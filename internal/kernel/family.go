package kernel

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/cpu"
)

// Family names a set of kernels for one kind of CPU. Results of one family have the same bits everywhere; two
// families differ in rounding.
type Family string

// The families, slowest first.
const (
	Portable Family = "portable" // plain Go, any CPU
	AVX2     Family = "avx2"     // amd64 with AVX2 and FMA
	AVX512   Family = "avx512"   // amd64 with AVX-512 F, BW, DQ and VL
	// AVX512BF16 is AVX512 with products of bf16 by VDPBF16PS; on float32 the two have the same bits.
	AVX512BF16 Family = "avx512bf16"
	// AMX is AVX512 with products of bf16 by TDPBF16PS, in tile registers; on float32 the two have the same bits.
	AMX Family = "amx"
)

// AllFamilies lists every family, slowest first.
func AllFamilies() []Family { return []Family{Portable, AVX2, AVX512, AVX512BF16, AMX} }

// features are what the choice of a family depends on.
type features struct {
	avx2, avx512, vbmi, bf16, amx bool // what exists and the operating system lets us use
	amd                           bool
}

// preferences is the table over CPU models: the first line that fits a CPU orders the families that it runs, the
// preferred one first. What exists is not always what is fast; Calibrate checks the table on the machine at hand.
var preferences = []struct {
	cpus  string
	fits  func(features) bool
	order []Family
	why   string
}{
	{
		"Intel with AMX: Xeon from Sapphire Rapids on", func(f features) bool { return f.amx && !f.amd },
		[]Family{AMX, AVX512, AVX512BF16, AVX2, Portable},
		"tiles do 14 times the work of float32 FMA (6,550 against 475 GFLOP/s on two cores), VDPBF16PS half of it (228)",
	},
	{
		"AMD with AVX-512-BF16: Zen 4 and 5", func(f features) bool { return f.bf16 && f.amd },
		[]Family{AVX512BF16, AVX512, AMX, AVX2, Portable},
		"VDPBF16PS does twice the work of float32 FMA (885 against 440 GFLOP/s on two cores), and the clock stays",
	},
	{
		"others with AVX-512-BF16: Cooper Lake, or tiles refused", func(f features) bool { return f.bf16 },
		[]Family{AVX512, AVX512BF16, AVX2, Portable},
		"VDPBF16PS does half the work of float32 FMA where it was measured: bf16 is computed as float32",
	},
	{
		"AVX-512 with VBMI: Intel from Ice Lake on", func(f features) bool { return f.avx512 && f.vbmi },
		[]Family{AVX512, AVX2, Portable},
		"the doubled width gains more than the clock loses",
	},
	{
		"AVX-512 without VBMI: Skylake-SP, Cascade Lake", func(f features) bool { return f.avx512 },
		[]Family{AVX2, AVX512, Portable},
		"models with a single 512-bit FMA unit, which CPUID does not tell apart, lower their clock for nothing",
	},
	{
		"all others", func(features) bool { return true },
		[]Family{AVX2, Portable},
		"",
	},
}

// Families lists the families that this CPU and operating system run, the preferred one first. The first call asks the
// operating system for the tile registers of AMX where the CPU has them.
func Families() []Family { return slices.Clone(thisCPU().families()) }

// families is the order of the first line of the table that fits, less what does not run.
func (f features) families() []Family {
	for _, line := range preferences {
		if line.fits(f) {
			return slices.DeleteFunc(slices.Clone(line.order), func(family Family) bool { return !f.run(family) })
		}
	}
	return nil // the last line fits all
}

// run reports whether a CPU runs a family.
func (f features) run(family Family) bool {
	switch family {
	case AVX2:
		return f.avx2
	case AVX512:
		return f.avx512
	case AVX512BF16:
		return f.bf16
	case AMX:
		return f.amx
	}
	return true
}

// MultipliesBFloat16 reports whether products of bf16 are faster than those of float32. All families compute them.
func (f Family) MultipliesBFloat16() bool { return f == AVX512BF16 || f == AMX }

// Notice is a sentence for the log when the operating system withholds what the CPU has and another family serves
// instead; mostly it is empty.
func Notice() string {
	if err := tiles(); err != nil && !errors.Is(err, errNoTiles) {
		return fmt.Sprintf("this CPU has AMX but %v: products of bf16 are computed without it", err)
	}
	return ""
}

// thisCPU tells what the CPU has and the operating system saves, which x/sys/cpu checks through XGETBV. On other
// architectures, and in builds with the tag noasm, there is nothing.
func thisCPU() features {
	f := features{amd: cpuid.CPU.IsVendor(cpuid.AMD)}
	f.avx2 = haveAssembly && cpu.X86.HasAVX2 && cpu.X86.HasFMA
	f.avx512 = f.avx2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
	f.vbmi = f.avx512 && cpu.X86.HasAVX512VBMI
	f.bf16 = f.avx512 && cpu.X86.HasAVX512BF16
	f.amx = f.avx512 && tiles() == nil
	return f
}

// errNoTiles says that there are no tile registers, which needs no notice.
var errNoTiles = errors.New("the CPU has no AMX-BF16")

// tiles reports why this process cannot use AMX, nil if it can. It asks for permission once.
var tiles = sync.OnceValue(func() error {
	if !haveAssembly || !cpu.X86.HasAVX512F || !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 {
		return errNoTiles
	}
	return allowTiles(xcr0(), requestTiles)
})

// allowTiles checks that the operating system saves the tile registers and lets this process use them.
func allowTiles(saved uint32, request func() error) error {
	const configAndData = 3 << 17
	if saved&configAndData != configAndData {
		return errors.New("the operating system does not save its registers")
	}
	if err := request(); err != nil {
		return fmt.Errorf("the operating system refuses its use (%w)", err)
	}
	return nil
}
