package backbone

import (
	"fmt"

	"github.com/go-viper/mapstructure/v2"
)

// description is the part of a Backbone that is known without a graph.
type description struct {
	name, family             string
	side, dim, stride, depth int
	pooling, keyNames        string
	config                   any // struct
}

func (d *description) Name() string     { return d.name }
func (d *description) Family() string   { return d.family }
func (d *description) Side() int        { return d.side }
func (d *description) Dim() int         { return d.dim }
func (d *description) Stride() int      { return d.stride }
func (d *description) Depth() int       { return d.depth }
func (d *description) Pooling() string  { return d.pooling }
func (d *description) KeyNames() string { return d.keyNames }

func (d *description) Parameters() map[string]any {
	parameters := map[string]any{}
	if err := mapstructure.Decode(d.config, &parameters); err != nil {
		panic(fmt.Sprintf("backbone %s: parameters %+v: %v", d.name, d.config, err)) // a mistake in the struct's tags
	}
	return parameters
}
