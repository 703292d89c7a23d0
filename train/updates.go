package train

import (
	"math"
	"slices"
	"strings"

	"pretrain/nn"
)

// backbonePrefix begins the names of the parameters that all tasks share.
const backbonePrefix = "backbone."

// BlockUpdate is how far one optimizer step moved a block of the network.
type BlockUpdate struct {
	Block string  // such as blocks.3, layer2.0 or tasks.rotation
	Ratio float64 // L2 norm of the change over that of the weights; about 1e-3 is usual; NaN for weights of zero
}

// updates measures how far an optimizer step moves the parameters. Without a call of before it costs nothing. One
// goroutine may use it.
type updates struct {
	store  *nn.Store
	blocks []updateBlock
	values []float32 // before the step
}

type updateBlock struct {
	name       string
	parameters []*nn.Parameter
}

// newUpdates groups the parameters of a frozen store by block, in the order of their declaration.
func newUpdates(store *nn.Store) *updates {
	u := &updates{store: store, values: make([]float32, len(store.Values()))}
	for _, p := range store.Parameters() {
		name := blockOf(p.Name)
		at := slices.IndexFunc(u.blocks, func(b updateBlock) bool { return b.name == name })
		if at < 0 {
			at = len(u.blocks)
			u.blocks = append(u.blocks, updateBlock{name: name})
		}
		u.blocks[at].parameters = append(u.blocks[at].parameters, p)
	}
	return u
}

// blockOf is the block that a parameter belongs to: of the backbone the part up to a block's number, of a head all of
// its task.
func blockOf(parameter string) string {
	name, shared := strings.CutPrefix(parameter, backbonePrefix)
	parts := strings.Split(name, ".")
	numbered := len(parts) > 1 && strings.Trim(parts[1], "0123456789") == ""
	if len(parts) > 1 && (numbered || !shared) {
		return parts[0] + "." + parts[1]
	}
	return parts[0]
}

// before remembers the weights.
func (u *updates) before() { copy(u.values, u.store.Values()) }

// after compares the weights with those before: their norm, and how far every block moved.
func (u *updates) after() (norm float64, moved []BlockUpdate) {
	total := 0.0
	for _, block := range u.blocks {
		squares, change := 0.0, 0.0
		for _, p := range block.parameters {
			old := u.values[p.Offset : p.Offset+len(p.Value)]
			for i, now := range p.Value {
				difference := float64(now) - float64(old[i])
				change += difference * difference
				squares += float64(now) * float64(now)
			}
		}
		total += squares
		moved = append(moved, BlockUpdate{block.name, math.Sqrt(change / squares)})
	}
	return math.Sqrt(total), moved
}
