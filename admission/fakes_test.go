package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// store is the pools and namespaces as a cache or the API server has them.
type store struct {
	mu         sync.Mutex                     // protects all
	pools      map[string]*crdv1.SpiderIPPool // name -> pool
	namespaces map[string]*corev1.Namespace   // name -> namespace
	reads      []string                       // what was read, as kind/name
	err        error                          // what every read returns, if set
}

var (
	_ PoolLister    = (*store)(nil)
	_ client.Reader = (*store)(nil)
)

func newStore() *store {
	return &store{pools: map[string]*crdv1.SpiderIPPool{}, namespaces: map[string]*corev1.Namespace{}}
}

func (s *store) put(pools ...*crdv1.SpiderIPPool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pools {
		s.pools[p.Name] = p
	}
}

func (s *store) Pool(name string) (*crdv1.SpiderIPPool, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pools[name]
	return p, ok
}

func (s *store) All() iter.Seq[*crdv1.SpiderIPPool] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Values(slices.Collect(maps.Values(s.pools)))
}

func (s *store) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, fmt.Sprintf("%T %s", object, key.Name))
	if s.err != nil {
		return s.err
	}
	switch object := object.(type) {
	case *crdv1.SpiderIPPool:
		if p, ok := s.pools[key.Name]; ok {
			p.DeepCopyInto(object)
			return nil
		}
	case *corev1.Namespace:
		if n, ok := s.namespaces[key.Name]; ok {
			n.DeepCopyInto(object)
			return nil
		}
	default:
		return fmt.Errorf("unexpected read of a %T", object)
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, key.Name)
}

func (s *store) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	metadata, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok || metadata.Kind != "SpiderIPPoolList" {
		return fmt.Errorf("unexpected list of a %T of %v", list, list.GetObjectKind().GroupVersionKind())
	}
	s.reads = append(s.reads, "list of pools")
	if s.err != nil {
		return s.err
	}
	for _, p := range s.pools {
		metadata.Items = append(metadata.Items, metav1.PartialObjectMetadata{ObjectMeta: p.ObjectMeta})
	}
	return nil
}

// reserver is a Reserver that gives each slot the next address of its first pool.
type reserver struct {
	fail  func(attempt int) error           // what Reserve returns, if set; attempts count from 1
	spoil func([]crdv1.Claim) []crdv1.Claim // what it returns instead of the truth, if set
	block func(context.Context)             // what it does before it returns, if set
	lose  func()                            // what GiveBack does first, if set

	mu       sync.Mutex               // protects all below
	taken    map[string][]crdv1.Claim // token -> claims
	given    map[string][]crdv1.Claim // the same, given back
	attempts int
	backErr  error                 // the error of GiveBack's context
	slots    []choice.Slot         // of the last Reserve
	last     allocator.Reservation // the same
}

var _ Reserver = (*reserver)(nil)

func newReserver() *reserver {
	return &reserver{taken: map[string][]crdv1.Claim{}, given: map[string][]crdv1.Claim{}}
}

func (r *reserver) Reserve(ctx context.Context, v allocator.Reservation, slots []choice.Slot) ([]crdv1.Claim, error) {
	if r.block != nil {
		r.block(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots, r.last = slots, v
	r.attempts++
	if r.fail != nil {
		if err := r.fail(r.attempts); err != nil {
			return nil, err
		}
	}
	var claims []crdv1.Claim
	for _, slot := range slots {
		address := netip.MustParseAddr("10.1.0.7")
		if slot.Pools[0][0] == 'z' { // the IPv6 pools of the tests
			address = netip.MustParseAddr("fd00::7")
		}
		claims = append(claims, crdv1.Claim{Pool: slot.Pools[0], Address: address, NIC: slot.NIC})
	}
	r.taken[string(v.Token)] = claims
	if r.spoil != nil {
		claims = r.spoil(slices.Clone(claims))
	}
	return claims, nil
}

func (r *reserver) GiveBack(ctx context.Context, token string, claims []crdv1.Claim) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given[token], r.backErr = claims, ctx.Err()
	if r.lose != nil {
		r.lose()
	}
	return errors.New("a store that does not answer") // must not change the answer for the pod
}

func (r *reserver) reserved() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken)
}

// leaked returns the pools in which something was reserved and not given back.
func (r *reserver) leaked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var pools []string
	for token, claims := range r.taken {
		for _, c := range claims {
			if !slices.ContainsFunc(r.given[token], func(g crdv1.Claim) bool { return g.Pool == c.Pool }) {
				pools = append(pools, c.Pool)
			}
		}
	}
	return pools
}

// exhaustedError is an Exhausted as the ledger returns it.
type exhaustedError struct {
	cause   string
	passing bool
	not     bool // has the method, and returns false
}

func (e exhaustedError) Error() string {
	return `reserving from pool "a": all 11 addresses are taken (10 in use until their pods end, 1 reserved until its pod comes or it expires)`
}
func (e exhaustedError) Exhausted() bool { return !e.not }
func (e exhaustedError) Cause() string   { return e.cause }
func (e exhaustedError) Passing() bool   { return e.passing }

// always fails each attempt.
func always(err error) func(int) error { return func(int) error { return err } }

// world is a webhook with everything around it.
type world struct {
	cached, live     *store
	reserver, dryRun *reserver
	signal           *Signal
	config           config.Config
	metrics          *Metrics
	logger           logr.Logger
}

// newWorld has namespace "team-a", in the cache and in the API server.
func newWorld() *world {
	w := &world{cached: newStore(), live: newStore(), reserver: newReserver(), dryRun: newReserver(), signal: &Signal{}, config: config.Default()}
	w.metrics, w.logger = NewMetrics(prometheus.NewPedanticRegistry()), logr.Discard()
	for _, s := range []*store{w.cached, w.live} {
		s.namespaces["team-a"] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"team": "a"}}}
	}
	return w
}

// pools puts pools into the cache and the API server.
func (w *world) pools(pools ...*crdv1.SpiderIPPool) *world {
	w.cached.put(pools...)
	w.live.put(pools...)
	return w
}

func (w *world) options() PodOptions {
	return PodOptions{
		Config: w.config, Pools: w.cached, Changes: w.signal, Cached: w.cached, Live: w.live, Reserver: w.reserver, DryRun: w.dryRun,
		Metrics: w.metrics,
	}
}

func (w *world) webhook(t *testing.T) *admission.Webhook {
	t.Helper()
	hook := admission.WithDefaulter(testScheme(t), NewPodDefaulter(w.options()))
	hook.LogConstructor = func(logr.Logger, *admission.Request) logr.Logger { return w.logger }
	return hook
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, crdv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// create is a request to create an object in namespace team-a.
func create(t *testing.T, object any, changes ...func(*admissionv1.AdmissionRequest)) admission.Request {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	r := admissionv1.AdmissionRequest{UID: "one", Operation: admissionv1.Create, Namespace: "team-a", Object: runtime.RawExtension{Raw: raw}}
	for _, change := range changes {
		change(&r)
	}
	return admission.Request{AdmissionRequest: r}
}

// patched returns the object of the request as the API server would store it.
func patched(t *testing.T, request admission.Request, response admission.Response) []byte {
	t.Helper()
	if !response.Allowed {
		t.Fatalf("refused: %d %s", response.Result.Code, response.Result.Message)
	}
	if len(response.Patch) == 0 {
		return request.Object.Raw
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	after, err := patch.Apply(request.Object.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

func pod4(changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Annotations: map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}

// pool returns a Ready pool; its revision is 5 and its generation 1.
func pool(name, subnet string, changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
	p := &crdv1.SpiderIPPool{
		TypeMeta:   metav1.TypeMeta{APIVersion: crdv1.GroupVersion.String(), Kind: "SpiderIPPool"},
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid", ResourceVersion: "5", Generation: 1},
		Spec:       crdv1.IPPoolSpec{Subnet: subnet},
		Status: crdv1.IPPoolStatus{Conditions: []metav1.Condition{{
			Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, Reason: crdv1.ReasonInitialised, ObservedGeneration: 1,
		}}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func unjudged(p *crdv1.SpiderIPPool) { p.Status.Conditions = nil }

func disabled(p *crdv1.SpiderIPPool) { p.Spec.Disable = new(true) }

func revision(rv string, generation int64) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) {
		p.ResourceVersion, p.Generation = rv, generation
		for i := range p.Status.Conditions {
			p.Status.Conditions[i].ObservedGeneration = generation
		}
	}
}

// poolsOf returns the names of the candidates of each slot.
func poolsOf(slots []choice.Slot) (names [][]string) {
	for _, s := range slots {
		names = append(names, s.Pools)
	}
	return names
}
