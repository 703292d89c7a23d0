package backbone

import (
	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// TransformerBlock is one pre-norm block (Dosovitskiy et al. 2021, eq. 2–3) under timm's parameter names: attention
// within each view, then an MLP with exact GELU, both added to their input. x is [views·tokens, width], width a
// multiple of heads; hidden is the width inside the MLP. It returns the block's output and what its attention reads.
// Decoders of tasks use it too.
func TransformerBlock(c *nn.Ctx, x *G.Node, tokens, heads, hidden int) (out, qkv *G.Node) {
	if c.Err() != nil {
		return nil, nil
	}
	width := x.Shape()[1]
	qkv = nn.Linear(c, "attn.qkv", nn.LayerNorm(c, "norm1", x), 3*width, true)
	attended := nn.Attention(c.Scope("attn"), qkv, tokens, heads)
	x = nn.Add(c, x, nn.Linear(c, "attn.proj", attended, width, true))
	inner := nn.GELU(c, nn.Linear(c, "mlp.fc1", nn.LayerNorm(c, "norm2", x), hidden, true))
	return nn.Add(c, x, nn.Linear(c, "mlp.fc2", inner, width, true)), qkv
}
