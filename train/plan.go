package train

import (
	"cmp"
	"fmt"
	"slices"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/pretext"
)

// A Plan says what one step shows the backbone. Views of one geometry (side and number of tokens) form a pass:
// the backbone is applied to a pass once, whichever tasks its views belong to. Inside a pass a slot holds one view
// of the first pictures of the batch: of all of them, unless no task that reads it looks at all (the parameter `share`).
// Batches are shuffled anew in every epoch, so that the first pictures are a random choice.
//
// A Plan does not change after NewPlan and may be read by many goroutines.
type Plan struct {
	Passes   []Pass
	places   [][]place // [task][view]
	pictures []int     // of a batch that each task looks at, its first ones
}

// Pass is one application of the backbone.
type Pass struct {
	Side    int  // pixels
	Kept    int  // tokens kept of each view; 0 keeps all
	Indexed bool // positions are given a token at a time, because some view departs from its own ones
	Tokens  int  // tokens a view has in this pass; 0 for backbones without tokens
	Slots   []Slot
}

// Slot is one view of the first pictures of the batch.
type Slot struct {
	View     pretext.View
	Users    int // tasks that read it; more than one only for plain views
	First    int // row of its pass, counted in views, that holds picture 0
	Pictures int // that it holds: as many as the user that looks at most reads; the others read the first ones
}

// place is where a task finds one of its views.
type place struct{ pass, slot int }

// NewPlan lays out the views of the tasks for batches of the given number of pictures, of which task t looks at the
// first pictures[t]; nil shows all of them to every task. Tasks that ask for the same plain view share a slot; on a
// backbone whose normalisation looks at whole groups they must agree on the group too.
func NewPlan(b backbone.Backbone, tasks []pretext.Task, pictures []int, batch int) (*Plan, error) {
	if pictures == nil {
		pictures = slices.Repeat([]int{batch}, len(tasks))
	}
	if len(pictures) != len(tasks) {
		return nil, fmt.Errorf("%d numbers of pictures for %d tasks: pass one a task", len(pictures), len(tasks))
	}
	plan := &Plan{pictures: slices.Clone(pictures)}
	for t, task := range tasks {
		if pictures[t] < 1 || pictures[t] > batch {
			return nil, fmt.Errorf("task %s: looks at %d pictures of a batch: must be 1 to %d", task.Name(), pictures[t], batch)
		}
		var places []place
		for _, view := range task.Spec().Views {
			if view.Side <= 0 {
				return nil, fmt.Errorf("task %s: view %q has side %d: it must be positive", task.Name(), view.Name, view.Side)
			}
			if !b.UsesBatchStatistics() {
				view.Group = ""
			}
			places = append(places, plan.place(b, view, pictures[t]))
		}
		plan.places = append(plan.places, places)
	}
	plan.groupSlots()
	plan.numberRows()
	return plan, nil
}

// place finds or adds the slot of a view, with room for that many pictures.
func (p *Plan) place(b backbone.Backbone, view pretext.View, pictures int) place {
	at := slices.IndexFunc(p.Passes, func(pass Pass) bool { return pass.Side == view.Side && pass.Kept == view.Kept })
	if at < 0 {
		at = len(p.Passes)
		p.Passes = append(p.Passes, Pass{Side: view.Side, Kept: view.Kept, Tokens: tokens(b, view)})
	}
	pass := &p.Passes[at]
	pass.Indexed = pass.Indexed || view.Positions != backbone.PositionsOwn
	slot := slices.IndexFunc(pass.Slots, func(s Slot) bool { return shareable(s.View, view) })
	if slot < 0 {
		slot = len(pass.Slots)
		pass.Slots = append(pass.Slots, Slot{View: view})
	}
	pass.Slots[slot].Users++
	pass.Slots[slot].Pictures = max(pass.Slots[slot].Pictures, pictures)
	return place{at, slot}
}

// groupSlots orders the slots of each pass by statistics group, so that a group is a range of rows.
func (p *Plan) groupSlots() {
	for i := range p.Passes {
		pass := &p.Passes[i]
		order := make([]int, len(pass.Slots))
		for s := range order {
			order[s] = s
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(pass.Slots[a].View.Group, pass.Slots[b].View.Group) })
		slots := make([]Slot, len(order))
		moved := make([]int, len(order))
		for to, from := range order {
			slots[to], moved[from] = pass.Slots[from], to
		}
		pass.Slots = slots
		for _, places := range p.places {
			for v := range places {
				if places[v].pass == i {
					places[v].slot = moved[places[v].slot]
				}
			}
		}
	}
}

// numberRows gives every slot its rows, once the slots are in their order.
func (p *Plan) numberRows() {
	for _, pass := range p.Passes {
		row := 0
		for s := range pass.Slots {
			pass.Slots[s].First = row
			row += pass.Slots[s].Pictures
		}
	}
}

// Views is the number of views in a pass.
func (p Pass) Views() int {
	last := p.Slots[len(p.Slots)-1]
	return last.First + last.Pictures
}

// shareable reports whether two views are the same picture content seen through the same encoder options.
func shareable(a, b pretext.View) bool {
	return a.Plain != nil && b.Plain != nil && *a.Plain == *b.Plain &&
		a.Side == b.Side && a.Kept == b.Kept && a.Positions == b.Positions && a.Group == b.Group
}

// tokens is the number of tokens a view has after dropping.
func tokens(b backbone.Backbone, view pretext.View) int {
	switch {
	case !b.UsesTokens():
		return 0
	case view.Kept > 0:
		return view.Kept
	}
	grid := view.Side / b.Stride()
	return grid * grid
}

// Views is the number of views a step shows the backbone.
func (p *Plan) Views() int {
	views := 0
	for _, pass := range p.Passes {
		views += pass.Views()
	}
	return views
}

// groups lists the views of each statistics group of a pass, in row order.
func (p Pass) groups() []int {
	var groups []int
	for i, slot := range p.Slots {
		if i == 0 || slot.View.Group != p.Slots[i-1].View.Group {
			groups = append(groups, 0)
		}
		groups[len(groups)-1] += slot.Pictures
	}
	return groups
}

// rows is where the pass of a view holds the pictures that a task looks at.
func (p *Plan) rows(task, view int) (from, to int) {
	at := p.places[task][view]
	first := p.Passes[at.pass].Slots[at.slot].First
	return first, first + p.pictures[task]
}

// Batch holds what one step needs, in the layout of its plan. The loader's workers write disjoint slots of it; the
// training loop then binds the buffers to the graph without copying.
type Batch struct {
	Passes  []PassBuffers
	Targets [][]float32 // one a task: [pictures it looks at, Spec().Target]
}

// PassBuffers are the inputs of one pass.
type PassBuffers struct {
	Pixels    []float32 // [views·side·side, 3]
	Tokens    []float32 // [views·kept]; nil when all are kept
	Positions []float32 // [views·tokens]; nil when every token has its own position
}

// NewBatch allocates the buffers of one batch.
func (p *Plan) NewBatch(tasks []pretext.Task) *Batch {
	batch := &Batch{}
	for _, pass := range p.Passes {
		views := pass.Views()
		buffers := PassBuffers{Pixels: make([]float32, views*pass.Side*pass.Side*3)}
		if pass.Kept > 0 {
			buffers.Tokens = make([]float32, views*pass.Kept)
		}
		if pass.Indexed {
			buffers.Positions = make([]float32, views*pass.Tokens)
		}
		batch.Passes = append(batch.Passes, buffers)
	}
	for t, task := range tasks {
		batch.Targets = append(batch.Targets, make([]float32, p.pictures[t]*task.Spec().Target))
	}
	return batch
}

// Fill prepares the views and targets of one picture, for the tasks that look at it. It is called concurrently for
// different pictures of a batch.
func (p *Plan) Fill(tasks []pretext.Task, norm data.Normalization, sample *data.Sample, picture int, batch *Batch) error {
	for t, task := range tasks {
		if picture >= p.pictures[t] {
			continue
		}
		canvases := make([]pretext.Canvas, len(p.places[t]))
		for v, at := range p.places[t] {
			canvases[v] = p.canvas(batch, at, picture)
			if view := p.view(at); view.Plain != nil {
				norm.Apply(canvases[v].Pixels, sample.Crop(*view.Plain, view.Side))
				canvases[v].Pixels = nil
			}
		}
		size := task.Spec().Target
		target := batch.Targets[t][picture*size : (picture+1)*size]
		clear(target)
		if err := task.Prepare(sample, canvases, target); err != nil {
			return fmt.Errorf("task %s: %w", task.Name(), err)
		}
		for v, at := range p.places[t] {
			fillPositions(p.view(at).Positions, canvases[v])
		}
	}
	return nil
}

// Canvas is where a batch holds a view of a task for one of the pictures that the task looks at, plain views too. It
// shares the batch's memory.
func (p *Plan) Canvas(batch *Batch, task, view, picture int) pretext.Canvas {
	return p.canvas(batch, p.places[task][view], picture)
}

// canvas is the part of the batch that belongs to one view of one picture.
func (p *Plan) canvas(batch *Batch, at place, picture int) pretext.Canvas {
	pass, buffers := p.Passes[at.pass], batch.Passes[at.pass]
	row := pass.Slots[at.slot].First + picture
	part := func(buffer []float32, size int) []float32 {
		if buffer == nil {
			return nil
		}
		return buffer[row*size : (row+1)*size]
	}
	return pretext.Canvas{
		Pixels:    part(buffers.Pixels, pass.Side*pass.Side*3),
		Tokens:    part(buffers.Tokens, pass.Kept),
		Positions: part(buffers.Positions, pass.Tokens),
	}
}

func (p *Plan) view(at place) pretext.View { return p.Passes[at.pass].Slots[at.slot].View }

// fillPositions writes the positions that the task did not choose itself, in a pass where positions are given:
// those of the tokens that it kept, or none.
func fillPositions(positions backbone.Positions, canvas pretext.Canvas) {
	if positions == backbone.PositionsGiven {
		return
	}
	for t := range canvas.Positions {
		switch {
		case positions == backbone.PositionsNone:
			canvas.Positions[t] = -1
		case canvas.Tokens != nil:
			canvas.Positions[t] = canvas.Tokens[t]
		default:
			canvas.Positions[t] = float32(t)
		}
	}
}
