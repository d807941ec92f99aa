package lifecycle

import (
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// ends is the handler of pod events that notes the ends of pods, and asks for
// their pools to be tended.
type ends struct {
	tenures *tenures
	queue   queue
}

var _ cache.ResourceEventHandler = ends{}

// OnAdd asks for the pools of a pod. That it is finished already proves nothing:
// its address may be another's by now.
func (h ends) OnAdd(object any, _ bool) {
	if p, ok := object.(*Pod); ok {
		h.appear(p)
	}
}

func (h ends) appear(p *Pod) {
	if p.Live() {
		h.tenures.noteLive(p)
	}
	h.tend(p)
}

// OnUpdate notes that a pod has finished, or that it has not after all.
func (h ends) OnUpdate(before, after any) {
	o, ok1 := before.(*Pod)
	p, ok2 := after.(*Pod)
	if !ok1 || !ok2 {
		return
	}
	switch {
	case o.UID != p.UID: // another pod of the name: the watch jumped over the end of the first
		h.unseen(o)
		h.appear(p)
	case o.Live() && p.Finished:
		h.tenures.noteEnd(p)
		h.tend(p)
	case o.Finished && p.Live(), len(o.Claims) != len(p.Claims):
		h.appear(p)
	}
}

// OnDelete notes the end of a pod that never had a node: it never ran. One that
// finished was noted then. A tombstone says that the watch jumped over the end.
func (h ends) OnDelete(object any) {
	switch o := object.(type) {
	case *Pod:
		if o.Live() && o.Node == "" {
			h.tenures.noteEnd(o)
			h.tend(o)
			return
		}
		h.unseen(o)
	case cache.DeletedFinalStateUnknown:
		if p, ok := o.Obj.(*Pod); ok {
			h.unseen(p)
		}
	}
}

// unseen tells that the addresses of a pod stay taken.
func (h ends) unseen(p *Pod) {
	if p.Live() && len(p.Claims) > 0 {
		log.Log.Info("addresses stay taken: the pod vanished and no kubelet confirmed its end",
			"pod", p.String(), "uid", p.UID, "node", p.Node, "addresses", p.Claims)
	}
}

func (h ends) tend(p *Pod) {
	for _, c := range p.Claims {
		h.queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: c.Pool}})
	}
}
