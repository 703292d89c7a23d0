//go:build !amd64 || noasm

package pixel

// haveAssembly says that this build holds the generated loops and this CPU runs them.
const haveAssembly = false

func inverseDCT(dst []uint8, stride int, b *Block) { inversePortable(dst, stride, b) }

// The loops below report that they have computed nothing.

func yCbCr(_, _, _, _ []uint8, _ int) int { return 0 }

func widen([]float32, []uint8) int { return 0 }

func filterRow(_, _ []float32, _ []int, _ []float32, _ int) int { return 0 }

func combineRows(_, _, _ []float32) int { return 0 }
