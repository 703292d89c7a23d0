package page

import (
	"slices"

	"pretrain/metrics"
)

// historyLimit is the number of records that a page shows at most: more than a screen has pixels across.
const historyLimit = 1500

// history keeps the records of a run within a bound, whatever its length: when there are twice as many as allowed, every
// second one goes. What is rare, probes and closer looks, stays longest.
type history struct{ records []metrics.Record }

// add appends a record. The caller must not change it any more.
func (h *history) add(record metrics.Record) {
	h.records = append(h.records, record)
	if len(h.records) >= 2*historyLimit {
		h.records = thin(h.records, historyLimit)
	}
}

// thin returns at most limit of the records, spread evenly, the last one among them.
func thin(records []metrics.Record, limit int) []metrics.Record {
	for keepRare := true; len(records) > limit; keepRare = false {
		var kept []metrics.Record
		for i, record := range records {
			rare := record.Probes != nil || record.Inspection != nil
			if (len(records)-1-i)%2 == 0 || keepRare && rare {
				kept = append(kept, record)
			}
		}
		records = kept
	}
	return slices.Clip(records)
}
