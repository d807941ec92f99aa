package lifecycle

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// ends is the handler of pod events that notes how pods ended, and asks for their pools to be
// tended.
//
//	seen finished, or gone without ever having had a node     the address is free
//	gone, and not seen finished: deleted by force, or the     the address is held
//	watch jumped over the end
type ends struct {
	leaderships *leaderships
	claims      progress
	queue       view.Queue
}

var _ cache.ResourceEventHandler = ends{}

// OnAdd asks for the pools of a pod. That it is finished already proves nothing: its address may be
// another's by now.
func (h ends) OnAdd(object any, _ bool) {
	if p, ok := object.(*view.Pod); ok {
		h.appear(p)
		h.leaderships.noteTold(p.Revision)
	}
}

func (h ends) appear(p *view.Pod) {
	if p.Live() {
		h.leaderships.noteLive(p)
	}
	h.tend(p)
}

// OnUpdate notes that a pod has finished, or that it has not after all.
func (h ends) OnUpdate(before, after any) {
	o, ok1 := before.(*view.Pod)
	p, ok2 := after.(*view.Pod)
	if !ok1 || !ok2 {
		return
	}
	defer h.leaderships.noteTold(p.Revision)
	if o.UID == p.UID && o.Grace > p.Grace {
		h.leaderships.noteGrace(p.UID, o.Grace)
	}
	switch {
	case o.UID != p.UID: // another pod of the name: the watch jumped over the end of the first
		h.gone(o, p.Revision, true)
		h.appear(p)
	case o.Live() && p.Finished:
		h.leaderships.noteEnd(end{pod: p, revision: p.Revision, noticed: time.Now()})
		h.tend(p)
	case o.Finished && p.Live(), !slices.Equal(o.Claims, p.Claims):
		h.givenUp(o, p)
		h.appear(p)
	}
}

// givenUp notes the addresses that a pod does not claim any more. One without a node has not used
// them.
func (h ends) givenUp(before, after *view.Pod) {
	o := *before
	o.Claims = slices.DeleteFunc(slices.Clone(before.Claims), func(c crdv1.Claim) bool { return slices.Contains(after.Claims, c) })
	if len(o.Claims) == 0 {
		return
	}
	h.leaderships.noteEnd(end{pod: &o, revision: after.Revision, vanished: after.Node != "", noticed: time.Now()})
	h.tend(&o)
}

// OnDelete notes how the pod had ended. A tombstone says that the watch jumped over the end; what
// the store says now it said then.
func (h ends) OnDelete(object any) {
	switch o := object.(type) {
	case *view.Pod:
		h.gone(o, o.Revision, false)
		h.leaderships.noteTold(o.Revision)
	case cache.DeletedFinalStateUnknown:
		if p, ok := o.Obj.(*view.Pod); ok {
			h.gone(p, h.claims.Revision(), true)
		}
	}
}

// gone notes the end of a pod that was live when it was last seen. Where the watch jumped, it may
// have been bound to a node since. A deletion by force first stores a grace of nothing, which a
// kubelet that is cut off never sees: what it was told before counts.
func (h ends) gone(p *view.Pod, revision uint64, jumped bool) {
	grace := h.leaderships.takeGrace(p.UID)
	if p.Finished {
		return // noted when it finished
	}
	if grace > p.Grace {
		longer := *p
		longer.Grace = grace
		p = &longer
	}
	h.leaderships.noteEnd(end{pod: p, revision: revision, vanished: jumped || p.Node != "", noticed: time.Now()})
	h.tend(p)
}

func (h ends) tend(p *view.Pod) {
	for _, c := range p.Claims {
		h.queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: c.Pool}})
	}
}
