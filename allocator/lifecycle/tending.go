package lifecycle

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
)

// index is what tending asks about pods.
type index interface {
	// Live returns the live pods that claim an address, from whatever pool.
	Live(a netip.Addr) []*Pod
	// Carrier returns the pod that claims an address of a pool by a reservation.
	Carrier(pool string, a netip.Addr, r allocator.Reservation) (*Pod, bool)
	Revision() uint64
}

var _ index = (*Claims)(nil)

// tending brings the record of a pool in line with the pods. It decides on the
// version of the record that it is given, and may be asked again when the
// outcome of a write was unknown; what counts is then what the last version
// says.
type tending struct {
	pool   string
	claims index
	in     func(netip.Addr) bool      // whether the pool has an address
	holder func(netip.Addr) types.UID // of a settled address, before this tending

	ends     map[carried]end // seen and not acted upon
	appeared map[carried]*Pod

	steps map[netip.Addr]step // what was done, in whichever attempt
	final *allocator.Record   // after the last attempt
	early bool                // the view of the pods has not reached the mark
	late  map[carried]*Pod    // live, and the address is another's: two carry it
}

// step is one transition.
type step struct {
	verb string
	pod  *Pod
}

const (
	settled   = "settled"
	released  = "released"
	givenBack = "given back"
	putBack   = "put back"  // a live pod claims it, and the record did not know
	passedOn  = "passed on" // its pod has ended, another live one claims it
)

func (t *tending) do(r *allocator.Record) error {
	if t.steps == nil {
		t.steps = map[netip.Addr]step{}
	}
	t.early, t.final, t.late = false, r, map[carried]*Pod{}
	if err := t.reservations(r); err != nil {
		return err
	}
	if err := t.appearances(r); err != nil {
		return err
	}
	return t.releases(r)
}

// reservations settles those whose pod is in view. A token is given to one pod
// only, so the end of that pod ends its reservation, settled or not.
func (t *tending) reservations(r *allocator.Record) error {
	all := map[netip.Addr]allocator.Reservation{} // transitions change what r yields
	for address, v := range r.Reserved() {
		all[address] = v
	}
	for address, v := range all {
		pod, ok := t.claims.Carrier(t.pool, address, v)
		if !ok {
			pod, ok = t.ended(address, v)
		}
		switch {
		case !ok:
			continue
		case pod.Live():
			if err := r.Settle(address, v.Token, pod.Revision); err != nil {
				return err
			}
			t.steps[address] = step{settled, pod}
		default:
			if err := r.GiveBack(address, v.Token); err != nil {
				return err
			}
			t.steps[address] = step{givenBack, pod}
		}
	}
	return nil
}

// ended returns the pod of a reservation that is gone and never ran.
func (t *tending) ended(a netip.Addr, r allocator.Reservation) (*Pod, bool) {
	for key, e := range t.ends {
		if key.address == a && e.pod.Token == string(r.Token) && e.pod.Namespace == r.Pod.Namespace {
			over := *e.pod
			over.Finished = true
			return &over, true
		}
	}
	return nil, false
}

// appearances puts an address back that the record does not know although a live
// pod claims it (I8): the pod turned out to be live after all, or the record is
// that of a pool made anew.
func (t *tending) appearances(r *allocator.Record) error {
	for key, p := range t.appeared {
		switch {
		case !t.in(key.address): // no webhook of ours wrote that
			continue
		case !t.lives(key) || t.holderOf(key.address) == key.uid && r.IsSettled(key.address):
			continue
		case r.State(key.address) != allocator.StateFree:
			t.late[key] = p
			continue
		}
		if err := r.PutBack(key.address, p.Revision); err != nil {
			return err
		}
		t.steps[key.address] = step{putBack, p}
	}
	return nil
}

// releases frees the settled addresses whose own pod was seen to end.
func (t *tending) releases(r *allocator.Record) error {
	for key, e := range t.ends {
		if !r.IsSettled(key.address) || t.holderOf(key.address) != key.uid {
			continue // it is another pod's, or nobody's
		}
		if t.claims.Revision() < r.SeenThrough() {
			t.early = true
			continue
		}
		if others := t.claims.Live(key.address); len(others) > 0 {
			if !t.lives(key) { // two pods claimed it: it stays taken until the last has ended
				t.steps[key.address] = step{passedOn, others[0]}
			}
			continue
		}
		if err := r.Release(key.address); err != nil {
			return err
		}
		t.steps[key.address] = step{released, e.pod}
	}
	return nil
}

// lives reports whether the pod itself is live, whatever was noted of it.
func (t *tending) lives(key carried) bool {
	for _, p := range t.claims.Live(key.address) {
		if p.UID == key.uid {
			return true
		}
	}
	return false
}

// holderOf returns whose a settled address is, this tending included.
func (t *tending) holderOf(a netip.Addr) types.UID {
	if s, ok := t.steps[a]; ok && s.verb != released && s.verb != givenBack {
		return s.pod.UID
	}
	return t.holder(a)
}

// outcome returns, once the last version is stored, what was done, whose the
// addresses are now, and what needs no more acting upon.
func (t *tending) outcome() (done map[netip.Addr]step, holders map[netip.Addr]types.UID, over map[carried]end) {
	done, holders, over = map[netip.Addr]step{}, map[netip.Addr]types.UID{}, map[carried]end{}
	for a, s := range t.steps {
		freed := s.verb == released || s.verb == givenBack
		if t.final.IsSettled(a) == freed {
			continue // an attempt that was not stored
		}
		done[a], holders[a] = s, s.pod.UID
		if freed {
			holders[a] = ""
		}
	}
	for key, e := range t.ends {
		if !t.final.IsSettled(key.address) || t.holderOf(key.address) != key.uid || t.lives(key) {
			over[key] = e
		}
	}
	return done, holders, over
}
