package nn

import (
	"fmt"
	"slices"

	"pretrain/internal/random"
)

// Kind says what a parameter is for. Weight decay applies to weights only.
type Kind int

// Kinds of parameters.
const (
	Weight    Kind = iota // matrix of a linear layer, filter bank of a convolution
	Bias                  // added to every row
	Norm                  // scale or shift of a normalisation
	Position              // position embedding
	Token                 // class token and other learned tokens
	Statistic             // running mean or variance, or a fixed table; stored with the model, never trained
)

// String returns the lower-case name of the kind.
func (k Kind) String() string {
	names := [...]string{"weight", "bias", "norm", "position", "token", "statistic"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return names[k]
}

// OHWI is the Layout of convolution weights: [filters, kernel height, kernel width, channels].
const OHWI = "OHWI"

// Parameter is a named tensor that a Store owns. Training and loading change Value in place; the slices are replaced
// once, by Store.Freeze, and stay valid from then on.
type Parameter struct {
	Name     string
	Shape    []int
	Kind     Kind
	Layout   string    // OHWI for convolution weights, otherwise empty; tells exporters what to transpose
	Value    []float32 // row-major
	Gradient []float32 // of the last Run of a training program; nil before Freeze and for buffers
	Offset   int       // of Value in Store.Values; 0 before Freeze and for buffers
}

// Store holds the parameters and buffers of a model by name. Graphs declare what they need while they are built; the
// first Compile freezes the store, and later graphs may use only what is declared. A Store is not safe for concurrent
// use while graphs are built or programs run.
type Store struct {
	seed       uint64
	parameters []*Parameter
	buffers    []*Parameter
	byName     map[string]*Parameter
	values     []float32
	gradients  []float32
	frozen     bool
	sketch     bool // parameters have no numbers; see NewSketch
}

// NewStore returns an empty store whose parameters will be initialised from seed and their names alone, so that
// neither order of declaration nor other parameters matter.
func NewStore(seed uint64) *Store {
	return &Store{seed: seed, byName: map[string]*Parameter{}}
}

// Parameters returns the trained parameters in order of declaration. The slice is the caller's.
func (s *Store) Parameters() []*Parameter { return slices.Clone(s.parameters) }

// Buffers returns what is stored with the model but not trained: the running statistics of batch normalisation, fixed
// position tables.
func (s *Store) Buffers() []*Parameter { return slices.Clone(s.buffers) }

// Lookup returns the parameter or buffer of that name, or nil.
func (s *Store) Lookup(name string) *Parameter { return s.byName[name] }

// Values returns all parameters as one slice, each starting at a multiple of 64 bytes with zeros between them; nil
// before Freeze. The store owns it.
func (s *Store) Values() []float32 { return s.values }

// Gradients returns the gradients of all parameters in the layout of Values; nil before Freeze. Every Run of a
// training program overwrites all of it.
func (s *Store) Gradients() []float32 { return s.gradients }

// Freeze lays the parameters out flat and ends declaration. Compile calls it; calling it again does nothing.
func (s *Store) Freeze() {
	if s.frozen {
		return
	}
	s.frozen = true
	if s.sketch {
		for _, p := range s.parameters {
			p.Gradient = []float32{} // not nil: gradients belong there and not into the arena
		}
		return
	}
	size := 0
	for _, p := range s.parameters {
		size += padded(len(p.Value))
	}
	s.values, s.gradients = alignedFloats(size), alignedFloats(size)
	from := 0
	for _, p := range s.parameters {
		to := from + len(p.Value)
		copy(s.values[from:to], p.Value)
		p.Value, p.Gradient, p.Offset = s.values[from:to:to], s.gradients[from:to:to], from
		from += padded(len(p.Value))
	}
}

// declare returns the parameter of that name, creating and initialising it while the store is open.
func (s *Store) declare(name string, shape []int, kind Kind, layout string, init Initializer) (*Parameter, error) {
	size := 1
	for _, n := range shape {
		size *= n
	}
	if size <= 0 {
		return nil, fmt.Errorf("parameter %s has shape %v: every dimension must be positive", name, shape)
	}
	if p := s.byName[name]; p != nil {
		if !slices.Equal(p.Shape, shape) || p.Kind != kind {
			return nil, fmt.Errorf("parameter %s is declared as %s %v and as %s %v: use another name", name, p.Kind, p.Shape, kind, shape)
		}
		return p, nil
	}
	if s.frozen {
		return nil, fmt.Errorf("parameter %s is new, but the store is frozen by an earlier Compile: build the graph that declares every parameter first", name)
	}
	p := &Parameter{Name: name, Shape: slices.Clone(shape), Kind: kind, Layout: layout}
	if !s.sketch {
		p.Value = alignedFloats(size)
		if err := init(random.New(s.seed, "init:"+name), p); err != nil {
			return nil, fmt.Errorf("parameter %s %v: %w", name, shape, err)
		}
	}
	s.byName[name] = p
	if kind == Statistic {
		s.buffers = append(s.buffers, p)
	} else {
		s.parameters = append(s.parameters, p)
	}
	return p, nil
}
