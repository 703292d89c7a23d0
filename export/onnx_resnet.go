package export

import (
	"fmt"

	"pretrain/nn"
)

// onnxResNet is the residual network that backbone/resnet.go builds. Which blocks and shortcuts there are, the names of
// the weights tell. Normalisations stay operators of their own, by the running statistics: runtimes fold them into the
// convolutions when they load the file, and until then the weights are those of torchvision by name and value.
func onnxResNet(g *onnxGraph, m Model, pixels string) onnxFeatures {
	x, side := onnxStem(g, pixels, m.InputSide)
	f := onnxFeatures{side: side}
	for stage := range m.Depth {
		scope, stride := fmt.Sprintf("layer%d.", stage+1), 1
		if stage > 0 {
			stride, f.side = 2, halved(f.side)
		}
		for i := 0; i == 0 || g.has(fmt.Sprintf("%s%d.conv1.weight", scope, i)); i++ {
			x, stride = onnxBlock(g, fmt.Sprintf("%s%d.", scope, i), x, stride), 1
		}
		mean := g.add("GlobalAveragePool", scope+"mean", []string{x})
		f.layers = append(f.layers, g.add("Flatten", scope+"pooled", []string{mean}, integer("axis", 1)))
		f.dims = append(f.dims, m.Dim>>(m.Depth-1-stage)) // every stage doubles the channels
	}
	f.maps = x
	return f
}

// halved is the side of a map after stride 2 with padding that keeps the size otherwise.
func halved(side int) int { return (side + 1) / 2 }

// onnxStem is the published one of 7×7, or the small one of 3×3, and the side of its map.
func onnxStem(g *onnxGraph, pixels string, side int) (string, int) {
	if shape := g.take("conv1.weight").Shape; shape[len(shape)-1] == 3 {
		return g.relu("bn1", g.normalised("", "conv1", "bn1", pixels, 1)), side
	}
	x := g.relu("bn1", g.normalised("", "conv1", "bn1", pixels, 2))
	x = g.add("MaxPool", "maxpool", []string{x}, list("kernel_shape", 3, 3), list("strides", 2, 2), list("pads", 1, 1, 1, 1))
	return x, halved(halved(side))
}

// onnxBlock is a basic block, or a bottleneck where there is a third convolution.
func onnxBlock(g *onnxGraph, scope, x string, stride int) string {
	shortcut := x
	if g.has(scope + "downsample.0.weight") {
		shortcut = g.normalised(scope, "downsample.0", "downsample.1", x, stride)
	}
	first, last := stride, "bn2"
	bottleneck := g.has(scope + "conv3.weight")
	if bottleneck {
		first = 1
	}
	y := g.relu(scope+"bn1", g.normalised(scope, "conv1", "bn1", x, first))
	y = g.normalised(scope, "conv2", "bn2", y, stride/first)
	if bottleneck {
		last = "bn3"
		y = g.normalised(scope, "conv3", "bn3", g.relu(scope+"bn2", y), 1)
	}
	return g.relu(scope+last, g.add("Add", scope+"sum", []string{y, shortcut}))
}

// normalised is a convolution without bias, padded so that stride 1 keeps the size, and the normalisation after it.
func (g *onnxGraph) normalised(scope, convolution, norm, x string, stride int) string {
	weights := g.take(scope + convolution + ".weight")
	if len(weights.Shape) != 4 {
		g.fail(fmt.Errorf("tensor %s has shape %v: expected 4 dimensions", weights.Name, weights.Shape))
		return x
	}
	size := weights.Shape[3]
	pad := size / 2
	y := g.add("Conv", scope+convolution, []string{x, g.floats(weights)},
		list("kernel_shape", size, size), list("strides", stride, stride), list("pads", pad, pad, pad, pad))
	inputs := []string{y}
	for _, name := range []string{"weight", "bias", "running_mean", "running_var"} {
		inputs = append(inputs, g.weight(scope+norm+"."+name))
	}
	return g.add("BatchNormalization", scope+norm, inputs, float("epsilon", nn.BatchNormEpsilon))
}

func (g *onnxGraph) relu(name, x string) string { return g.add("Relu", name+".relu", []string{x}) }
