//go:build amd64 && !noasm

package kernel

// loopsOf returns the inner loops of a family that this CPU runs.
func loopsOf(f Family) innerLoops {
	switch f {
	case AVX512, AVX512BF16:
		return innerLoops{
			widen: widenRowAVX512, narrow: narrowRowAVX512, narrowRows: narrowRowsAVX512, pair: pairRowAVX512, pairHalves: pairHalvesRowsAVX512,
			add: addAVX512, scale: scaleAVX512, relu: reluAVX512, reluBackward: reluBackwardAVX512,
			gelu: geluAVX512, geluBackward: geluBackwardAVX512,
			sum: sumAVX512, sumSquares: sumSquaresAVX512, finite: finiteAVX512, dot: dotAVX512, combine: combineAVX512,
			columnSums: columnSumsAVX512, columnMoments: columnMomentsAVX512,
			layerNorm: layerNormAVX512, layerNormBackward: layerNormBackwardAVX512,
			normalize: normalizeAVX512, normalizeAdd: normalizeAddAVX512, normGradientSums: normGradientSumsAVX512, normGradientApply: normGradientApplyAVX512,
			softmaxRows: softmaxRowsAVX512, exponentialRows: exponentialRowsAVX512, softmaxBackward: softmaxBackwardAVX512,
			maximum: maximumAVX512, adamW: adamWAVX512, sgd: sgdAVX512,
		}
	case AVX2:
		return innerLoops{
			widen: widenRowAVX2, narrow: narrowRowAVX2, narrowRows: narrowRowsAVX2, pair: pairRowAVX2, pairHalves: pairHalvesRowsAVX2,
			add: addAVX2, scale: scaleAVX2, relu: reluAVX2, reluBackward: reluBackwardAVX2,
			gelu: geluAVX2, geluBackward: geluBackwardAVX2,
			sum: sumAVX2, sumSquares: sumSquaresAVX2, finite: finiteAVX2, dot: dotAVX2, combine: combineAVX2,
			columnSums: columnSumsAVX2, columnMoments: columnMomentsAVX2,
			layerNorm: layerNormAVX2, layerNormBackward: layerNormBackwardAVX2,
			normalize: normalizeAVX2, normalizeAdd: normalizeAddAVX2, normGradientSums: normGradientSumsAVX2, normGradientApply: normGradientApplyAVX2,
			softmaxRows: softmaxRowsAVX2, exponentialRows: exponentialRowsAVX2, softmaxBackward: softmaxBackwardAVX2,
			maximum: maximumAVX2, adamW: adamWAVX2, sgd: sgdAVX2,
		}
	}
	return portableLoops()
}
