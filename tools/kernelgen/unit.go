package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// unit is one vector width that a body is emitted for. Instructions that exist for both widths under one name, such
// as VMOVUPS or VFMADD231PS, are called on the embedded Context with registers from vector.
type unit struct {
	*build.Context
	suffix string // of function names: "AVX2" or "AVX512"
	bytes  int    // of a vector
	spare  int    // vector registers of the CPU
}

// bothUnits emits a body for AVX2 and for AVX-512.
func bothUnits(c *build.Context, body func(unit)) {
	body(unit{Context: c, suffix: "AVX2", bytes: 32, spare: 16})
	body(unit{Context: c, suffix: "AVX512", bytes: 64, spare: 32})
}

// lanes is the number of float32 in a vector.
func (u unit) lanes() int { return u.bytes / 4 }

// wide reports whether the unit is AVX-512, for bodies that use its mask registers.
func (u unit) wide() bool { return u.bytes == 64 }

// vector is a fresh vector register.
func (u unit) vector() reg.VecVirtual {
	if u.wide() {
		return u.ZMM()
	}
	return u.YMM()
}

// vectors is n fresh vector registers.
func (u unit) vectors(n int) []reg.VecVirtual {
	all := make([]reg.VecVirtual, n)
	for i := range all {
		all[i] = u.vector()
	}
	return all
}

// zero clears a vector register.
func (u unit) zero(v reg.VecVirtual) {
	if u.wide() {
		u.VPXORD(v, v, v)
		return
	}
	u.VXORPS(v, v, v)
}
