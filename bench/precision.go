package bench

import "pretrain/nn"

// PrecisionNames lists the precisions.
func PrecisionNames() []string { return []string{string(nn.Float32), string(nn.BFloat16)} }
