package lifecycle

import (
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
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
		h.tend(p)
	}
}

// OnUpdate notes that a pod has finished. Another UID is another pod of the
// name: the watch jumped over the end of the first.
func (h ends) OnUpdate(before, after any) {
	o, ok1 := before.(*Pod)
	p, ok2 := after.(*Pod)
	if !ok1 || !ok2 {
		return
	}
	if o.UID == p.UID && o.Live() && p.Finished {
		h.tenures.note(p, p.Revision)
	}
	if len(o.Claims) != len(p.Claims) || o.Finished != p.Finished || o.UID != p.UID {
		h.tend(p)
	}
}

// OnDelete notes the end of a pod that never had a node: it never ran. One that
// finished was noted then; to note it again would be about an address that may
// be another's by now. A tombstone says that the watch jumped over the end.
func (h ends) OnDelete(object any) {
	if p, ok := object.(*Pod); ok && p.Live() && p.Node == "" {
		h.tenures.note(p, p.Revision)
		h.tend(p)
	}
}

func (h ends) tend(p *Pod) {
	for _, c := range p.Claims {
		h.queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: c.Pool}})
	}
}
