package backbone

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"pretrain/internal/tensorfile"
)

// A Resizer is a backbone that can take weights which were trained for pictures or patches of other sizes.
type Resizer interface {
	// Resize returns a weight, named and laid out as outside (convolutions [filters, channels, height, width]), in the
	// shape that this network has it in, and what was done in words. A weight that fits, or that cannot be made to, comes
	// back as it is, without words.
	Resize(t tensorfile.Tensor) (tensorfile.Tensor, string)
}

// Resize interpolates position embeddings and patch kernels, as timm does when it loads weights (resample_abs_pos_embed
// in timm/layers/pos_embed.py and resample_patch_embed in timm/layers/patch_embed.py, commit 170a5b6, and 0ad09de).
func (v *vit) Resize(t tensorfile.Tensor) (tensorfile.Tensor, string) {
	switch t.Name {
	case "pos_embed":
		return v.resizePositions(t)
	case "patch_embed.proj.weight":
		return v.resizePatches(t)
	}
	return t, ""
}

// resizePositions resamples a square grid of positions, bicubic with antialiasing; those of the class token stay.
func (v *vit) resizePositions(t tensorfile.Tensor) (tensorfile.Tensor, string) {
	if len(t.Shape) != 3 || t.Shape[0] != 1 || t.Shape[2] != v.config.Width {
		return t, ""
	}
	prefix, width, to := v.config.prefix(), v.config.Width, v.grid(v.side)
	from := int(math.Round(math.Sqrt(float64(max(0, t.Shape[1]-prefix)))))
	if from == 0 || from*from+prefix != t.Shape[1] || from == to {
		return t, ""
	}
	resized := tensorfile.Tensor{Name: t.Name, Shape: []int{1, prefix + to*to, width}, Data: slices.Clone(t.Data[:prefix*width])}
	patches := mat.NewDense(from*from, width, float64s(t.Data[prefix*width:]))
	line := antialiased(from, to)
	var grid, result mat.Dense
	grid.Kronecker(line, line)
	result.Mul(&grid, patches)
	resized.Data = append(resized.Data, float32s(result.RawMatrix().Data)...)
	return resized, fmt.Sprintf("pos_embed is interpolated (bicubic, antialiased) from %d×%d to %d×%d patches", from, from, to, to)
}

// resizePatches resamples the kernels so that a patch that was enlarged or reduced gives the same token: by the
// pseudoinverse of the resize, w' = (Bᵀ)⁺·w (Beyer et al. 2023, FlexiViT, section 3.4). The resize is separable, and so is
// its pseudoinverse.
func (v *vit) resizePatches(t tensorfile.Tensor) (tensorfile.Tensor, string) {
	to := v.config.Patch
	if len(t.Shape) != 4 || t.Shape[2] != t.Shape[3] || t.Shape[2] == to || t.Shape[2] == 0 {
		return t, ""
	}
	from := t.Shape[2]
	line := pseudoinverse(antialiased(from, to)).T() // [to, from]
	var kernel mat.Dense
	kernel.Kronecker(line, line)
	filters := mat.NewDense(t.Shape[0]*t.Shape[1], from*from, float64s(t.Data))
	var result mat.Dense
	result.Mul(filters, kernel.T())
	resized := tensorfile.Tensor{Name: t.Name, Shape: []int{t.Shape[0], t.Shape[1], to, to}, Data: float32s(result.RawMatrix().Data)}
	return resized, fmt.Sprintf("the patch kernels are resampled (pseudoinverse of the bicubic resize) from %d×%d to %d×%d pixels", from, from, to, to)
}

// antialiased is the matrix [to, from] that resamples a line as torch.nn.functional.interpolate does with mode "bicubic"
// and antialias on: Keys' kernel with a = −0.5, widened by the reduction, its weights cut off at the ends and divided by
// their sum (aten/src/ATen/native/cpu/UpSampleKernel.cpp).
func antialiased(from, to int) *mat.Dense {
	matrix := mat.NewDense(to, from, nil)
	scale := float64(from) / float64(to)
	wide := max(1, scale)
	for i := range to {
		center := scale * (float64(i) + 0.5)
		first, last := max(0, int(center-2*wide+0.5)), min(from, int(center+2*wide+0.5))
		sum := 0.0
		for j := first; j < last; j++ {
			weight := keys((float64(j)-center+0.5)/wide, -0.5)
			matrix.Set(i, j, weight)
			sum += weight
		}
		for j := first; j < last; j++ {
			matrix.Set(i, j, matrix.At(i, j)/sum)
		}
	}
	return matrix
}

// pseudoinverse is that of Moore and Penrose. Singular values below those that float32 tells from zero count as zero, as
// in torch.linalg.pinv.
func pseudoinverse(a *mat.Dense) *mat.Dense {
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		panic("backbone: the singular values of a resize do not converge") // of a finite matrix they always do
	}
	rows, columns := a.Dims()
	values := svd.Values(nil)
	limit := values[0] * float64(max(rows, columns)) * 0x1p-23
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	for j, value := range values {
		inverse := 0.0
		if value > limit {
			inverse = 1 / value
		}
		for i := range columns {
			v.Set(i, j, v.At(i, j)*inverse)
		}
	}
	var result mat.Dense
	result.Mul(&v, u.T())
	return &result
}

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, value := range x {
		y[i] = float64(value)
	}
	return y
}

func float32s(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, value := range x {
		y[i] = float32(value)
	}
	return y
}
