//go:build amd64 && !noasm

package kernel

// winogradLoopsOf returns the transforms of a family that this CPU runs.
func winogradLoopsOf(f Family) winogradLoops {
	switch f {
	case AVX512, AVX512BF16, AMX:
		return winogradLoops{
			tileLoops: tileLoops{input: winogradInputAVX512, gradient: winogradGradientAVX512, output: winogradOutputAVX512},
			half: tileLoops{
				input: winogradInputBFloat16AVX512, gradient: winogradGradientBFloat16AVX512, output: winogradOutputBFloat16AVX512,
			},
			weights: winogradWeightsAVX512, weightsGradient: winogradWeightsGradientAVX512,
		}
	case AVX2:
		return winogradLoops{
			tileLoops: tileLoops{input: winogradInputAVX2, gradient: winogradGradientAVX2, output: winogradOutputAVX2},
			half: tileLoops{
				input: winogradInputBFloat16AVX2, gradient: winogradGradientBFloat16AVX2, output: winogradOutputBFloat16AVX2,
			},
			weights: winogradWeightsAVX2, weightsGradient: winogradWeightsGradientAVX2,
		}
	}
	return portableWinogradLoops()
}
