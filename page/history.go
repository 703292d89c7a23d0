package page

import "pretrain/metrics"

// historyLimit is the number of records that a page shows at most: more than a screen has pixels across.
const historyLimit = 1500

// history keeps the records of a run within a bound, whatever its length: when there are twice as many as allowed, most of
// them go, spread evenly.
type history struct{ records []metrics.Record }

// add appends a record. The caller must not change it any more.
func (h *history) add(record metrics.Record) {
	h.records = append(h.records, record)
	if len(h.records) >= 2*historyLimit {
		h.records = thin(h.records, historyLimit)
	}
}

// thin returns at most limit of the records, spread evenly, the last one among them. What is rare, probes and closer looks,
// stays as long as it takes no more than half of the room.
func thin(records []metrics.Record, limit int) []metrics.Record {
	if len(records) <= limit {
		return records
	}
	rare := 0
	for _, record := range records {
		if isRare(record) {
			rare++
		}
	}
	stay := rare <= limit/2
	if !stay {
		rare = 0
	}
	others := len(records) - rare
	every := (others + limit - rare - 1) / (limit - rare)
	var kept []metrics.Record
	for i, at := 0, others; i < len(records); i++ {
		if stay && isRare(records[i]) {
			kept = append(kept, records[i])
			continue
		}
		if at--; at%every == 0 {
			kept = append(kept, records[i])
		}
	}
	return kept
}

func isRare(record metrics.Record) bool { return record.Probes != nil || record.Inspection != nil }
