package lifecycle

import (
	"net/netip"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/view"
)

// mostHeld bounds the holds of one pool: a settled address costs next to nothing in the record, a
// held one a line.
const mostHeld = 3000

// tryHold makes an address held that is in use, or awaits a pod, unless the record has most holds.
// It is the one way to a hold, and asks the record that the hold is made in: many pods may vanish
// at once, and several jobs hold. Where it returns false the address stays as it is until other
// holds have ended, which is as safe.
func tryHold(r *allocator.Record, a netip.Addr, h allocator.Hold, most int) (done bool, err error) {
	if r.CountHeld() >= most {
		return false, nil
	}
	if v, ok := r.AwaitedAt(a); ok {
		return true, r.HoldReserved(a, v.Token, h)
	}
	return true, r.Hold(a, h)
}

// holdFor returns the hold of the address of a pod that vanished.
func (t *tending) holdFor(p *view.Pod) allocator.Hold {
	return t.expected(allocator.Hold{Node: p.Node, Since: t.now, Grace: p.Grace, Pod: podOf(p)})
}

// expected adds when a hold will end if its node stays Ready; see proofs for what ends it.
func (t *tending) expected(h allocator.Hold) allocator.Hold {
	if _, lasts := t.nodes.Ready(h.Node); lasts > 0 {
		h.Until = h.Since.Add(readyMargin + allocator.WaitFor(h.Grace))
	}
	return h
}

func podOf(p *view.Pod) allocator.PodRef {
	return allocator.PodRef{Namespace: p.Namespace, Name: p.Name}
}
