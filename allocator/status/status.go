// Package status is where the status of a pool and the text of the engine's record meet. It is the
// only mapping between the two: whoever reads or writes a record through the API uses it.
package status

import (
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Record decodes the record of a pool. Its error names the field and the line.
func Record(s *crdv1.IPPoolStatus) (*allocator.Record, error) { return allocator.Decode(text(s)) }

func text(s *crdv1.IPPoolStatus) allocator.Encoded {
	return allocator.Encoded{
		Settled:         s.Settled,
		Reserved:        s.Reserved,
		Retained:        s.Retained,
		Held:            s.Held,
		PodsSeenThrough: s.PodsSeenThrough,
		LongestGrace:    s.LongestGrace,
		Term:            s.Term,
	}
}

// SetRecord replaces the record in a status. Everything else in it stays.
func SetRecord(s *crdv1.IPPoolStatus, e allocator.Encoded) {
	s.Settled, s.Reserved, s.Retained, s.Held = e.Settled, e.Reserved, e.Retained, e.Held
	s.PodsSeenThrough, s.LongestGrace, s.Term = e.PodsSeenThrough, e.LongestGrace, e.Term
}
