package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// peakSums is the number of independent accumulators: more than any processor has multiply-adds in flight (two or so
// units, four or five cycles each), and few enough for the registers of AVX2.
const peakSums = 12

// emitPeak declares a loop of fused multiply-adds on registers alone, which is the most that a processor computes.
func emitPeak(c *build.Context) {
	bothUnits(c, func(u unit) { emitPeakLoop(u, u.suffix) })
	emitPeakLoop(unit{Context: c, bytes: 64}, dotSuffix) // as VDPBF16PS: see encodeDots
}

func emitPeakLoop(u unit, suffix string) {
	u.Function("peak" + suffix)
	u.Attributes(attr.NOSPLIT)
	u.SignatureExpr("func(rounds int, factor float32)")
	u.Doc("peak" + suffix + " adds 12 vectors of products a round; see peak.go.")
	rounds := u.Load(u.Param("rounds"), u.GP64())
	factor := u.vector()
	address, err := u.Param("factor").Resolve()
	if err != nil {
		panic(err) // the signature above has it
	}
	u.VBROADCASTSS(address.Addr, factor)
	sums := u.vectors(peakSums)
	for _, sum := range sums {
		u.zero(sum)
	}
	u.Label("round")
	for _, sum := range sums {
		u.VFMADD231PS(factor, factor, sum)
	}
	u.DECQ(rounds)
	u.JNE(LabelRef("round"))
	u.VZEROUPPER()
	u.RET()
}
