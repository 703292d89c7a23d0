package nn_test

import "math"

// Naive float64 implementations: one plain loop nest an operation, written from the definitions and sharing nothing
// with the kernels. A matrix is its numbers, row-major, and its number of columns.

type mat struct {
	data []float64
	cols int
}

func newMat(rows, cols int) mat { return mat{make([]float64, rows*cols), cols} }

func (m mat) rows() int               { return len(m.data) / m.cols }
func (m mat) at(i, j int) float64     { return m.data[i*m.cols+j] }
func (m mat) row(i int) []float64     { return m.data[i*m.cols : (i+1)*m.cols] }
func (m mat) add(i, j int, v float64) { m.data[i*m.cols+j] += v }

// each computes a matrix element by element.
func each(rows, cols int, f func(i, j int) float64) mat {
	m := newMat(rows, cols)
	for i := range rows {
		for j := range cols {
			m.add(i, j, f(i, j))
		}
	}
	return m
}

// map1 applies f to every element.
func (m mat) map1(f func(float64) float64) mat {
	return each(m.rows(), m.cols, func(i, j int) float64 { return f(m.at(i, j)) })
}

func refLinear(x, w mat, bias []float64) mat {
	return each(x.rows(), w.rows(), func(i, j int) float64 {
		sum := 0.0
		if bias != nil {
			sum = bias[j]
		}
		for k := range x.cols {
			sum += x.at(i, k) * w.at(j, k)
		}
		return sum
	})
}

func refLayerNorm(x mat, gamma, beta []float64, eps float64) mat {
	return each(x.rows(), x.cols, func(i, j int) float64 {
		mean, variance := moments(x.row(i))
		return (x.at(i, j)-mean)/math.Sqrt(variance+eps)*gamma[j] + beta[j]
	})
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, variance
}

func refBatchNorm(x mat, gamma, beta []float64, residual *mat, groups []int, relu bool, eps float64) mat {
	y := newMat(x.rows(), x.cols)
	from := 0
	for _, n := range groups {
		for j := range x.cols {
			column := make([]float64, n)
			for i := range n {
				column[i] = x.at(from+i, j)
			}
			mean, variance := moments(column)
			for i := range n {
				v := (column[i]-mean)/math.Sqrt(variance+eps)*gamma[j] + beta[j]
				y.add(from+i, j, tail(v, residual, from+i, j, relu))
			}
		}
		from += n
	}
	return y
}

func tail(v float64, residual *mat, i, j int, relu bool) float64 {
	if residual != nil {
		v += residual.at(i, j)
	}
	if relu {
		v = max(v, 0)
	}
	return v
}

func refGELU(x float64) float64 { return x * 0.5 * (1 + math.Erf(x/math.Sqrt2)) }

// window is the geometry of a convolution or pooling.
type window struct{ views, height, width, size, stride, pad int }

func (w window) out() (int, int) {
	return (w.height+2*w.pad-w.size)/w.stride + 1, (w.width+2*w.pad-w.size)/w.stride + 1
}

// visit calls f for every (output row, input row, tap) inside the picture.
func (w window) visit(f func(out, in, tap int)) {
	height, width := w.out()
	for v := range w.views {
		for y := range height {
			for x := range width {
				for tap := range w.size * w.size {
					inY, inX := y*w.stride+tap/w.size-w.pad, x*w.stride+tap%w.size-w.pad
					if inY >= 0 && inY < w.height && inX >= 0 && inX < w.width {
						f((v*height+y)*width+x, (v*w.height+inY)*w.width+inX, tap)
					}
				}
			}
		}
	}
}

func refConv(w window, x, weights mat) mat {
	height, width := w.out()
	y := newMat(w.views*height*width, weights.rows())
	w.visit(func(out, in, tap int) {
		for filter := range weights.rows() {
			for channel := range x.cols {
				y.add(out, filter, x.at(in, channel)*weights.at(filter, tap*x.cols+channel))
			}
		}
	})
	return y
}

func refMaxPool(w window, x mat) mat {
	height, width := w.out()
	y := each(w.views*height*width, x.cols, func(_, _ int) float64 { return math.Inf(-1) })
	w.visit(func(out, in, _ int) {
		for channel := range x.cols {
			y.row(out)[channel] = max(y.at(out, channel), x.at(in, channel))
		}
	})
	return y
}

func refAttention(qkv mat, tokens, heads int) (out, weights mat) {
	dim := qkv.cols / 3
	size := dim / heads
	views := qkv.rows() / tokens
	out, weights = newMat(qkv.rows(), dim), newMat(views*heads*tokens, tokens)
	for v := range views {
		for h := range heads {
			for i := range tokens {
				p := weights.row((v*heads+h)*tokens + i)
				q := qkv.row(v*tokens + i)[h*size : (h+1)*size]
				for j := range tokens {
					p[j] = dot(q, qkv.row(v*tokens + j)[dim+h*size:]) / math.Sqrt(float64(size))
				}
				softmax(p)
				for j := range tokens {
					for d := range size {
						out.add(v*tokens+i, h*size+d, p[j]*qkv.at(v*tokens+j, 2*dim+h*size+d))
					}
				}
			}
		}
	}
	return out, weights
}

// dot multiplies a with the start of b.
func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func softmax(x []float64) {
	sum := 0.0
	for i := range x {
		x[i] = math.Exp(x[i])
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

func refPairScores(q, k mat, tokens, classes int) mat {
	size := q.cols / classes
	return each(q.rows()*tokens, classes, func(pair, class int) float64 {
		i, j := pair/tokens, pair/tokens/tokens*tokens+pair%tokens
		return dot(q.row(i)[class*size:(class+1)*size], k.row(j)[class*size:]) / math.Sqrt(float64(size))
	})
}

// refCrossEntropy is the weighted mean of −Σ targets·log softmax(logits).
func refCrossEntropy(logits, targets mat, weights []float64) float64 {
	loss, total := 0.0, 0.0
	for i := range logits.rows() {
		p := append([]float64{}, logits.row(i)...)
		softmax(p)
		for j, target := range targets.row(i) {
			loss -= weights[i] * target * math.Log(p[j])
		}
		total += weights[i]
	}
	if total == 0 {
		return 0
	}
	return loss / total
}

// oneHot turns labels into targets and weights: rows with a negative label weigh nothing.
func oneHot(labels []float64, classes int) (targets mat, weights []float64) {
	targets, weights = newMat(len(labels), classes), make([]float64, len(labels))
	for i, label := range labels {
		if label >= 0 {
			targets.add(i, int(label), 1)
			weights[i] = 1
		}
	}
	return targets, weights
}
