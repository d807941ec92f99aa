package ledger

import (
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/status"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Tx is the version of a pool that a write will be computed from, and what it will become.
type Tx struct {
	*State
	// Record is the State's, changed by its transitions.
	Record *allocator.Record
	// InService are the addresses that are handed out, see State. Only the leader changes it.
	InService allocator.Space
	// Conditions are the pool's, to be changed by meta.SetStatusCondition.
	Conditions []metav1.Condition
	// WaitedFor is the pool's: pods wait for an address, and those that come now wait behind them.
	// Only the leader changes it.
	WaitedFor bool
	// Now is the time of the attempt.
	Now time.Time

	recent *allocator.Recent
	free   allocator.Space
	used   func(netip.Addr) bool

	// What was counted of Record and still holds.
	counts *counts // what the caps bound; nil until somebody asks
	full   string  // why no address can be picked; empty until somebody asks
}

// begin returns a transaction on s that hands out those addresses of free that are not used.
func begin(s *State, free allocator.Space, recent *allocator.Recent, used func(netip.Addr) bool) *Tx {
	return &Tx{
		State:      s,
		Record:     s.Record.Clone(),
		InService:  s.InService,
		Conditions: slices.Clone(s.Pool.Status.Conditions),
		WaitedFor:  s.Pool.Status.WaitedFor,
		Now:        time.Now(),
		recent:     recent,
		free:       free,
		used:       used,
	}
}

// forget implements transaction.
func (tx *Tx) forget() { tx.counts, tx.full = nil, "" }

// Pick returns the address that should be handed out next.
func (tx *Tx) Pick() (netip.Addr, bool) {
	return allocator.Pick(tx.free, tx.Record, tx.recent, tx.used, tx.Now)
}

// handsOut returns what the pool may hand out, taken or not, as it will be written.
func (tx *Tx) handsOut() allocator.Space {
	if tx.InService.Equal(tx.Space) { // most often, and subtracting is dear
		return tx.Space
	}
	return tx.Space.Intersect(tx.InService)
}

// status is what the pool's status becomes; e is the record's encoding.
func (tx *Tx) status(e allocator.Encoded) crdv1.IPPoolStatus {
	total, allocated := int64(tx.Space.Size()), int64(tx.Record.Count()) // Size and Free stop at 2^63-1
	free := int64(allocator.Free(tx.handsOut(), tx.Record))
	s := crdv1.IPPoolStatus{
		TotalIPCount:     &total,
		AllocatedIPCount: &allocated,
		FreeIPCount:      &free,
		InService:        rangeTexts(tx.InService),
		WaitedFor:        tx.WaitedFor,
		Conditions:       tx.Conditions,
	}
	status.SetRecord(&s, e)
	return s
}
