package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// world is one state of the model: what the API server stores, what really runs on nodes, and the
// memory of the leaders. A world that a step has made is never changed: the next step begins with a
// clone. So what an operation has read, and what was so when it decided, is simply an earlier
// world.
type world struct {
	s     *scenario
	clock time.Time

	pools     map[string]*crdv1.SpiderIPPool // name -> as stored; never changed
	version   int                            // of the pools' last write
	pods      map[string]*corev1.Pod         // name -> as stored; never changed
	log       []happening                    // all that a watch of pods shows
	made      int                            // pods that were ever stored
	endpoints map[netip.Addr]*view.Pod       // whom SpiderEndpoints show with an address
	nodes     map[string]*corev1.Node        // name -> as stored; never changed
	owner     *unstructured.Unstructured     // of the stable identities; nil while it is gone
	admitted  map[allocator.Token]admission  // answered by the webhook, and not stored or refused yet
	wire      map[types.UID]onWire           // what answers on the network, whatever the API server says
	replicas  map[string]*operation          // replica -> a reservation that is on its way
	leaders   [2]*leader
	budget    map[string]int // what may still happen how often
	wrong     []string       // violations that a step has noticed
}

// happening is what a watch shows of one change of one pod.
type happening struct {
	gone  bool
	pod   *view.Pod
	after map[string]*view.Pod // all pods then: name -> pod; never changed
}

// admission is a pod on its way from the webhook to etcd.
type admission struct {
	name     string
	identity bool
	token    allocator.Token
	claims   []crdv1.Claim
}

// onWire is a pod whose containers run.
type onWire struct {
	name, node string
	claims     []crdv1.Claim
	stored     bool // its object is there
}

const (
	modelNamespace = "ns"
	// tick is the only step of time: every grace and every interval is over after it.
	tick = 100 * time.Second
)

func (w *world) clone() *world {
	c := *w
	c.pools, c.pods, c.endpoints, c.nodes = maps.Clone(w.pools), maps.Clone(w.pods), maps.Clone(w.endpoints), maps.Clone(w.nodes)
	c.admitted, c.wire, c.replicas, c.budget = maps.Clone(w.admitted), maps.Clone(w.wire), maps.Clone(w.replicas), maps.Clone(w.budget)
	c.log = slices.Clip(w.log) // appending copies
	for i := range c.leaders {
		c.leaders[i] = w.leaders[i].clone()
	}
	return &c
}

func (w *world) violate(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// revisionAt is the revision of the pods after n happenings; that of none is not 0, which the
// leader takes for not known.
func revisionAt(n int) uint64 { return uint64(n + 1) }

func (w *world) revision() uint64 { return revisionAt(len(w.log)) }

// store puts a version of a pod into the API server, and into the log.
func (w *world) store(pod *corev1.Pod) {
	pod.ResourceVersion = strconv.FormatUint(revisionAt(len(w.log)+1), 10)
	w.pods[pod.Name] = pod
	w.happens(happening{pod: compact(pod)})
}

// edit stores a changed version of a pod.
func (w *world) edit(name string, change func(*corev1.Pod)) {
	pod := w.pods[name].DeepCopy()
	change(pod)
	w.store(pod)
}

// remove takes the object of a pod away. As the API server does it, the event has the pod as it
// was, at the revision of its end.
func (w *world) remove(name string) {
	pod := w.pods[name].DeepCopy()
	pod.ResourceVersion = strconv.FormatUint(revisionAt(len(w.log)+1), 10)
	delete(w.pods, name)
	w.happens(happening{gone: true, pod: compact(pod)})
	if on, ok := w.wire[pod.UID]; ok {
		on.stored = false
		w.wire[pod.UID] = on
	}
}

func compact(pod *corev1.Pod) *view.Pod {
	p, err := view.NewPod(pod)
	if err != nil {
		panic(err)
	}
	return p
}

// viewAt returns the pods as the first n happenings leave them: name -> pod.
func (w *world) viewAt(n int) map[string]*view.Pod {
	if n == 0 {
		return nil
	}
	return w.log[n-1].after
}

func (w *world) happens(h happening) {
	h.after = maps.Clone(w.viewAt(len(w.log)))
	if h.after == nil {
		h.after = map[string]*view.Pod{}
	}
	h.after[h.pod.Name] = h.pod
	if h.gone {
		delete(h.after, h.pod.Name)
	}
	w.log = append(w.log, h)
}

// newPod returns the object of a pod that was admitted; without claims it waits.
func (w *world) newPod(a admission) *corev1.Pod {
	w.made++
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: modelNamespace, Name: a.name, UID: types.UID(fmt.Sprintf("uid-%d", w.made)), Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: make([]corev1.Container, 1)},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	if a.identity {
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "uid-of-web", Controller: &yes}}
	}
	if len(a.claims) > 0 {
		maps.Copy(pod.Annotations, annotationsOf(string(a.token), a.claims))
	}
	return pod
}

func annotationsOf(token string, claims []crdv1.Claim) map[string]string {
	written := map[string]string{crdv1.AnnotationReservation: token}
	nics := map[string]crdv1.Assigned{} // NIC -> what it was given
	for _, c := range claims {
		a := nics[c.NIC]
		a.Interface = c.NIC
		if c.Address.Is4() {
			a.IPv4, a.IPv4Pool = c.Address.String()+"/24", c.Pool
		} else {
			a.IPv6, a.IPv6Pool = c.Address.String()+"/64", c.Pool
		}
		nics[c.NIC] = a
	}
	for nic, a := range nics {
		text, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		written[crdv1.AnnotationAssignedPrefix+nic] = string(text)
	}
	return written
}

// modelIdentity says that pods with an owner are of the StatefulSet web.
func modelIdentity(p *view.Pod) (allocator.Identity, string) {
	owner := metav1.GetControllerOfNoCopy(p)
	if owner == nil {
		return allocator.Identity{}, ""
	}
	return allocator.Identity{Namespace: p.Namespace, Group: "apps", Kind: owner.Kind, Name: owner.Name, Pod: p.Name}, string(owner.UID)
}

// reservation returns what the webhook says of a pod to come.
func (a admission) reservation() allocator.Reservation {
	r := allocator.Reservation{Token: a.token, Pod: allocator.PodRef{Namespace: modelNamespace}}
	if a.identity {
		r.For = allocator.Identity{Namespace: modelNamespace, Group: "apps", Kind: "StatefulSet", Name: "web", Pod: a.name}
		r.ForUID = "uid-of-web"
	}
	return r
}

// setOf returns the owner of the stable identities. Made again it has another UID.
func setOf(uid string, replicas int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "StatefulSet",
		"metadata": map[string]any{"namespace": modelNamespace, "name": "web", "uid": uid},
		"spec":     map[string]any{"replicas": replicas},
	}}
}

// nodeAt returns a node whose condition changed at a moment.
func nodeAt(name string, ready bool, since time.Time) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name)}}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, LastTransitionTime: metav1.NewTime(since)}}
	return n
}

// record reads a pool as it is stored.
func (w *world) record(pool string) *ledger.State {
	s, err := decodeOnce(w.pools[pool])
	if err != nil {
		panic(err)
	}
	return s
}

// check returns what is wrong with the world.
func (w *world) check() []string {
	wrong := slices.Clone(w.wrong)
	carriers := map[netip.Addr]map[types.UID]string{} // address -> pods
	carry := func(a netip.Addr, uid types.UID, what string) {
		if carriers[a] == nil {
			carriers[a] = map[types.UID]string{}
		}
		carriers[a][uid] = what
	}
	for uid, on := range w.wire {
		for _, c := range on.claims {
			carry(c.Address, uid, on.name+" on node "+on.node)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		p := compact(w.pods[name])
		if _, running := w.wire[p.UID]; p.Finished && !running {
			continue
		}
		for _, c := range p.Claims {
			carry(c.Address, p.UID, name)
			pool := w.pools[c.Pool]
			if pool == nil || !usable(pool) || !w.record(c.Pool).Free().Contains(c.Address) { // it may be another of that name
				continue
			}
			if !w.record(c.Pool).Record.Contains(c.Address) {
				wrong = append(wrong, fmt.Sprintf("I2: pod %s carries %s, which pool %s does not record", name, c.Address, c.Pool))
			}
		}
	}
	for a, pods := range carriers {
		if len(pods) > 1 {
			wrong = append(wrong, fmt.Sprintf("I1: %s is carried by %v", a, slices.Sorted(maps.Values(pods))))
		}
	}
	names := slices.Sorted(maps.Keys(w.pools))
	for i, name := range names {
		for _, other := range names[i+1:] {
			if common, ok := w.record(name).InService.Overlap(w.record(other).InService); ok {
				wrong = append(wrong, fmt.Sprintf("I1: %s is in service in pool %s and in pool %s", ledger.RangeText(common), name, other))
			}
		}
	}
	for name, pool := range w.pools {
		if n := pool.Status.AllocatedIPCount; n != nil && *n != int64(w.record(name).Record.Count()) {
			wrong = append(wrong, fmt.Sprintf("counters: pool %s says %d and records %d", name, *n, w.record(name).Record.Count()))
		}
	}
	return wrong
}

// usable reports whether a pool gives addresses.
func usable(pool *crdv1.SpiderIPPool) bool {
	_, why := pool.Readiness()
	return why == ""
}

// nodeReady reports whether a node is Ready.
func nodeReady(n *corev1.Node) bool { return n.Status.Conditions[0].Status == corev1.ConditionTrue }
