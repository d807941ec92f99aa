package lifecycle

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/internal/parallel"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// namespacesAtOnce are looked at for one pool.
const namespacesAtOnce = 64

// expireInterval is how often the reservations of a pool are looked at.
const expireInterval = 2 * time.Second

// expire gives reservations back that no pod came for: after the webhook answered, a later webhook,
// a policy, a quota or etcd may refuse the pod, and nobody tells.
//
// That no pod carries the token now is not enough: it may have come, run, and been deleted by
// force. So the view of the pods must have been watching since before the reservation was made,
// without a break, and what happened since then until beyond the moment at which no pod carried it
// is looked up. It was where this leader had taken the pool over by then, and no list of all pods
// came in between. Otherwise arrivals knows, of the time as a standby too. What nobody knows is
// held. A pod that came and went in view is a matter of tending, which must have been told of all
// that the view has.
type expire struct {
	ledger           Applier
	pools            ledger.Pools
	claims           watching
	arrivals         arrivals
	api              client.Reader // not a cache: the absence of a pod is to be proven
	leaderships      *leaderships
	grace            time.Duration // longer than any admission can last
	metrics          *Metrics
	onLeadershipLost func(error)
	now              func() time.Time

	first memory[reservedAddress, *watchedReservation] // how this leader first saw a reservation
	slow  reminders                                    // of pools that may have no more holds of unknown nodes
}

// watching is what expiry asks about the view of the pods: *Claims.
type watching interface {
	Carrier(pool string, a netip.Addr, r allocator.Reservation) (*view.Pod, bool)
	Lists() uint64
	Revision() uint64
	Received() uint64
	Since(ctx context.Context, namespace string) (view.Gap, error)
}

// arrivals is what expiry asks about pods that may have vanished unseen:
// *view.Arrivals.
type arrivals interface {
	Of(pool string, token allocator.Token, through uint64) view.Arrival
}

// reservedAddress is one address of a token, which may have one for each NIC of its pod.
type reservedAddress struct {
	token   allocator.Token
	address netip.Addr
}

// watchedReservation is a reservation that this leader watches.
type watchedReservation struct {
	since  time.Time // on its own clock
	absent uint64    // revision of the first proof that no pod carries it; 0 before
	told   uint64    // what handlers must have been told before it is believed that no pod came; 0 before
	came   bool      // a pod came, and something happened to it: tending deals with that
	again  time.Time // not before it is looked up whether a pod carries it
	pause  time.Duration
}

// longestPause bounds how seldom a reservation that stays is looked up.
const longestPause = time.Minute

// later makes looks rarer at what stays: somebody may see to it that it does.
func (s *watchedReservation) later(now time.Time) {
	s.pause = min(max(2*s.pause, expireInterval), longestPause)
	s.again = now.Add(s.pause)
}

// dueReservation is a reservation whose time is over.
type dueReservation struct {
	address     netip.Addr
	reservation allocator.Reservation
	*watchedReservation
}

// Reconcile expires the reservations of a pool whose grace is over, and comes back.
func (e *expire) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	pool, ok := e.pools.Pool(r.Name)
	if !ok {
		e.first.set(r.Name, nil)
		return reconcile.Result{}, nil
	}
	if begun, _, _ := e.leaderships.of(pool); !begun {
		return reconcile.Result{RequeueAfter: expireInterval}, nil
	}
	state, err := e.leaderships.decode(pool)
	if err != nil {
		return after(ctx, err, expireInterval)
	}
	due := e.due(pool.Name, state.Record)
	// In a quiet cluster it takes seconds to learn what happened in one.
	failed := parallel.Do(namespacesAtOnce, slices.Collect(maps.Keys(due)), func(namespace string) error { return e.expire(ctx, pool, namespace, due[namespace]) })
	if err := errors.Join(failed...); err != nil {
		log.FromContext(ctx).Error(stopOnLostLeadership(err, e.onLeadershipLost), "expiring reservations", "pool", pool.Name)
	}
	return reconcile.Result{RequeueAfter: expireInterval}, nil
}

// due returns by namespace the reservations whose grace is over. Those of pods that
// exist are not a matter of time: they are looked at from the beginning.
func (e *expire) due(pool string, record *allocator.Record) map[string][]dueReservation {
	now, before := e.now(), e.first.of(pool)
	first := map[reservedAddress]*watchedReservation{}
	all := map[string][]dueReservation{} // namespace -> reservations
	for address, r := range record.Awaited() {
		key := reservedAddress{r.Token, address}
		s, ok := before[key]
		if !ok {
			s = &watchedReservation{since: now}
		}
		first[key] = s
		wait := e.grace
		if r.LateBound() {
			wait = expireInterval
		}
		if _, seen := e.claims.Carrier(pool, address, r); !seen && now.Sub(s.since) >= wait && !now.Before(s.again) {
			all[r.Pod.Namespace] = append(all[r.Pod.Namespace], dueReservation{address, r, s})
		}
	}
	e.first.set(pool, first)
	return all
}

// expire gives back, or holds, those of the reservations that no pod of the namespace carries. The
// grace is over, so none can come any more.
func (e *expire) expire(ctx context.Context, pool *crdv1.SpiderIPPool, namespace string, all []dueReservation) error {
	there, err := e.list(ctx, namespace)
	if err != nil {
		return err
	}
	gone, err := e.absent(ctx, pool.Name, there, all)
	if err != nil {
		return err
	}
	seen := view.Gap{Through: e.claims.Revision()}
	if slices.ContainsFunc(gone, func(d dueReservation) bool { return d.absent > seen.Through }) {
		if seen, err = e.claims.Since(ctx, namespace); err != nil {
			return err
		}
	}
	over := map[netip.Addr]fate{}
	for _, d := range gone {
		d.came = d.came || seen.Tokens[string(d.reservation.Token)]
		if d.told == 0 && seen.Through >= d.absent {
			d.told = e.claims.Received()
		}
		if verb, why := e.verdict(pool.Name, d, seen); verb != "" {
			over[d.address] = fate{verb, why, d.reservation}
		}
	}
	if len(over) == 0 {
		return nil
	}
	return e.write(ctx, pool, over)
}

// absent returns those that no pod carries, and notes since which revision.
func (e *expire) absent(ctx context.Context, pool string, there there, all []dueReservation) (gone []dueReservation, err error) {
	for _, d := range all {
		is, err := e.gone(ctx, there, crdv1.Claim{Pool: pool, Address: d.address}, d.reservation)
		if err != nil {
			return nil, err
		}
		if !is {
			d.absent = 0
			d.later(e.now())
			continue
		}
		if d.absent == 0 {
			d.absent = there.revision
		}
		gone = append(gone, d)
	}
	return gone, nil
}

// fate is what becomes of a reservation.
type fate struct {
	verb, why   string
	reservation allocator.Reservation
}

// Why a reservation that no pod carries is expired or held, as the log has it.
const (
	whyWatched    = "no pod carries its token, and this leader has watched since it was made"
	whyWatchedAll = "no pod carries its token, and this process has watched since before it was made, though another led then or the watch broke before"
	whyUnseen     = "no pod carries its token now, but one may have come and vanished unseen"
)

// verdict says what becomes of a reservation that no pod carries, and why; nothing while what is
// seen is behind the proof, or shows that a pod came.
func (e *expire) verdict(pool string, d dueReservation, seen view.Gap) (verb, why string) {
	arrival, why := view.NoneVanished, whyWatched
	if !e.leaderships.watched(pool, d.reservation.Token, e.claims.Lists()) {
		arrival, why = e.arrivals.Of(pool, d.reservation.Token, d.told), whyWatchedAll
	}
	switch {
	case arrival == view.MayHaveVanished:
		return held, whyUnseen
	case arrival == view.NotToldYet, d.came, seen.Through < d.absent, e.leaderships.told() < d.told, e.leaderships.knowsEnd(pool, d.reservation.Token):
		return "", ""
	}
	return expired, why
}

// write makes the verdicts durable where the reservations still stand.
func (e *expire) write(ctx context.Context, pool *crdv1.SpiderIPPool, over map[netip.Addr]fate) error {
	done, err := removal[netip.Addr, fate]{pool, over, e.endReservation}.apply(ctx, e.ledger, e.leaderships)
	if err != nil {
		return err
	}
	for address, f := range done {
		p := &view.Pod{}
		p.Namespace, p.Name, p.UID = f.reservation.Pod.Namespace, f.reservation.Pod.Name, types.UID(f.reservation.Pod.UID)
		view.LogStep(log.FromContext(ctx), f.verb, pool.Name, address, p, "why", f.why, "token", f.reservation.Token)
		e.metrics.step(f.verb)
	}
	if len(done) < len(over) && e.slow.due(pool.Name, e.now(), remindGap) {
		log.FromContext(ctx).Info("reservations whose pods may have come and gone stay reserved until other holds of unknown nodes have ended: the pool has as many as it may", "pool", pool.Name, "reservations", len(over)-len(done))
	}
	return nil
}

// endReservation gives a reservation back, or holds it.
func (e *expire) endReservation(tx *ledger.Tx, a netip.Addr, f fate) (bool, error) {
	if now, ok := tx.Record.AwaitedAt(a); !ok || now != f.reservation {
		return false, nil
	}
	if f.verb == expired {
		return true, tx.Record.GiveBack(a, f.reservation.Token)
	}
	if most, _ := (ledger.Caps{}).Of(tx.Space.Size()); unplaced(tx.Record) >= most {
		return false, nil
	}
	return tryHold(tx.Record, a, allocator.Hold{Since: tx.Now, Grace: f.reservation.Grace, Pod: f.reservation.Pod}, e.leaderships.mostHeld)
}

// unplaced counts the holds of unknown nodes. Nobody knows whose they are, so no cap of a namespace
// bounds them, and each new leader makes some. What would go beyond as many as one namespace may
// reserve stays reserved: its namespace answers for it.
func unplaced(r *allocator.Record) (n int) {
	for _, h := range r.AllHeld() {
		if h.Node == "" {
			n++
		}
	}
	return n
}

// there are the pods of a namespace, by a consistent read.
type there struct {
	claims   map[string][]crdv1.Claim // token -> what the pods that carry it claim
	uids     map[string]bool
	revision uint64
}

func (e *expire) list(ctx context.Context, namespace string) (there, error) {
	t := there{claims: map[string][]crdv1.Claim{}, uids: map[string]bool{}}
	var err error
	t.revision, err = eachPod(ctx, e.api, namespace, t.add)
	return t, err
}

func (t *there) add(pod *metav1.PartialObjectMetadata) error {
	claims, unreadable := crdv1.ClaimsOf(pod.Annotations)
	token := pod.Annotations[crdv1.AnnotationReservation]
	t.claims[token] = append(t.claims[token], claims...)
	t.uids[string(pod.UID)] = true
	return errors.Join(unreadable...) // it may be this very one
}

// gone reports whether no pod will come for a reservation: none claims the address with its token;
// or the pod that it was made for is not there, was given another address, or has finished, so that
// nobody writes this one to it any more.
func (e *expire) gone(ctx context.Context, t there, c crdv1.Claim, r allocator.Reservation) (bool, error) {
	is := func(other crdv1.Claim) bool { return other.Is(c.Pool, c.Address) }
	switch {
	case slices.ContainsFunc(t.claims[string(r.Token)], is):
		return false, nil // it will be settled
	case !r.LateBound() || !t.uids[r.Pod.UID]:
		return true, nil
	}
	var pod corev1.Pod
	err := e.api.Get(ctx, types.NamespacedName{Namespace: r.Pod.Namespace, Name: r.Pod.Name}, &pod)
	if err != nil {
		return false, client.IgnoreNotFound(err) // the next look finds it gone
	}
	claims, _ := crdv1.ClaimsOf(pod.Annotations)
	if string(pod.UID) != r.Pod.UID || slices.ContainsFunc(claims, is) {
		return false, nil
	}
	return view.Finished(&pod) || pod.Annotations[crdv1.AnnotationReservation] != "", nil
}
