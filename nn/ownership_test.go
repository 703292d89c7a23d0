package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/random"
)

// ownership plays a plan through on paper. Instead of a number, every word of memory holds the values whose content it
// has at that moment, so that reading a word that somebody else has written over in the meantime is seen whatever the
// numbers are. It knows nothing of lifetimes and intervals: only of who writes where and who reads what.
type ownership struct {
	plan  *plan
	arena []map[*value]bool            // by word
	own   map[*value][]map[*value]bool // memory outside the arena: gradients of parameters
	// using are the values that the running call reads or writes, of which another row may still be to come: only a result
	// that takes the place of one, row by row, may be written over it.
	using map[*value]bool
}

// checkOwnership reports the first step of the plan that reads what is not there any more, or not there yet.
func checkOwnership(p *plan) error {
	o := &ownership{plan: p, arena: make([]map[*value]bool, p.arena), own: map[*value][]map[*value]bool{}}
	for i, s := range p.steps {
		if i == p.calls[i].first {
			o.using = p.usedBy(p.calls[i])
		}
		if err := o.play(s); err != nil {
			return fmt.Errorf("step %d, %v: %w", i, s, err)
		}
	}
	for node := range p.kept {
		if err := o.reads(p.locations[node]); err != nil {
			return fmt.Errorf("kept %v: %w", node, err)
		}
	}
	for _, norm := range p.graph.batchNorms { // Program.BatchNorms shows their statistics after a run
		if at, computed := p.locations[norm.statistics]; computed {
			if err := o.reads(at); err != nil {
				return fmt.Errorf("%v: %w", norm.statistics, err)
			}
		}
	}
	return nil
}

func (o *ownership) play(s step) error {
	out := o.plan.locations[s.node].value
	switch {
	case s.part >= 0:
		return o.addPart(s, out)
	case s.part == clearing:
		for _, rows := range s.op.parts.unclaimed {
			if err := o.writes(out, rows.from*cols(s.node), rows.to*cols(s.node)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, input := range s.op.data() {
		if err := o.reads(o.plan.locations[input]); err != nil {
			return fmt.Errorf("reads %v: %w", input, err)
		}
	}
	if s.op.saved != nil {
		for _, side := range o.plan.sides[s.op.saved] {
			if err := o.reads(location{side, 0, side.size}); err != nil {
				return fmt.Errorf("reads what %v saved: %w", s.op.saved, err)
			}
		}
	}
	for _, result := range append([]*value{out}, o.plan.sides[s.node]...) {
		if err := o.writes(result, 0, result.size); err != nil {
			return err
		}
	}
	return nil
}

// usedBy lists what the steps of a call with followers read and write; of a single step nothing, whose kernel may do as it
// likes once it has read everything.
func (p *plan) usedBy(call span) map[*value]bool {
	using := map[*value]bool{}
	for _, s := range p.steps[call.first : call.last+1] {
		if call.first == call.last {
			break
		}
		using[p.locations[s.node].value] = true
		for _, side := range p.sides[s.node] {
			using[side] = true
		}
		for _, input := range s.op.data() {
			using[p.locations[input].value] = true
		}
	}
	return using
}

// addPart adds one part to a sum. A part that was computed in the memory of the sum becomes content of both.
func (o *ownership) addPart(s step, sum *value) error {
	part, width := o.plan.locations[s.op.inputs[s.part]], cols(s.node)
	if err := o.reads(part); err != nil {
		return fmt.Errorf("adds %v: %w", s.op.inputs[s.part], err)
	}
	for _, rows := range s.op.parts.segments[s.part] {
		from, to := rows.from*width, rows.to*width
		if rows.add {
			if err := o.reads(location{sum, from, to - from}); err != nil {
				return fmt.Errorf("adds to a sum: %w", err)
			}
		}
		if !s.skip {
			if err := o.writes(sum, from, to); err != nil {
				return err
			}
			continue
		}
		for _, word := range o.words(sum, from, to) {
			if !(*word)[part.value] {
				return fmt.Errorf("the part is not where the sum wants it")
			}
			(*word)[sum] = true
		}
	}
	return nil
}

// words is the memory of a part of a value; nil for leaves, which nobody writes.
func (o *ownership) words(v *value, from, to int) []*map[*value]bool {
	root, offset := v.root()
	if root.leaf != nil {
		return nil
	}
	memory, start := o.arena, 0
	if root.target != nil {
		if o.own[root] == nil {
			o.own[root] = make([]map[*value]bool, root.size)
		}
		memory = o.own[root]
	} else {
		start = root.memory.offset
	}
	var words []*map[*value]bool
	for i := from; i < to; i++ {
		at := offset + i
		if root.half {
			at /= 2 // two numbers share a word; they are of one row, which is of even width
		}
		words = append(words, &memory[start+at])
	}
	return words
}

func (o *ownership) writes(v *value, from, to int) error {
	for _, word := range o.words(v, from, to) {
		for other := range *word {
			if root, _ := other.root(); o.using[other] && other != v && !(v.taken && root == v.host) {
				return fmt.Errorf("writes over what other rows of the call still use")
			}
		}
		*word = map[*value]bool{v: true}
	}
	return nil
}

func (o *ownership) reads(at location) error {
	for i, word := range o.words(at.value, at.offset, at.offset+at.size) {
		if !(*word)[at.value] {
			return fmt.Errorf("number %d of %d is not there: %d others are", at.offset+i, at.value.size, len(*word))
		}
	}
	return nil
}

// CheckOwnership plans a graph and plays the plan through.
func CheckOwnership(c *Ctx, cost *G.Node, keep ...*G.Node) error {
	drawn, err := c.draw(planOptions{}, cost, keep)
	if err != nil {
		return err
	}
	return checkOwnership(drawn.plan)
}

// SpoilPlans plans a graph and moves its buffers, one after the other, to where another one lies. It returns how many of
// those plans use memory that is taken, and how many of them checkOwnership finds fault with.
func SpoilPlans(c *Ctx, cost *G.Node) (spoilt, found int, err error) {
	drawn, err := c.draw(planOptions{}, cost, nil)
	if err != nil {
		return 0, 0, err
	}
	var buffers []*interval
	for _, v := range drawn.plan.values {
		if v.memory != nil {
			buffers = append(buffers, v.memory)
		}
	}
	r := random.New(1, "spoilt")
	for range 40 {
		a, b := buffers[r.IntN(len(buffers))], buffers[r.IntN(len(buffers))]
		if a == b || a.first >= b.first || a.last <= b.first || a.offset+b.size > drawn.plan.arena {
			continue // b is to be born while a is still to be read
		}
		was := b.offset
		b.offset = a.offset
		spoilt++
		if checkOwnership(drawn.plan) != nil {
			found++
		}
		b.offset = was
	}
	return spoilt, found, nil
}
