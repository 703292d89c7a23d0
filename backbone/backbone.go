// Package backbone holds the networks whose features are learned, one architecture family a file, behind a registry.
//
// A backbone turns views (square pictures) into features. It is a description only: Forward adds it to a graph, and
// the parameters live in the graph's store, so one Backbone may be applied many times, to several batch sizes and view
// sizes, and by several goroutines to different graphs. Parameters and buffers have the names and shapes that timm
// (ViT) and torchvision (ResNet) use, except that convolution weights are [filters, height, width, channels].
package backbone

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// Backbone is one network. It does not change and is safe for concurrent use.
type Backbone interface {
	// Forward applies the network to views. Parameters are declared in the scope of c, which the callers of this
	// module take to be "backbone". Views of any side that the architecture admits may pass; an error names what it
	// does not admit. Applying it twice to one graph shares the parameters.
	Forward(c *nn.Ctx, in Input) (Features, error)
	Name() string   // architecture, for instance "vit_tiny"
	Family() string // for instance "vit"
	// Parameters is the family's configuration by YAML key, with every zero resolved. The map is the caller's.
	Parameters() map[string]any
	Side() int        // pixels of a plain view
	Dim() int         // channels of the last layer
	Stride() int      // pixels between two positions of the last layer
	Depth() int       // number of layers
	Pooling() string  // how positions become one vector: "mean" or "class"
	KeyNames() string // whose parameter names are used: "timm" or "torchvision"
	// UsesTokens tells whether Input.Kept, Tokens and Positions are understood.
	UsesTokens() bool
	// UsesBatchStatistics tells whether views of one call influence each other, within a group, in training graphs.
	UsesBatchStatistics() bool
}

// Positions says which positions a token encoder gives the tokens of a view.
type Positions int

// Positions of tokens.
const (
	PositionsOwn   Positions = iota // every token has the position that it has in its view
	PositionsNone                   // no token has one
	PositionsGiven                  // Input.Positions decides for each token
)

// Input is what Forward reads. Only Images, Views and Side are needed.
type Input struct {
	Images *G.Node // [views·side·side, 3], normalised, rows in the order view, y, x
	Views  int
	Side   int   // pixels
	Groups []int // views of each batch-norm statistics group, in row order; nil is one group of all views

	// For backbones that use tokens. Kept is the number of tokens kept of each view, 0 for all; Tokens
	// [views·kept, 1] are then their numbers in the view, row-major, in any order.
	Kept   int
	Tokens *G.Node
	// Positions [views·(kept or all tokens), 1] gives each token that is kept a row of the view's position table (the
	// number of the token whose position it is), nn.NoPosition, or nn.UnknownPosition for a learned vector that stands
	// for "somewhere". nil gives every token its own position. The class token always has its own.
	Positions *G.Node
}

// Features are what a backbone makes of views. All nodes are rows × channels with the views in the order of the input.
type Features struct {
	// Layers holds the feature map of every layer; layer 1 is at index 0 and the last one is Map. The class token is
	// not in them. When tokens were dropped there is no grid left: Height is then 1 and Width the tokens kept.
	Layers []nn.Map
	Map    nn.Map  // the final layer, after the final normalisation
	Class  *G.Node // [views, Dim], the class token after the final normalisation; nil if there is none
	// Classes holds the class token of every layer, [views, channels], the last of which is Class; empty if there is none.
	Classes []*G.Node
	Pooled  *G.Node // [views, Dim], one vector a view: the mean over positions or the class token, as configured
	// Attention has what each block's attention reads, for pictures of it; empty for other backbones.
	Attention []AttentionInput

	// lastOf makes the last layer's features of views [from, to) anew; nil if they are rows of those of all views.
	lastOf func(from, to int) lastLayer
}

// lastLayer is what is made of a last layer: its map, its class token if there is one, and one vector a view.
type lastLayer struct {
	layer         nn.Map
	class, pooled *G.Node
}

// setLast adds the last layer to the ones before it.
func (f *Features) setLast(last lastLayer) {
	f.Layers, f.Map, f.Pooled = append(f.Layers, last.layer), last.layer, last.pooled
	if last.class != nil {
		f.Classes, f.Class = append(f.Classes, last.class), last.class
	}
}

// AttentionInput are the arguments that nn.AttentionWeights needs beside a Ctx. Token 0 is the class token if
// Features.Class is there.
type AttentionInput struct {
	QKV           *G.Node // [views·tokens, 3·dim]
	Tokens, Heads int
}

// Rows is the features of views [from, to): slices of the nodes, without a copy, and of some networks a last layer that is
// computed for these views alone. The maps are one statistics group, because the rows of a task belong to one. An error
// sticks to c, as with every operation.
func (f Features) Rows(c *nn.Ctx, from, to int) Features {
	views := f.Map.Views
	slice := func(node *G.Node) *G.Node {
		if node == nil || c.Err() != nil {
			return nil
		}
		perView := node.Shape()[0] / views
		return nn.Rows(c, node, from*perView, to*perView)
	}
	rows, last := Features{}, len(f.Layers)-1
	for _, layer := range f.Layers[:last] {
		rows.Layers = append(rows.Layers, sliceMap(layer, from, to, slice))
	}
	for _, class := range f.Classes[:max(0, len(f.Classes)-1)] {
		rows.Classes = append(rows.Classes, slice(class))
	}
	for _, a := range f.Attention {
		rows.Attention = append(rows.Attention, AttentionInput{slice(a.QKV), a.Tokens, a.Heads})
	}
	if f.lastOf != nil && to-from < views {
		rows.setLast(f.lastOf(from, to))
	} else {
		rows.setLast(lastLayer{sliceMap(f.Map, from, to, slice), slice(f.Class), slice(f.Pooled)})
	}
	return rows
}

func sliceMap(m nn.Map, from, to int, slice func(*G.Node) *G.Node) nn.Map {
	return nn.Map{Node: slice(m.Node), Views: to - from, Height: m.Height, Width: m.Width}
}

// check reports images whose shape is not what the other fields claim, and first of all an earlier error of the graph,
// which leaves inputs nil.
func (in Input) check(c *nn.Ctx) error {
	switch {
	case c.Err() != nil:
		return c.Err()
	case in.Images == nil:
		return fmt.Errorf("Input.Images is nil: pass a node of %d×3", in.Views*in.Side*in.Side)
	case in.Views <= 0 || in.Side <= 0:
		return fmt.Errorf("%d views of side %d: both must be positive", in.Views, in.Side)
	}
	if shape := in.Images.Shape(); shape.Dims() != 2 || shape[0] != in.Views*in.Side*in.Side || shape[1] != 3 {
		return fmt.Errorf("images have shape %v: %d views of side %d need %d rows of 3", shape, in.Views, in.Side, in.Views*in.Side*in.Side)
	}
	return nil
}

// images is the input as a feature map.
func (in Input) images() nn.Map {
	return nn.Map{Node: in.Images, Views: in.Views, Height: in.Side, Width: in.Side, Groups: in.Groups}
}
