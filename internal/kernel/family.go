package kernel

import (
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
)

// AllFamilies lists every family, slowest first.
func AllFamilies() []Family { return []Family{Portable, AVX2, AVX512, AVX512BF16} }

// Families lists the families that this CPU and operating system run, the preferred one first.
//
// What exists is not always what is fast. The rules, over CPU models:
//   - AVX-512 is preferred wherever it is found: AMD Zen 4 and 5 do not lower their clock for it, and Intel from
//     Ice Lake on loses less clock than the doubled width gains.
//   - Except Intel Skylake-SP and Cascade Lake models with a single 512-bit FMA unit, which lower their clock for no
//     more FMA throughput than AVX2 has. CPUID does not tell them apart from the two-unit models; they are the chips
//     without AVX-512 VBMI, where AVX-512 stays available but is not preferred.
//   - VDPBF16PS does twice the work of a float32 multiplication on AMD and half of it on the Intel models that have it,
//     where bf16 is computed as float32.
func Families() []Family {
	switch {
	case hasAVX512() && cpu.X86.HasAVX512BF16 && cpuid.CPU.IsVendor(cpuid.AMD):
		return []Family{AVX512BF16, AVX512, AVX2, Portable}
	case hasAVX512() && cpu.X86.HasAVX512BF16:
		return []Family{AVX512, AVX512BF16, AVX2, Portable}
	case hasAVX512() && cpu.X86.HasAVX512VBMI:
		return []Family{AVX512, AVX2, Portable}
	case hasAVX512():
		return []Family{AVX2, AVX512, Portable}
	case hasAVX2():
		return []Family{AVX2, Portable}
	}
	return []Family{Portable}
}

// MultipliesBFloat16 reports whether products of bf16 are faster than those of float32. All families compute them.
func (f Family) MultipliesBFloat16() bool { return f == AVX512BF16 }

// hasAVX2 and hasAVX512 report whether the CPU has the instructions and the operating system saves their registers,
// which x/sys/cpu checks through XGETBV. On other architectures, and in builds with the tag noasm, both are false.
func hasAVX2() bool {
	return haveAssembly && cpu.X86.HasAVX2 && cpu.X86.HasFMA
}

func hasAVX512() bool {
	return hasAVX2() && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
}
