//go:build amd64 && !noasm

package kernel

// loopsOf returns the inner loops of a family that this CPU runs.
func loopsOf(f Family) innerLoops {
	switch f {
	case AVX512, AVX512BF16, AMX:
		return innerLoops{
			rowLoops: rowLoops[float32]{
				add: addAVX512, scale: scaleAVX512, relu: reluAVX512, reluBackward: reluBackwardAVX512,
				columnSums: columnSumsAVX512, columnMoments: columnMomentsAVX512,
				layerNorm: layerNormAVX512, layerNormBackward: layerNormBackwardAVX512,
				normalize: normalizeAVX512, normalizeAdd: normalizeAddAVX512,
				normGradientSums: normGradientSumsAVX512, normGradientSumsReLU: normGradientSumsReLUAVX512,
				normGradientApply: normGradientApplyAVX512,
			},
			half: rowLoops[BFloat16]{
				add: addBFloat16AVX512, scale: scaleBFloat16AVX512, relu: reluBFloat16AVX512, reluBackward: reluBackwardBFloat16AVX512,
				columnSums: columnSumsBFloat16AVX512, columnMoments: columnMomentsBFloat16AVX512,
				layerNorm: layerNormBFloat16AVX512, layerNormBackward: layerNormBackwardBFloat16AVX512,
				normalize: normalizeBFloat16AVX512, normalizeAdd: normalizeAddBFloat16AVX512,
				normGradientSums: normGradientSumsBFloat16AVX512, normGradientSumsReLU: normGradientSumsReLUBFloat16AVX512,
				normGradientApply: normGradientApplyBFloat16AVX512,
			},
			widen: widenRowAVX512, narrow: narrowRowAVX512, narrowRows: narrowRowsAVX512,
			pair: pairRowsAVX512, pairHalves: pairHalvesRowsAVX512,
			gelu: geluAVX512, geluBackward: geluBackwardAVX512, lookUp: lookUpRowAVX512, weigh: weighRowAVX512,
			sum: sumAVX512, sumSquares: sumSquaresAVX512, finite: finiteAVX512, dot: dotAVX512, combine: combineAVX512,
			softmaxRows: softmaxRowsAVX512, exponentialRows: exponentialRowsAVX512, softmaxBackward: softmaxBackwardAVX512,
			maximum: maximumAVX512, adamW: adamWAVX512, sgd: sgdAVX512,
		}
	case AVX2:
		return innerLoops{
			rowLoops: rowLoops[float32]{
				add: addAVX2, scale: scaleAVX2, relu: reluAVX2, reluBackward: reluBackwardAVX2,
				columnSums: columnSumsAVX2, columnMoments: columnMomentsAVX2,
				layerNorm: layerNormAVX2, layerNormBackward: layerNormBackwardAVX2,
				normalize: normalizeAVX2, normalizeAdd: normalizeAddAVX2,
				normGradientSums: normGradientSumsAVX2, normGradientSumsReLU: normGradientSumsReLUAVX2,
				normGradientApply: normGradientApplyAVX2,
			},
			half: rowLoops[BFloat16]{
				add: addBFloat16AVX2, scale: scaleBFloat16AVX2, relu: reluBFloat16AVX2, reluBackward: reluBackwardBFloat16AVX2,
				columnSums: columnSumsBFloat16AVX2, columnMoments: columnMomentsBFloat16AVX2,
				layerNorm: layerNormBFloat16AVX2, layerNormBackward: layerNormBackwardBFloat16AVX2,
				normalize: normalizeBFloat16AVX2, normalizeAdd: normalizeAddBFloat16AVX2,
				normGradientSums: normGradientSumsBFloat16AVX2, normGradientSumsReLU: normGradientSumsReLUBFloat16AVX2,
				normGradientApply: normGradientApplyBFloat16AVX2,
			},
			widen: widenRowAVX2, narrow: narrowRowAVX2, narrowRows: narrowRowsAVX2,
			pair: pairRowsAVX2, pairHalves: pairHalvesRowsAVX2,
			gelu: geluAVX2, geluBackward: geluBackwardAVX2, lookUp: lookUpRowAVX2, weigh: weighRowAVX2,
			sum: sumAVX2, sumSquares: sumSquaresAVX2, finite: finiteAVX2, dot: dotAVX2, combine: combineAVX2,
			softmaxRows: softmaxRowsAVX2, exponentialRows: exponentialRowsAVX2, softmaxBackward: softmaxBackwardAVX2,
			maximum: maximumAVX2, adamW: adamWAVX2, sgd: sgdAVX2,
		}
	}
	return portableLoops()
}
