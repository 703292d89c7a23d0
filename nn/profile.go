package nn

import (
	"cmp"
	"slices"
	"time"
)

// ProfileRow is the time that a program spent in one kind of operation since EnableProfile, and what it did.
type ProfileRow struct {
	Kind  string // such as "Linear" or "LinearBackwardWeights"
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
	for _, s := range p.steps {
		row, ok := byKind[s.op.kind]
		if !ok {
			row = len(profile.rows)
			byKind[s.op.kind] = row
			profile.rows = append(profile.rows, ProfileRow{Kind: s.op.kind})
		}
		profile.kind = append(profile.kind, row)
		profile.cost = append(profile.cost, p.plan.costOf(s))
	}
	p.profile = profile
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
		call()
		now := time.Now()
		row := &p.profile.rows[p.profile.kind[i]]
		row.Calls++
		row.add(p.profile.cost[i])
		row.Time += now.Sub(last)
		last = now
	}
}
