//go:build amd64 && !noasm

package kernel

// winogradLoopsOf returns the transforms of a family that this CPU runs.
func winogradLoopsOf(f Family) winogradLoops {
	switch f {
	case AVX512, AVX512BF16, AMX:
		return winogradLoops{
			input: winogradInputAVX512, gradient: winogradGradientAVX512, weights: winogradWeightsAVX512,
			output: winogradOutputAVX512, weightsGradient: winogradWeightsGradientAVX512,
		}
	case AVX2:
		return winogradLoops{
			input: winogradInputAVX2, gradient: winogradGradientAVX2, weights: winogradWeightsAVX2,
			output: winogradOutputAVX2, weightsGradient: winogradWeightsGradientAVX2,
		}
	}
	return portableWinogradLoops()
}
