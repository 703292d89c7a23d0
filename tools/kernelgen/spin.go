package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
)

// emitSpin declares pause, the body of a loop that waits.
func emitSpin(c *build.Context) {
	c.Function("pause")
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func()")
	c.Doc("pause tells the processor that a loop waits.")
	c.Pragma("noescape")
	for range 8 {
		c.PAUSE()
	}
	c.RET()
}
