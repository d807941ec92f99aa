package lifecycle

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// key tells worlds apart by all that can make a difference to what may happen next.
type key [16]byte

func (w *world) key() key {
	var text string
	switch { // it does not matter which of two leaders is which
	case w.leaders[0].term == "":
		text = w.text(1, 0)
	case w.leaders[1].term == "":
		text = w.text(0, 1)
	default:
		text = min(w.text(0, 1), w.text(1, 0))
	}
	sum := sha256.Sum256([]byte(text))
	return key(sum[:16])
}

// printer writes with the names of this world: moments as ages, terms as whose they are.
type printer struct {
	*strings.Builder
	w     *world
	order [2]int // of the leaders
}

func (w *world) text(order ...int) string {
	p := printer{&strings.Builder{}, w, [2]int(order)}
	p.stored(w)
	fmt.Fprintf(p, "admitted %v\nbudget %v\n", w.admitted, w.budget)
	for _, name := range slices.Sorted(maps.Keys(w.replicas)) {
		op := w.replicas[name]
		fmt.Fprintf(p, "replica %s %v ", name, op.admission)
		p.stored(op.at)
	}
	oldest := len(w.log)
	for _, i := range order {
		l := w.leaders[i]
		if l.term == "" {
			fmt.Fprintln(p, "no leader")
			continue
		}
		oldest = min(oldest, l.view, l.told)
		if l.pending != nil {
			oldest = min(oldest, l.pending.view)
		}
		p.leader(l)
	}
	fmt.Fprintf(p, "log %d from %d:", len(w.log), oldest)
	for _, h := range w.log[oldest:] {
		fmt.Fprintf(p, " %t", h.gone)
		p.pod(h.pod)
	}
	return p.String()
}

// stored writes what the API server has, and what is on the wire.
func (p printer) stored(w *world) {
	for _, name := range slices.Sorted(maps.Keys(w.pools)) {
		pool := w.pools[name]
		fmt.Fprintf(p, "pool %s %s %v ", name, pool.UID, pool.Finalizers)
		p.pool(pool)
	}
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		pod := w.pods[name]
		fmt.Fprintf(p, "%d %s %v", len(pod.Spec.SchedulingGates), pod.Status.Phase, pod.DeletionTimestamp)
		p.pod(compact(pod))
	}
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		n := w.nodes[name]
		fmt.Fprintf(p, "node %s %t %s\n", name, nodeReady(n), p.age(n.Status.Conditions[0].LastTransitionTime.Time))
	}
	fmt.Fprintf(p, "wire %v endpoints", w.wire)
	for _, a := range slices.SortedFunc(maps.Keys(w.endpoints), func(a, b addr) int { return a.Compare(b) }) {
		fmt.Fprint(p, a)
		p.pod(w.endpoints[a])
	}
	if w.owner != nil {
		fmt.Fprintf(p, "owner %d", replicasOf(w))
	}
	fmt.Fprintln(p)
}

// age is how long ago something was, as far as that matters.
func (p printer) age(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return fmt.Sprint(min(p.w.clock.Sub(at)/tick, 2))
}

func (p printer) pod(o *view.Pod) {
	fmt.Fprintf(p, "{%s %s %d %s %t %t %s %v %t}", o.Name, o.UID, o.Revision, o.Node, o.Finished, o.Terminal, o.Token, o.Claims, o.Gated)
}

func (p printer) term(term string) string {
	for place, i := range p.order {
		if term != "" && p.w.leaders[i].term == term {
			return fmt.Sprint("leader ", place)
		}
	}
	if term == "" {
		return "nobody"
	}
	return "somebody"
}

// pool writes what is judged of a pool, and its status.
func (p printer) pool(pool *crdv1.SpiderIPPool) {
	fmt.Fprintf(p, "%v %v ", pool.Spec.IPs, pool.Status.InService)
	if c := pool.ReadyCondition(); c != nil {
		fmt.Fprintf(p, "%s %s %d ", c.Status, c.Reason, pool.Generation-c.ObservedGeneration)
	}
	p.status(&pool.Status)
}

func (p printer) status(s *crdv1.IPPoolStatus) {
	fmt.Fprintf(p, "%v %v mark %s grace %s waited %t term %s", s.Settled, s.Reserved, s.PodsSeenThrough, s.LongestGrace, s.WaitedFor, p.term(s.Term))
	for _, lines := range [][]string{s.Held, s.Retained} {
		text := fmt.Sprint(lines)
		for at := moment; !at.After(p.w.clock); at = at.Add(tick) {
			text = strings.ReplaceAll(text, at.Add(readyMargin+allocator.DefaultGrace).UTC().Format(time.RFC3339), "") // it follows from since
			text = strings.ReplaceAll(text, at.UTC().Format(time.RFC3339), "since "+p.age(at))
		}
		fmt.Fprintf(p, " %s", text)
	}
	fmt.Fprintln(p)
}

func (p printer) leader(l *leader) {
	fmt.Fprintf(p, "leader %s view %d told %d nodes", p.term(l.term), l.view, l.told)
	for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
		n := l.nodes[name]
		fmt.Fprintf(p, " %s %t %s", name, nodeReady(n), p.age(n.Status.Conditions[0].LastTransitionTime.Time))
	}
	for _, name := range slices.Sorted(maps.Keys(l.ready)) {
		since, lasts := l.ready.Of(name, p.w.clock)
		fmt.Fprintf(p, " %s ready %s %s", name, p.age(since), lasts)
	}
	view := p.w.viewAt(l.view)
	for _, pod := range slices.Sorted(maps.Keys(view)) {
		p.pod(view[pod])
	}
	fmt.Fprintf(p, " reached %v up to %d graces %v admitted %v\n", l.reached, l.leaderships.upTo, l.leaderships.graces, l.barriers.admitted)
	for _, pool := range slices.Sorted(maps.Keys(l.barriers.byPool)) {
		b := l.barriers.byPool[pool]
		fmt.Fprintf(p, " barrier %s %s %d %v %v %d", pool, b.uid, b.barrier.mark, b.barrier.gained.Ranges(), b.barrier.pools, b.barrier.admitted)
	}
	for _, pool := range slices.Sorted(maps.Keys(l.leaderships.byPool)) {
		p.leadership(pool, l.leaderships.byPool[pool], l.lists)
	}
	p.memory(l)
	if p.w.s.remembers {
		p.remembered(l)
	}
	if l.pending != nil {
		p.operation(l.pending)
	}
}

// operation writes what a job has read that makes a difference.
func (p printer) operation(op *operation) {
	fmt.Fprintf(p, "pending %s %s view %d %s ", op.job, op.pool, op.view, p.age(op.at.clock))
	for _, name := range slices.Sorted(maps.Keys(op.at.pools)) {
		pool, now := op.at.pools[name], p.w.pools[name]
		if now == nil || now.ResourceVersion != pool.ResourceVersion {
			fmt.Fprintf(p, "%s has moved from ", name)
			p.pool(pool)
		}
	}
	switch op.job {
	case "tend", "judge":
	case "bind":
		fmt.Fprintf(p, "%s %s %v ", op.bind.Pod(), op.bind.Pod().ResourceVersion, op.bind.Claims())
	default:
		fmt.Fprintf(p, "%v %d ", slices.Sorted(maps.Keys(op.at.pods)), len(op.at.log))
		for _, name := range slices.Sorted(maps.Keys(op.at.nodes)) {
			fmt.Fprintf(p, "%s %t ", name, nodeReady(op.at.nodes[name]))
		}
		if op.at.owner != nil {
			fmt.Fprintf(p, "owner %d", replicasOf(op.at))
		}
	}
	fmt.Fprintln(p)
}

func (p printer) leadership(pool string, t *leadership, lists uint64) {
	fmt.Fprintf(p, "leadership %s %s %t %d %v", pool, t.uid, t.begun, t.baseline, t.holders)
	if now := p.w.pools[pool]; now != nil {
		for _, r := range p.w.record(pool).Record.Awaited() {
			fmt.Fprintf(p, " inherited %t", t.inherited[r.Token])
		}
		if t.begun {
			fmt.Fprintf(p, " gap %t", t.lists != lists)
		}
	}
	if t.before != nil {
		e := t.before.Encode()
		p.status(&crdv1.IPPoolStatus{Settled: e.Settled, Reserved: e.Reserved, Retained: e.Retained, Held: e.Held, PodsSeenThrough: e.PodsSeenThrough, Term: e.Term})
	}
	for _, a := range slices.SortedFunc(maps.Keys(t.unseen), func(a, b addr) int { return a.Compare(b) }) {
		fmt.Fprintf(p, " unseen %s %s", a, t.unseen[a].hold.Node)
	}
	byKey := func(a, b podAddress) int { return cmp.Or(cmp.Compare(a.uid, b.uid), a.address.Compare(b.address)) }
	for _, k := range slices.SortedFunc(maps.Keys(t.ends), byKey) {
		fmt.Fprintf(p, " end %v %d %t", k, t.ends[k].revision, t.ends[k].vanished)
		p.pod(t.ends[k].pod)
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.appeared), byKey) {
		fmt.Fprintf(p, " appeared %v", k)
	}
	fmt.Fprintln(p)
}

// memory writes since when what is known that is to be removed some day.
func (p printer) memory(l *leader) {
	for _, pool := range slices.Sorted(maps.Keys(l.expiring.first.byPool)) {
		for _, token := range slices.SortedFunc(maps.Keys(l.expiring.first.byPool[pool]), compareReserved) {
			s := l.expiring.first.byPool[pool][token]
			fmt.Fprintf(p, "sight %s %s %s absent %d told %d came %t again %t", pool, token.token, p.age(s.since), s.absent, s.told, s.came, p.w.clock.Before(s.again))
		}
	}
	for _, pool := range slices.Sorted(maps.Keys(l.holding)) {
		texts := map[string]bool{}
		for k, since := range l.holding[pool] {
			texts[fmt.Sprint(k.address, k.hold.Node, p.age(k.hold.Since), p.age(since))] = true
		}
		fmt.Fprintf(p, " holding %s %v", pool, texts)
	}
	for _, pool := range slices.Sorted(maps.Keys(l.keeping)) {
		ids := l.keeping[pool]
		for _, id := range slices.SortedFunc(maps.Keys(ids), allocator.Identity.Compare) {
			fmt.Fprintf(p, " keeping %s %s %s", pool, id, p.age(ids[id]))
		}
	}
	fmt.Fprintln(p)
}

func compareReserved(a, b reservedAddress) int {
	return cmp.Or(a.token.Compare(b.token), a.address.Compare(b.address))
}
