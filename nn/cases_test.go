package nn_test

import (
	"math"
	"slices"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

func operationCases() []operationCase {
	return slices.Concat(matrixCases(), mapCases(), tokenCases(), rowCases(), lossCases())
}

func matrixCases() []operationCase {
	return []operationCase{
		{name: "Linear", build: func(c *nn.Ctx) *G.Node {
			return nn.LinearInit(c, "fc", param(c, "x", 7, 5), 3, true, nn.XavierUniform(5, 3))
		},
			naive: func(v values) mat { return refLinear(v.mat("x", 5), v.mat("fc.weight", 5), v["fc.bias"]) }},
		{name: "Linear without bias, one row", build: func(c *nn.Ctx) *G.Node { return nn.Linear(c, "fc", param(c, "x", 1, 17), 2, false) },
			naive: func(v values) mat { return refLinear(v.mat("x", 17), v.mat("fc.weight", 17), nil) }},
		{name: "MatMul", build: func(c *nn.Ctx) *G.Node { return nn.MatMul(c, param(c, "x", 4, 5), param(c, "y", 5, 3)) },
			naive: func(v values) mat {
				x, y := v.mat("x", 5), v.mat("y", 3)
				return refLinear(x, each(3, 5, func(i, j int) float64 { return y.at(j, i) }), nil)
			}},
		{name: "LayerNorm", build: func(c *nn.Ctx) *G.Node { return nn.LayerNorm(c, "norm", param(c, "x", 5, 19)) },
			naive: func(v values) mat {
				return refLayerNorm(v.mat("x", 19), v["norm.weight"], v["norm.bias"], nn.LayerNormEpsilon)
			}},
		{name: "GELU", build: func(c *nn.Ctx) *G.Node { return nn.GELU(c, param(c, "x", 3, 11)) },
			naive: func(v values) mat { return v.mat("x", 11).map1(refGELU) }},
		{name: "ReLU", build: func(c *nn.Ctx) *G.Node { return nn.ReLU(c, param(c, "x", 3, 11)) },
			naive: func(v values) mat { return v.mat("x", 11).map1(func(x float64) float64 { return max(x, 0) }) }},
		{name: "Exp", build: func(c *nn.Ctx) *G.Node { return nn.Exp(c, param(c, "x", 2, 3)) },
			naive: func(v values) mat { return v.mat("x", 3).map1(math.Exp) }},
		{name: "Scale", build: func(c *nn.Ctx) *G.Node { return nn.Scale(c, param(c, "x", 2, 3), -0.5) },
			naive: func(v values) mat { return v.mat("x", 3).map1(func(x float64) float64 { return -0.5 * x }) }},
		{name: "Add", build: func(c *nn.Ctx) *G.Node { return nn.Add(c, param(c, "x", 5, 3), param(c, "y", 5, 3)) },
			naive: func(v values) mat {
				return each(5, 3, func(i, j int) float64 { return v.mat("x", 3).at(i, j) + v.mat("y", 3).at(i, j) })
			}},
		{name: "Add of one node", build: func(c *nn.Ctx) *G.Node {
			x := nn.GELU(c, param(c, "x", 5, 3))
			return nn.Add(c, x, nn.Add(c, x, x))
		}, naive: func(v values) mat { return v.mat("x", 3).map1(func(x float64) float64 { return 3 * refGELU(x) }) }},
		{name: "Multiply", build: func(c *nn.Ctx) *G.Node { return nn.Multiply(c, param(c, "x", 5, 3), param(c, "y", 5, 3)) },
			naive: func(v values) mat {
				return each(5, 3, func(i, j int) float64 { return v.mat("x", 3).at(i, j) * v.mat("y", 3).at(i, j) })
			}},
		{name: "AddBias", build: func(c *nn.Ctx) *G.Node {
			return nn.Add(c, nn.AddBias(c, "bias", param(c, "x", 5, 3)), param(c, "y", 5, 3))
		},
			naive: func(v values) mat {
				return each(5, 3, func(i, j int) float64 { return v.mat("x", 3).at(i, j) + v["bias"][j] + v.mat("y", 3).at(i, j) })
			}},
	}
}

func mapCases() []operationCase {
	conv := window{views: 2, height: 5, width: 4, size: 3, stride: 2, pad: 1}
	patch := window{views: 2, height: 4, width: 6, size: 2, stride: 2}
	point := window{views: 3, height: 2, width: 3, size: 1, stride: 1}
	pool := window{views: 2, height: 5, width: 6, size: 3, stride: 2, pad: 1}
	convCase := func(name string, w window, channels, filters int) operationCase {
		return operationCase{name: name,
			build: func(c *nn.Ctx) *G.Node {
				return nn.Conv(c, "conv", testMap(c, "x", w.views, w.height, w.width, channels), filters, w.size, w.stride, w.pad).Node
			},
			naive: func(v values) mat {
				return refConv(w, v.mat("x", channels), v.mat("conv.weight", w.size*w.size*channels))
			}}
	}
	return []operationCase{
		convCase("Conv 3×3", conv, 3, 5), convCase("Conv patches", patch, 2, 3), convCase("Conv 1×1", point, 4, 2),
		{name: "MaxPool", build: func(c *nn.Ctx) *G.Node { return nn.MaxPool(c, testMap(c, "x", 2, 5, 6, 3), 3, 2, 1).Node },
			naive: func(v values) mat { return refMaxPool(pool, v.mat("x", 3)) }},
		{name: "MeanPool", build: func(c *nn.Ctx) *G.Node { return nn.MeanPool(c, param(c, "x", 15, 4), 3) },
			naive: func(v values) mat {
				return each(3, 4, func(i, j int) (mean float64) {
					for t := range 5 {
						mean += v.mat("x", 4).at(5*i+t, j) / 5
					}
					return mean
				})
			}},
		{name: "Upsample", build: func(c *nn.Ctx) *G.Node { return nn.Upsample(c, testMap(c, "x", 2, 2, 3, 3), 2).Node },
			naive: func(v values) mat {
				return each(2*4*6, 3, func(i, j int) float64 { return v.mat("x", 3).at((i/24*2+i/6%4/2)*3+i%6/2, j) })
			}},
		{name: "BatchNorm", build: func(c *nn.Ctx) *G.Node { return nn.BatchNorm(c, "bn", testMap(c, "x", 4, 2, 3, 5), nil, false).Node },
			naive: func(v values) mat {
				return refBatchNorm(v.mat("x", 5), v["bn.weight"], v["bn.bias"], nil, []int{24}, false, nn.BatchNormEpsilon)
			}},
		{name: "BatchNorm, groups, ReLU", build: func(c *nn.Ctx) *G.Node {
			x := testMap(c, "x", 4, 2, 3, 5)
			x.Groups = []int{1, 3}
			return nn.BatchNorm(c, "bn", x, nil, true).Node
		}, naive: func(v values) mat {
			return refBatchNorm(v.mat("x", 5), v["bn.weight"], v["bn.bias"], nil, []int{6, 18}, true, nn.BatchNormEpsilon)
		}},
		{name: "BatchNorm, residual, ReLU", build: func(c *nn.Ctx) *G.Node {
			residual := testMap(c, "r", 3, 2, 2, 3)
			return nn.BatchNorm(c, "bn", testMap(c, "x", 3, 2, 2, 3), &residual, true).Node
		}, naive: func(v values) mat {
			r := v.mat("r", 3)
			return refBatchNorm(v.mat("x", 3), v["bn.weight"], v["bn.bias"], &r, []int{12}, true, nn.BatchNormEpsilon)
		}},
		{name: "BatchNorm, residual", build: func(c *nn.Ctx) *G.Node {
			residual := testMap(c, "r", 3, 2, 2, 3)
			return nn.BatchNorm(c, "bn", testMap(c, "x", 3, 2, 2, 3), &residual, false).Node
		}, naive: func(v values) mat {
			r := v.mat("r", 3)
			return refBatchNorm(v.mat("x", 3), v["bn.weight"], v["bn.bias"], &r, []int{12}, false, nn.BatchNormEpsilon)
		}},
		{name: "Conv, BatchNorm, groups, residual, ReLU", build: func(c *nn.Ctx) *G.Node {
			x := testMap(c, "x", 3, 2, 3, 4)
			x.Groups = []int{1, 2}
			residual := testMap(c, "r", 3, 2, 3, 2)
			return nn.BatchNorm(c, "bn", nn.Conv(c, "conv", x, 2, 1, 1, 0), &residual, true).Node
		}, naive: func(v values) mat {
			y, r := refConv(point, v.mat("x", 4), v.mat("conv.weight", 4)), v.mat("r", 2)
			return refBatchNorm(y, v["bn.weight"], v["bn.bias"], &r, []int{6, 12}, true, nn.BatchNormEpsilon)
		}},
		{name: "BatchNorm, input reused", build: func(c *nn.Ctx) *G.Node {
			x := testMap(c, "x", 2, 2, 2, 3)
			x.Node = nn.Scale(c, x.Node, 2)
			return nn.BatchNorm(c, "bn", x, &x, true).Node
		}, naive: func(v values) mat {
			x := v.mat("x", 3).map1(func(x float64) float64 { return 2 * x })
			return refBatchNorm(x, v["bn.weight"], v["bn.bias"], &x, []int{8}, true, nn.BatchNormEpsilon)
		}},
	}
}

func tokenCases() []operationCase {
	positions := []float32{2, -1, 0, 2, -2, 3}
	picked := []float32{3, 0, 2, 2}
	return []operationCase{
		{name: "Attention", build: func(c *nn.Ctx) *G.Node { return nn.Attention(c, param(c, "qkv", 10, 18), 5, 2) },
			naive: func(v values) mat { out, _ := refAttention(v.mat("qkv", 18), 5, 2); return out }},
		{name: "AttentionOfFirst", build: func(c *nn.Ctx) *G.Node { return nn.AttentionOfFirst(c, param(c, "qkv", 10, 18), 5, 2, 2) },
			naive: func(v values) mat {
				all, _ := refAttention(v.mat("qkv", 18), 5, 2)
				return each(4, 6, func(i, j int) float64 { return all.at(i/2*5+i%2, j) })
			}},
		{name: "AttentionWeights", build: func(c *nn.Ctx) *G.Node { return nn.AttentionWeights(c, param(c, "qkv", 10, 18), 5, 2) },
			naive: func(v values) mat { _, w := refAttention(v.mat("qkv", 18), 5, 2); return w }, noGradient: true},
		{name: "PairScores", build: func(c *nn.Ctx) *G.Node { return nn.PairScores(c, param(c, "q", 6, 8), param(c, "k", 6, 8), 3, 4) },
			naive: func(v values) mat { return refPairScores(v.mat("q", 8), v.mat("k", 8), 3, 4) }},
		{name: "SliceTokens", build: func(c *nn.Ctx) *G.Node { return nn.SliceTokens(c, param(c, "x", 12, 3), 4, 1, 3) },
			naive: func(v values) mat {
				return each(6, 3, func(i, j int) float64 { return v.mat("x", 3).at(i/2*4+1+i%2, j) })
			}},
		{name: "PrependToken", build: func(c *nn.Ctx) *G.Node { return nn.PrependToken(c, "cls", param(c, "x", 6, 3), 2) },
			naive: func(v values) mat {
				return each(9, 3, func(i, j int) float64 {
					if i%3 == 0 {
						return v["cls"][j]
					}
					return v.mat("x", 3).at(i/3*2+i%3-1, j)
				})
			}},
		{name: "AddPositions", build: func(c *nn.Ctx) *G.Node {
			return nn.AddPositions(c, param(c, "table", 3, 5), param(c, "x", 6, 5), 3, nil)
		},
			naive: func(v values) mat {
				return each(6, 5, func(i, j int) float64 { return v.mat("x", 5).at(i, j) + v.mat("table", 5).at(i%3, j) })
			}},
		{name: "AddPositions, index", build: func(c *nn.Ctx) *G.Node {
			return nn.AddPositions(c, param(c, "table", 4, 5), param(c, "x", 6, 5), 3, c.Input("index", 6, 1))
		}, naive: func(v values) mat {
			return each(6, 5, func(i, j int) float64 {
				row := []int{2, -1, 0, 2, 3, 3}[i]
				if row < 0 {
					return v.mat("x", 5).at(i, j)
				}
				return v.mat("x", 5).at(i, j) + v.mat("table", 5).at(row, j)
			})
		}, inputs: map[string][]float32{"index": positions}},
		{name: "GatherTokens", build: func(c *nn.Ctx) *G.Node {
			return nn.GatherTokens(c, param(c, "x", 8, 3), 4, c.Input("index", 4, 1), 2)
		}, naive: func(v values) mat {
			return each(4, 3, func(i, j int) float64 { return v.mat("x", 3).at(i/2*4+int(picked[i]), j) })
		}, inputs: map[string][]float32{"index": picked}},
	}
}

func rowCases() []operationCase {
	return []operationCase{
		{name: "Reshape", build: func(c *nn.Ctx) *G.Node {
			// A slice before and after, so that the gradient passes through ranges of rows on both sides.
			return nn.Rows(c, nn.Reshape(c, nn.Rows(c, param(c, "x", 6, 4), 1, 4), 6, 2), 2, 5)
		}, naive: func(v values) mat {
			x := v.mat("x", 4)
			return each(3, 2, func(i, j int) float64 { at := 4 + 2*(i+2) + j; return x.at(at/4, at%4) })
		}},
		{name: "Rows", build: func(c *nn.Ctx) *G.Node { return nn.Rows(c, param(c, "x", 9, 3), 2, 6) },
			naive: func(v values) mat { return mat{v["x"][6:18], 3} }},
		{name: "Rows that overlap", build: func(c *nn.Ctx) *G.Node {
			x := nn.GELU(c, param(c, "x", 9, 3))
			return nn.Add(c, nn.Rows(c, nn.Rows(c, x, 1, 8), 0, 4), nn.Rows(c, x, 3, 7))
		}, naive: func(v values) mat {
			x := v.mat("x", 3)
			return each(4, 3, func(i, j int) float64 { return refGELU(x.at(i+1, j)) + refGELU(x.at(i+3, j)) })
		}},
		{name: "Slices and the whole", build: func(c *nn.Ctx) *G.Node {
			x := nn.GELU(c, param(c, "x", 8, 3))
			a := nn.GELU(c, nn.Rows(c, x, 0, 4))
			b := nn.ReLU(c, nn.Rows(c, x, 4, 8))
			return nn.Add(c, nn.ConcatRows(c, b, a), x)
		}, naive: func(v values) mat {
			x := v.mat("x", 3).map1(refGELU)
			return each(8, 3, func(i, j int) float64 {
				if i < 4 {
					return max(x.at(i+4, j), 0) + x.at(i, j)
				}
				return refGELU(x.at(i-4, j)) + x.at(i, j)
			})
		}},
		{name: "ConcatRows", build: func(c *nn.Ctx) *G.Node {
			x := nn.GELU(c, param(c, "x", 2, 3))
			return nn.ConcatRows(c, x, param(c, "y", 1, 3), x)
		}, naive: func(v values) mat {
			return each(5, 3, func(i, j int) float64 {
				if i == 2 {
					return v["y"][j]
				}
				return refGELU(v.mat("x", 3).at(i%3, j))
			})
		}},
		{name: "ConcatColumns", build: func(c *nn.Ctx) *G.Node { return nn.ConcatColumns(c, param(c, "x", 4, 3), param(c, "y", 4, 2)) },
			naive: func(v values) mat {
				return each(4, 5, func(i, j int) float64 {
					if j < 3 {
						return v.mat("x", 3).at(i, j)
					}
					return v.mat("y", 2).at(i, j-3)
				})
			}},
		{name: "Columns", build: func(c *nn.Ctx) *G.Node { return nn.Columns(c, param(c, "x", 4, 5), 1, 3) },
			naive: func(v values) mat { return each(4, 2, func(i, j int) float64 { return v.mat("x", 5).at(i, j+1) }) }},
	}
}

func lossCases() []operationCase {
	labels := []float32{2, -1, 0, 1, -1}
	weights := []float32{0.5, 0, 2, 1}
	scalar := func(x float64) mat { return mat{[]float64{x}, 1} }
	soft := func(v values) mat {
		targets := newMat(4, 3)
		for i := range targets.data {
			targets.data[i] = v["targets"][i]
		}
		return targets
	}
	distributions := []float32{1, 0, 0, 0.2, 0.3, 0.5, 0, 0.9, 0.1, 0.4, 0.4, 0.2}
	return []operationCase{
		{name: "CrossEntropy", build: func(c *nn.Ctx) *G.Node { return nn.CrossEntropy(c, param(c, "x", 5, 3), c.Input("labels", 5, 1)) },
			naive: func(v values) mat {
				targets, rowWeights := oneHot(v["labels"], 3)
				return scalar(refCrossEntropy(v.mat("x", 3), targets, rowWeights))
			}, inputs: map[string][]float32{"labels": labels}},
		{name: "CrossEntropy without labels", build: func(c *nn.Ctx) *G.Node { return nn.CrossEntropy(c, param(c, "x", 2, 3), c.Input("labels", 2, 1)) },
			naive: func(values) mat { return scalar(0) }, inputs: map[string][]float32{"labels": {-1, -1}}},
		{name: "SoftCrossEntropy", build: func(c *nn.Ctx) *G.Node {
			return nn.SoftCrossEntropy(c, param(c, "x", 4, 3), c.Input("targets", 4, 3), nil)
		},
			naive:  func(v values) mat { return scalar(refCrossEntropy(v.mat("x", 3), soft(v), []float64{1, 1, 1, 1})) },
			inputs: map[string][]float32{"targets": distributions}},
		{name: "SoftCrossEntropy, weights", build: func(c *nn.Ctx) *G.Node {
			return nn.SoftCrossEntropy(c, param(c, "x", 4, 3), c.Input("targets", 4, 3), c.Input("weights", 4, 1))
		}, naive: func(v values) mat { return scalar(refCrossEntropy(v.mat("x", 3), soft(v), v["weights"])) },
			inputs: map[string][]float32{"targets": distributions, "weights": weights}},
		{name: "Accuracy", build: func(c *nn.Ctx) *G.Node { return nn.Accuracy(c, param(c, "x", 4, 3), c.Input("labels", 4, 1)) },
			naive: func(v values) mat {
				right, counted := 0.0, 0.0
				for i, label := range v["labels"] {
					if label >= 0 {
						counted++
						if row := v.mat("x", 3).row(i); row[int(label)] == slices.Max(row) {
							right++
						}
					}
				}
				return scalar(right / counted)
			}, inputs: map[string][]float32{"labels": {0, 1, -1, 2}}, noGradient: true},
		{name: "Measure", build: func(c *nn.Ctx) *G.Node {
			return nn.Measure(c, "range", func(in ...[]float32) float32 { return slices.Max(in[0]) - slices.Min(in[1]) }, param(c, "x", 4, 3), param(c, "y", 2, 2))
		}, naive: func(v values) mat { return scalar(slices.Max(v["x"]) - slices.Min(v["y"])) }, noGradient: true},
		{name: "Sum", build: func(c *nn.Ctx) *G.Node { return nn.Sum(c, param(c, "x", 4, 3)) },
			naive: func(v values) mat {
				sum := 0.0
				for _, x := range v["x"] {
					sum += x
				}
				return scalar(sum)
			}},
		{name: "WeightedSum", build: func(c *nn.Ctx) *G.Node {
			x := nn.Sum(c, param(c, "x", 2, 2))
			return nn.WeightedSum(c, []*G.Node{x, nn.Sum(c, param(c, "y", 1, 1)), x}, param(c, "w", 1, 3))
		}, naive: func(v values) mat {
			sum := 0.0
			for _, x := range v["x"] {
				sum += x
			}
			return scalar(sum*(v["w"][0]+v["w"][2]) + v["y"][0]*v["w"][1])
		}},
	}
}
