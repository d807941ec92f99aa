package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	"spidernet.io/spiderpool/allocator/owners"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// scenario says what there is, and what may happen how often.
type scenario struct {
	pools      map[string]string // name -> its addresses, of 10.0.0.0/24 or fd00::/64; none: it is not there at first
	later      map[string]string // the same of those that are made later; nil: all, with what they had
	edits      map[string]string // name -> what a pool's addresses may be edited to
	slots      [][]string        // what every pod asks for
	nics       bool              // each slot is for a NIC of its own
	pods       []string          // that may be admitted; web-… have a stable identity
	jobs       []string          // of the leaders
	budget     map[string]int    // kind of action -> how often it may happen; what is not named never does
	lags       bool              // handlers are told later than the store
	stale      bool              // what is written may have been decided of a version that is not the present one
	splits     bool              // replicas may act by an old view of the pools
	unknown    bool              // no endpoint tells where a pod was
	unassigned bool              // pods that are given no address are stored all the same
	floats     bool              // pods are stored before they have a node, and may be deleted then
	removes    bool              // objects of finished pods are deleted some day
	remembers  bool              // processes remember who came and went
	standby    bool              // the second process is a standby, and starts to watch
	dead       bool              // the first leader has ended
	away       bool              // the node is not Ready at first: what runs there goes on, and nobody says that it has ended
	longLists  bool              // to list all pods anew takes two steps
	nowhere    bool              // pods name a node that is not there, and may be some day
	noHolds    bool              // a pool has no room for holds
}

// action is something that may happen next.
type action struct {
	name string
	do   func() *world
}

// world returns the beginning.
func (s *scenario) world() *world {
	if s.pools == nil {
		s.pools, s.slots = map[string]string{"p": "10.0.0.1"}, [][]string{{"p"}}
	}
	if s.later == nil {
		s.later = s.pools
	}
	w := &world{
		s: s, clock: moment, pools: map[string]*crdv1.SpiderIPPool{}, pods: map[string]*corev1.Pod{}, endpoints: map[netip.Addr]*view.Pod{},
		nodes: map[string]*corev1.Node{}, owner: setOf("uid-of-web", 1), admitted: map[allocator.Token]admission{}, wire: map[types.UID]onWire{},
		replicas: map[string]*operation{}, budget: maps.Clone(s.budget),
	}
	w.nodes["n"] = nodeAt("n", !s.away, moment)
	for name, ips := range s.pools {
		if ips != "" {
			w.makePool(name, ips, true)
		}
	}
	w.leaders = [2]*leader{start(leaderNames[0], 0, 0), nobodyLeads(0)}
	w.leaders[0].leaderships.mostHeld = s.mostHeld()
	w.leaders[0].seesNodes(w)
	for _, name := range slices.Sorted(maps.Keys(w.pools)) { // the first has led for long
		for range 2 {
			t := &turn{now: w, seen: w, reads: w, l: w.leaders[0], limit: 1}
			t.run("tend", name)
		}
	}
	if s.standby {
		w.leaders[1] = standby(leaderNames[1], 1)
		w.leaders[1].seesNodes(w)
	}
	if s.dead {
		w.leaders[0] = nobodyLeads(1)
	}
	return w
}

func (s *scenario) mostHeld() int {
	if s.noHolds {
		return 0
	}
	return mostHeld
}

var leaderNames = [2]string{"one", "two"}

func (w *world) makePool(name, ips string, ready bool) {
	subnet := "10.0.0.0/24"
	if strings.Contains(ips, ":") {
		subnet = "fd00::/64"
	}
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(fmt.Sprintf("%s-%d", name, w.version)), Generation: 1, Finalizers: []string{crdv1.PoolFinalizer},
			CreationTimestamp: metav1.NewTime(w.clock),
		},
		Spec: crdv1.IPPoolSpec{Subnet: subnet, IPs: []string{ips}},
	}
	if ready {
		pool.Status.Conditions = []metav1.Condition{{
			Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, Reason: crdv1.ReasonInitialised, ObservedGeneration: 1,
		}}
	}
	w.putPool(pool)
}

// actions returns all that may happen next, always in the same order.
func (w *world) actions() []action {
	var all []action
	may := func(name string, do func(*world)) {
		all = append(all, action{name, func() *world {
			c := w.clone()
			do(c)
			return c
		}})
	}
	costs := func(what, name string, do func(*world)) {
		if w.budget[what] > 0 {
			may(name, func(c *world) {
				c.budget[what]--
				do(c)
			})
		}
	}
	w.admissions(may, costs)
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		w.lifeOf(w.pods[name], may, costs)
	}
	w.surroundings(may, costs)
	for i, l := range w.leaders {
		all = append(all, w.leads(i, l, may, costs)...)
	}
	return all
}

// find returns the first action whose name is one of those wanted.
func (w *world) find(is func(string) bool) (action, bool) {
	for _, a := range w.actions() {
		if is(a.name) {
			return a, true
		}
	}
	return action{}, false
}

// named returns an action that is possible now.
func (w *world) named(name string) action {
	a, ok := w.find(func(n string) bool { return n == name })
	if !ok {
		panic("nothing is called " + name)
	}
	return a
}

type (
	may   func(name string, do func(*world))
	costs func(what, name string, do func(*world))
)

func (w *world) admissions(may may, costs costs) {
	for i, name := range w.s.pods {
		if w.budget["admit"] == 0 {
			break
		}
		n := w.s.budget["admit"] - w.budget["admit"]
		a := admission{name: name, identity: strings.HasPrefix(name, "web-"), token: allocator.Token(strings.Repeat(string(rune('a'+n)), 16))}
		if !a.identity { // its controller makes up another name for each
			a.name = fmt.Sprintf("%s-%d", name, n)
		}
		if slices.Contains(w.s.pods[:i], name) {
			continue
		}
		if !w.s.splits {
			costs("admit", "admit "+a.name, func(c *world) { c.reserves(a, c, 9, false) })
		} else {
			costs("admit", "admit "+a.name, func(c *world) { c.replicas[string(a.token)] = &operation{at: w, admission: a} })
		}
		if w.budget["lost"] > 0 {
			costs("admit", "admit "+a.name+" and lose the answer", func(c *world) {
				c.budget["lost"]--
				c.reserves(a, c, 1, true)
			})
		}
		if _, there := w.pods[a.name]; !there {
			costs("outage", "admit "+a.name+" past the webhook", func(c *world) {
				c.budget["admit"] = max(c.budget["admit"]-1, 0)
				c.enters(admission{name: a.name, identity: a.identity})
			})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.replicas)) {
		op := w.replicas[key]
		may("reserve for "+op.admission.name, func(c *world) {
			delete(c.replicas, key)
			c.reserves(op.admission, op.at, 9, false)
		})
	}
	for _, token := range slices.Sorted(maps.Keys(w.admitted)) {
		a := w.admitted[token]
		if _, there := w.pods[a.name]; !there {
			may("store "+a.name, func(c *world) {
				delete(c.admitted, token)
				c.enters(a)
			})
		}
		may("refuse "+a.name, func(c *world) { delete(c.admitted, token) })
	}
}

// reserves lets a replica take addresses. Its view of the pods is the worst there is: it has seen
// none.
func (w *world) reserves(a admission, seen *world, limit int, lost bool) {
	s := &turn{now: w, seen: seen, reads: w, limit: limit, lost: lost}
	claims, err := s.book(nil).Reserve(s.ctx(), a.reservation(), w.s.asked())
	if err == nil {
		a.claims = claims
		w.admitted[a.token] = a
		return
	}
	if lost {
		return // what was reserved, nobody knows of
	}
	for name := range w.pools {
		for _, at := range w.record(name).Record.AllByToken(a.token) {
			w.violate("I9: %s of pool %s is reserved for an admission that was refused: %v", at, name, err)
		}
	}
	var exhausted *ledger.ExhaustedError
	if errors.As(err, &exhausted) {
		w.confirmed(exhausted)
	}
	if _, there := w.pods[a.name]; w.s.unassigned && !there {
		w.enters(a)
	}
}

// confirmed checks that pools that are said to be full are (I12).
func (w *world) confirmed(e *ledger.ExhaustedError) {
	for _, r := range e.Refusals {
		if w.pools[r.Pool] == nil {
			continue
		}
		state := w.record(r.Pool)
		if r.Cause == crdv1.ReasonPoolFull && allocator.Free(state.Free(), state.Record) > 0 && len(w.s.slots) == 1 {
			w.violate("I12: pool %s is said to be full and is not: %s", r.Pool, r.Reason)
		}
	}
}

// enters stores a pod; one without an address has our gate, unless it went past the webhook.
func (w *world) enters(a admission) {
	pod := w.newPod(a)
	if len(a.claims) == 0 && a.token != "" {
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: crdv1.GateWaitingForAddress}}
	}
	if w.s.nowhere {
		pod.Spec.NodeName = nowhere
	} else if _, there := w.nodes["n"]; there && !w.s.floats && len(pod.Spec.SchedulingGates) == 0 {
		pod.Spec.NodeName = "n"
		w.runs(pod)
	}
	w.store(pod)
	w.durable(pod)
}

// lifeOf is what may happen to one pod.
func (w *world) lifeOf(pod *corev1.Pod, may may, costs costs) {
	name, on := pod.Name, w.wire[pod.UID]
	_, running := w.wire[pod.UID]
	switch {
	case pod.Spec.NodeName == "":
		for _, node := range slices.Sorted(maps.Keys(w.nodes)) {
			if nodeReady(w.nodes[node]) && len(pod.Spec.SchedulingGates) == 0 {
				may("bind "+name+" to "+node, func(c *world) {
					c.edit(name, func(p *corev1.Pod) {
						p.Spec.NodeName = node
						c.runs(p)
					})
				})
			}
		}
		may("delete "+name, func(c *world) { c.remove(name) })
	case view.Finished(pod) && !running:
		if !w.s.removes {
			return
		}
		may("remove "+name, func(c *world) { c.remove(name) })
	case !running && (w.s.nowhere || w.budget["off"] < w.s.budget["off"]):
		w.lifeWithoutNode(pod, may, costs)
	case running:
		if node := w.nodes[on.node]; node != nil && nodeReady(node) {
			may("finish "+name, func(c *world) {
				delete(c.wire, pod.UID)
				c.edit(name, func(p *corev1.Pod) {
					p.Status.Phase = corev1.PodSucceeded
					p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
				})
			})
			if pod.Status.Phase == corev1.PodFailed {
				may("heal "+name, func(c *world) { c.edit(name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }) })
			}
		}
		costs("force", "delete "+name+" by force", func(c *world) { c.remove(name) })
		w.collection(pod, costs)
		if pod.Status.Phase == corev1.PodRunning {
			costs("foreign", "write phase Failed to "+name, func(c *world) { c.edit(name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }) })
		}
	}
}

// nowhere is a node that is not there at first.
const nowhere = "nowhere"

// lifeWithoutNode is what may happen to a pod that does not run on the node that it names.
func (w *world) lifeWithoutNode(pod *corev1.Pod, may may, costs costs) {
	name := pod.Name
	if node := w.nodes[pod.Spec.NodeName]; node != nil && nodeReady(node) && pod.Status.Phase == corev1.PodPending && len(pod.Annotations) > 0 {
		may("start "+name, func(c *world) { c.edit(name, c.runs) })
	}
	costs("force", "delete "+name+" by force", func(c *world) { c.remove(name) })
	w.collection(pod, costs)
}

// collection is the pod garbage collector, which fails the pods of nodes that are gone.
func (w *world) collection(pod *corev1.Pod, costs costs) {
	if w.nodes[pod.Spec.NodeName] != nil || pod.Status.Phase == corev1.PodFailed {
		return
	}
	costs("collect", "the pod garbage collector fails "+pod.Name, func(c *world) {
		c.edit(pod.Name, func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
		})
	})
}

// runs has the kubelet of a pod start it, once it has a node and an address. That it runs shows
// with the same version of the pod.
func (w *world) runs(pod *corev1.Pod) {
	claims, _ := crdv1.ClaimsOf(pod.Annotations)
	if _, running := w.wire[pod.UID]; running || pod.Spec.NodeName == "" || len(claims) == 0 || pod.Status.Phase != corev1.PodPending {
		return
	}
	w.wire[pod.UID] = onWire{name: pod.Name, node: pod.Spec.NodeName, claims: claims, stored: true}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	if !w.s.unknown {
		for _, c := range claims {
			w.endpoints[c.Address] = &view.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, Node: pod.Spec.NodeName, Claims: claims}
		}
	}
}

// surroundings are nodes, time, owners and pools.
func (w *world) surroundings(may may, costs costs) {
	quiet := len(w.admitted) == 0 && len(w.replicas) == 0 // no admission lasts as long as a tick
	for _, uid := range slices.Sorted(maps.Keys(w.wire)) {
		on := w.wire[uid]
		if node := w.nodes[on.node]; !on.stored && node != nil && nodeReady(node) {
			quiet = false // nor does a kubelet that is there
			may("kubelet ends "+on.name, func(c *world) { delete(c.wire, uid) })
		}
	}
	if quiet {
		costs("tick", "time passes", func(c *world) { c.clock = c.clock.Add(tick) })
	}
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		up := nodeReady(w.nodes[name])
		costs("node", fmt.Sprintf("node %s is Ready: %t", name, !up), func(c *world) { c.nodes[name] = nodeAt(name, !up, c.clock) })
		busy := func(on onWire) bool { return on.node == name }
		if !up && !slices.ContainsFunc(slices.Collect(maps.Values(w.wire)), busy) {
			costs("gone", "node "+name+" is deleted", func(c *world) { delete(c.nodes, name) })
		}
	}
	if _, there := w.nodes[nowhere]; !there {
		costs("register", "a node registers as nowhere", func(c *world) { c.nodes[nowhere] = nodeAt(nowhere, true, c.clock) })
	}
	if _, there := w.nodes["n"]; there {
		costs("off", "node n is switched off for good, and deleted", func(c *world) {
			maps.DeleteFunc(c.wire, func(_ types.UID, on onWire) bool { return on.node == "n" })
			delete(c.nodes, "n")
		})
	} else {
		costs("register", "another machine registers as node n", func(c *world) { c.nodes["n"] = nodeAt("n", true, c.clock) })
	}
	if w.owner == nil {
		costs("scale", "the owner is made again", func(c *world) { c.owner = setOf("another-uid", 1) })
	} else {
		costs("scale", "the owner is scaled", func(c *world) { c.owner = setOf(string(w.owner.GetUID()), 1-replicasOf(w)) })
		costs("orphan", "the owner is deleted, its pods are not", func(c *world) { c.owner = nil })
	}
	for _, name := range slices.Sorted(maps.Keys(w.s.pools)) {
		if _, there := w.pools[name]; !there {
			if ips := w.s.later[name]; ips != "" {
				may("pool "+name+" is made", func(c *world) { c.makePool(name, ips, false) })
			}
			continue
		}
		if ips := w.s.edits[name]; ips != "" && w.mayEdit(name, ips) {
			costs("edit", "pool "+name+" is edited to "+ips, func(c *world) { c.editPool(name, ips) })
		}
		if ips := w.s.pools[name]; w.s.edits[name] != "" && ips != "" && w.mayEdit(name, ips) {
			costs("edit", "pool "+name+" is edited back", func(c *world) { c.editPool(name, ips) })
		}
		if len(w.admitted) == 0 { // what is on its way then, nobody can know of: a limit that the README names
			costs("pool", "pool "+name+" is deleted by force", func(c *world) { delete(c.pools, name) })
		}
	}
}

// mayEdit reports whether admission lets a pool's addresses become these: none that is taken goes.
// That no other pool has them it cannot know for sure.
func (w *world) mayEdit(name, ips string) bool {
	next := *w.pools[name]
	next.Spec.IPs = []string{ips}
	space, err := ledger.SpaceOf(&next.Spec)
	if err != nil {
		panic(err)
	}
	for a := range w.record(name).Record.Taken().All() {
		if !space.Contains(a) {
			return false
		}
	}
	return w.pools[name].Spec.IPs[0] != ips
}

func (w *world) editPool(name, ips string) {
	next := *w.pools[name]
	next.Spec.IPs = []string{ips}
	next.Generation++
	w.putPool(&next)
}

func replicasOf(w *world) int64 {
	spec, _ := w.owner.Object["spec"].(map[string]any)
	n, _ := spec["replicas"].(int64)
	return n
}

// leads is what one leader may do, and what may happen to it.
func (w *world) leads(i int, l *leader, may may, costs costs) []action {
	who := leaderNames[i] + ": "
	for _, view := range slices.Compact([]int{0, len(w.log)}) {
		costs("start", fmt.Sprintf("%sstarts with a list of revision %d", who, revisionAt(view)), func(c *world) { c.restart(i, view) })
	}
	if l.term == "" {
		return nil
	}
	if l.blank {
		for _, view := range slices.Compact([]int{0, len(w.log)}) {
			may(fmt.Sprintf("%slists pods of revision %d", who, revisionAt(view)), func(c *world) { c.leaders[i].listsFirst(c, view) })
		}
		w.remembering(i, l, may, costs)
		return nil
	}
	listing := w.s.longLists && !l.watched.lists.answered
	if l.view < len(w.log) && !listing {
		may(who+"watch", func(c *world) {
			c.leaders[i].view++
			if !w.s.lags && l.pending == nil {
				c.leaders[i].notices(c)
			}
		})
	}
	if op := l.pending; op != nil {
		may(who+op.job+" writes", func(c *world) { c.commits(i, op, false) })
		costs("lost", who+op.job+" writes and dies before the answer", func(c *world) { c.commits(i, op, true) })
		return nil
	}
	if l.told < l.view {
		may(who+"handlers are told", func(c *world) { c.leaders[i].notices(c) })
	}
	switch {
	case listing:
		may(who+"has the list", func(c *world) { c.leaders[i].relists(c) })
	case l.view < len(w.log) && l.told == l.view && !w.s.longLists:
		costs("relist", who+"list", func(c *world) { c.leaders[i].relists(c) })
	}
	if w.s.remembers {
		w.remembering(i, l, may, costs)
	}
	if l.standby {
		return nil
	}
	if (slices.Contains(w.s.jobs, "holds") || slices.Contains(w.s.jobs, "lost")) && !maps.Equal(l.nodes, w.nodes) {
		may(who+"watch nodes", func(c *world) { c.leaders[i].seesNodes(c) })
	}
	return w.jobs(i, l)
}

// restart ends a leader wherever it is, and starts another in its place.
func (w *world) restart(i, view int) {
	l := start(leaderNames[i], w.leaders[i].lives+1, view)
	w.leaders[i] = l
	l.leaderships.mostHeld = w.s.mostHeld()
	l.seesNodes(w)
	tellList(ends{leaderships: l.leaderships, claims: at{revisionAt(view)}, queue: deaf{}}, nil, w.viewAt(view))
	l.watched.hearsAll(nil, w.viewAt(view), view)
}

// jobs are what a leader may decide to do. One that has nothing to write is over at once.
func (w *world) jobs(i int, l *leader) []action {
	var all []action
	for _, job := range w.s.jobs {
		if job == "bind" {
			all = append(all, w.bindings(i, l)...)
			continue
		}
		for _, pool := range slices.Sorted(maps.Keys(w.pools)) {
			all = append(all, action{fmt.Sprintf("%s: %s %s", leaderNames[i], job, pool), func() *world {
				c := w.clone()
				s := &turn{now: c, seen: c, reads: c, l: c.leaders[i], view: l.view, trap: true}
				s.run(job, pool)
				if s.writes > 0 {
					c = w.clone()
					c.leaders[i].pending = &operation{job: job, pool: pool, at: w, view: l.view}
				}
				c.ends(i, s)
				return c
			}})
		}
	}
	return all
}

// commits lets a leader write what it has decided to.
func (w *world) commits(i int, op *operation, lost bool) {
	l := w.leaders[i]
	l.pending = nil
	s := &turn{now: w, seen: op.at, reads: op.at, l: l, view: op.view, limit: 1, lost: lost}
	if op.bind != nil {
		s.bind(op)
	} else {
		before := w.kept(op.pool)
		s.run(op.job, op.pool)
		w.keepsOn(op, before)
	}
	if !w.s.lags && !s.ousted {
		l.notices(w)
	}
	if lost && s.writes > 0 {
		w.restart(i, len(w.log))
		return
	}
	w.ends(i, s)
}

// kept returns what a pool keeps for stable identities that no pod has.
func (w *world) kept(pool string) (all []allocator.Identity) {
	if w.pools[pool] == nil {
		return nil
	}
	for _, v := range w.record(pool).Record.Retained() {
		if v.Unassigned() {
			all = append(all, v.Identity)
		}
	}
	return all
}

// keepsOn checks that nothing was freed which an owner wanted when that was decided (I3).
func (w *world) keepsOn(op *operation, before []allocator.Identity) {
	if op.job != "retained" || op.at.owner == nil {
		return
	}
	for _, id := range before {
		if owners.Covers(op.at.owner, id.Pod) && !slices.Contains(w.kept(op.pool), id) {
			w.violate("I3: what was kept for pod %s is free although its owner has it come back", id.Pod)
		}
	}
}

// ends ends a leader that has found another.
func (w *world) ends(i int, s *turn) {
	if s.ousted {
		w.leaders[i] = nobodyLeads(w.leaders[i].lives)
	}
}

// chooser asks for every pod the same.
func (w *world) chooser() latebind.Chooser {
	return choosing(func(pod *corev1.Pod) (choice.Choice, error) { return w.choose(pod) })
}

func (w *world) choose(pod *corev1.Pod) (choice.Choice, error) {
	r := admission{name: pod.Name, identity: len(pod.OwnerReferences) > 0}.reservation()
	return choice.Choice{Ours: true, Slots: w.s.asked(), Rule: "the model", Reservation: r, Patch: func(token string, claims []crdv1.Claim) (choice.Patch, error) {
		return choice.Patch{Annotations: annotationsOf(token, claims)}, nil
	}}, nil
}

// choosing is a Chooser.
type choosing func(*corev1.Pod) (choice.Choice, error)

func (c choosing) Choose(_ context.Context, pod *corev1.Pod) (choice.Choice, error) { return c(pod) }

// asked is what every pod asks for.
func (s *scenario) asked() []choice.Slot {
	all := make([]choice.Slot, len(s.slots))
	for i, p := range s.slots {
		all[i] = choice.Slot{NIC: crdv1.DefaultNIC, Pools: p}
		if s.nics {
			all[i].NIC = fmt.Sprintf("eth%d", i)
		}
	}
	return all
}

// bindings are the pods that a leader may decide to bind.
func (w *world) bindings(i int, l *leader) []action {
	var all []action
	known := w.viewAt(l.view)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !known[name].Waits() {
			continue
		}
		s := &turn{now: w, seen: w, reads: w, l: l, view: l.view, trap: true}
		binding := latebind.Decide(s.ctx(), s.binds(), reader{s}, known[name], w.clock)
		if binding == nil {
			continue
		}
		all = append(all, action{leaderNames[i] + ": bind " + name, func() *world {
			c := w.clone()
			c.leaders[i].pending = &operation{job: "bind", at: w, view: l.view, bind: binding}
			return c
		}})
	}
	return all
}

// binds is what late binding works with.
func (s *turn) binds() latebind.Options {
	return latebind.Options{
		Ledger: s, Pools: s, Leader: s.l.leaderships, Chooser: s.now.chooser(), Recorder: view.Recorder{EventRecorder: silence{}},
		Step: func(string) {}, OnLeadershipLost: func(error) { s.ousted = true },
	}
}

// bind goes one step further with a pod that is bound late.
func (s *turn) bind(op *operation) {
	s.reads, s.limit = s.now, 9
	left, lost := op.bind.Step(context.WithoutCancel(s.ctx()), s.binds(), writer{turn: s}, reader{s})
	s.ousted = lost
	if left != nil {
		next := *op
		next.bind = left
		s.l.pending = &next
	}
}
