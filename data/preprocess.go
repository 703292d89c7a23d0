package data

// Preprocess is the one preprocessing of evaluation, extraction and export: the short side becomes side pixels by
// an antialiased bicubic filter (larger or smaller), and the middle square is kept. Both happen in one resampling.
func Preprocess(img Image, side int) *Pixels {
	p := NewPixels(side)
	Resample(p, img, Centre(img))
	return p
}
