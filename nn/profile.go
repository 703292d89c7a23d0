package nn

import (
	"cmp"
	"slices"
	"time"
)

// ProfileRow is the time that a program spent in one kind of operation since EnableProfile, and what it did.
type ProfileRow struct {
	Kind  string // such as "LinearBackwardWeights", or "Linear+GELU" for a product and what follows it row by row
	Calls int    // over all Runs
	Time  time.Duration
	Cost  // over all Runs
}

// profile adds up times by kind.
type profile struct {
	rows []ProfileRow
	kind []int  // row of each call
	cost []Cost // of each call
}

// EnableProfile starts to measure every call of every Run, anew if it was on.
func (p *Program) EnableProfile() {
	profile := &profile{}
	byKind := map[string]int{}
	for _, c := range p.calls {
		kind := c.kind()
		row, ok := byKind[kind]
		if !ok {
			row = len(profile.rows)
			byKind[kind] = row
			profile.rows = append(profile.rows, ProfileRow{Kind: kind})
		}
		var cost Cost
		for _, s := range c.steps {
			cost.add(p.plan.costOf(s))
		}
		profile.kind, profile.cost = append(profile.kind, row), append(profile.cost, cost)
	}
	p.profile = profile
}

// kind names the kinds of a call's steps.
func (c kernelCall) kind() string {
	kind := c.steps[0].op.kind
	for _, s := range c.steps[1:] {
		kind += "+" + s.op.kind
	}
	return kind
}

// Profile returns what was measured, the longest first; nothing unless EnableProfile was called.
func (p *Program) Profile() []ProfileRow {
	if p.profile == nil {
		return nil
	}
	rows := slices.Clone(p.profile.rows)
	slices.SortStableFunc(rows, func(a, b ProfileRow) int { return cmp.Compare(b.Time, a.Time) })
	return rows
}

// runProfiled is the loop of Run with a clock.
func (p *Program) runProfiled() {
	last := time.Now()
	for i, call := range p.calls {
		p.current = i
		call.run()
		now := time.Now()
		row := &p.profile.rows[p.profile.kind[i]]
		row.Calls++
		row.add(p.profile.cost[i])
		row.Time += now.Sub(last)
		last = now
	}
}
