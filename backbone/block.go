package backbone

import (
	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// TransformerBlock is one pre-norm block (Dosovitskiy et al. 2021, eq. 2–3) under timm's parameter names: attention
// within each view, then an MLP with exact GELU, both added to their input. x is [views·tokens, width], width a
// multiple of heads; hidden is the width inside the MLP. The result is [views·first, width]: of the first tokens of each
// view, which is all that a last block need compute if nothing reads the others. Decoders of tasks use it too.
func TransformerBlock(c *nn.Ctx, x *G.Node, tokens, first, heads, hidden int) *G.Node {
	return blockResults(c, x, blockInputs(c, x), tokens, first, heads, hidden)
}

// blockInputs are the queries, keys and values of a block's tokens.
func blockInputs(c *nn.Ctx, x *G.Node) *G.Node {
	if c.Err() != nil {
		return nil
	}
	return nn.Linear(c, "attn.qkv", nn.LayerNorm(c, "norm1", x), 3*x.Shape()[1], true)
}

// blockResults is what a block makes of the first tokens of each view.
func blockResults(c *nn.Ctx, x, qkv *G.Node, tokens, first, heads, hidden int) *G.Node {
	if c.Err() != nil {
		return nil
	}
	width := x.Shape()[1]
	attended := nn.AttentionOfFirst(c.Scope("attn"), qkv, tokens, first, heads)
	x = nn.Add(c, nn.SliceTokens(c, x, tokens, 0, first), nn.Linear(c, "attn.proj", attended, width, true))
	inner := nn.GELU(c, nn.Linear(c, "mlp.fc1", nn.LayerNorm(c, "norm2", x), hidden, true))
	return nn.Add(c, x, nn.Linear(c, "mlp.fc2", inner, width, true))
}
