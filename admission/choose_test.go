package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func byDefault(p *crdv1.SpiderIPPool) { p.Spec.Default = new(true) }

func TestRefusalsAreConfirmed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		world       func(*world)
		pod         func(*corev1.Pod)
		wantRefusal string
		wantReads   []string
	}{
		"a pool that the cache does not know yet": {
			world:     func(w *world) { w.live.put(pool("a", "10.1.0.0/16")) },
			wantReads: []string{"*v1.Namespace team-a", "*v1.SpiderIPPool a"},
		},
		"a pool that does not exist": {
			wantRefusal: `ipv4[0]: pool "a" does not exist`,
			wantReads:   []string{"*v1.Namespace team-a", "*v1.SpiderIPPool a"},
		},
		"a pool that was enabled a moment ago": {
			world: func(w *world) {
				w.cached.put(pool("a", "10.1.0.0/16", disabled))
				w.live.put(pool("a", "10.1.0.0/16", revision("17", 2)))
			},
			wantReads: []string{"*v1.Namespace team-a", "*v1.SpiderIPPool a"},
		},
		"an answer of the API server that is older than the cache": {
			world: func(w *world) {
				w.cached.put(pool("a", "10.1.0.0/16", disabled, revision("10", 2)))
				w.live.put(pool("a", "10.1.0.0/16", revision("9", 1)))
			},
			wantRefusal: `"a" is disabled`,
			wantReads:   []string{"*v1.Namespace team-a", "*v1.SpiderIPPool a"},
		},
		"a namespace that was annotated a moment ago, with a pool that is as young": {
			pod: func(p *corev1.Pod) { p.Annotations = nil },
			world: func(w *world) {
				w.live.namespaces["team-a"].Annotations = map[string]string{crdv1.AnnotationDefaultIPv4IPPool: `["a"]`}
				w.live.put(pool("a", "10.1.0.0/16"))
			},
			wantReads: []string{"*v1.Namespace team-a", "list of pools", "*v1.SpiderIPPool a"},
		},
		"a default pool that the cache does not know yet": {
			pod:       func(p *corev1.Pod) { p.Annotations = nil },
			world:     func(w *world) { w.pools(pool("other", "10.1.0.0/16")); w.live.put(pool("a", "10.1.0.0/16", byDefault)) },
			wantReads: []string{"*v1.Namespace team-a", "list of pools", "*v1.SpiderIPPool a"},
		},
		"a pool that became a default a moment ago": {
			pod: func(p *corev1.Pod) { p.Annotations = nil },
			world: func(w *world) {
				w.cached.put(pool("a", "10.1.0.0/16"))
				w.live.put(pool("a", "10.1.0.0/16", byDefault, revision("6", 2)))
			},
			wantReads: []string{"*v1.Namespace team-a", "list of pools", "*v1.SpiderIPPool a"},
		},
		"no default pool at all": {
			pod:         func(p *corev1.Pod) { p.Annotations = nil },
			world:       func(w *world) { w.pools(pool("other", "10.1.0.0/16")) },
			wantRefusal: "no pool is named for the pod",
			wantReads:   []string{"*v1.Namespace team-a", "list of pools"},
		},
		"a namespace that the cache does not know yet": {
			world:     func(w *world) { w.pools(pool("a", "10.1.0.0/16")); delete(w.cached.namespaces, "team-a") },
			wantReads: []string{"*v1.Namespace team-a"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if test.world != nil {
				test.world(w)
			}
			p := pod4()
			if test.pod != nil {
				test.pod(p)
			}
			response := w.webhook(t).Handle(t.Context(), create(t, p))
			switch {
			case test.wantRefusal == "" && !response.Allowed:
				t.Errorf("refused: %s", response.Result.Message)
			case test.wantRefusal != "" && (response.Allowed || !strings.Contains(response.Result.Message, test.wantRefusal)):
				t.Errorf("answered %+v, want %q", response.Result, test.wantRefusal)
			}
			if diff := cmp.Diff(test.wantReads, w.live.reads); diff != "" {
				t.Errorf("read from the API server: %s", diff)
			}
		})
	}
}

// TestAnAdmissionReadsABoundedNumberOfPools: a pod may name 128 pools, and its controller may
// create it again and again.
func TestAnAdmissionReadsABoundedNumberOfPools(t *testing.T) {
	t.Parallel()
	names := make([]string, 64)
	for i := range names {
		names[i] = fmt.Sprintf("p%02d", i)
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	naming := annotated(crdv1.AnnotationIPPool, fmt.Sprintf(`{"ipv4":%s,"ipv6":%s}`, list, list))
	pools := func(s *store, changes ...func(*crdv1.SpiderIPPool)) {
		for _, name := range names {
			s.put(pool(name, "10.1.0.0/16", changes...))
		}
	}
	const believed = "; 56 of the pools have changed since the controller last saw them, and no more than 8 are looked at anew for one pod: try again in a moment"
	for name, test := range map[string]struct {
		world        func(*world)
		pod          func(*corev1.Pod)
		wantReads    int // of single pools
		wantBelieved bool
		wantAllowed  bool
	}{
		"pools that do not exist cost a list":       {pod: naming},
		"pools that are as the cache has them, too": {pod: naming, world: func(w *world) { pools(w.cached, disabled); pools(w.live, disabled) }},
		"of pools that have changed a few are read": {pod: naming, world: func(w *world) { pools(w.cached, disabled); pools(w.live, disabled, revision("17", 2)) }, wantReads: maxPoolReads, wantBelieved: true},
		"of pools made just now a few are read":     {pod: naming, world: func(w *world) { pools(w.live, disabled) }, wantReads: maxPoolReads, wantBelieved: true},
		"of default pools made just now, too":       {pod: func(p *corev1.Pod) { p.Annotations = nil }, world: func(w *world) { pools(w.live, disabled, byDefault) }, wantReads: maxPoolReads, wantBelieved: true},
		"one of many that serves after all is found": {pod: annotated(crdv1.AnnotationIPPool, fmt.Sprintf(`{"ipv4":%s}`, list)), world: func(w *world) {
			pools(w.cached, disabled)
			pools(w.live, disabled)
			w.live.put(pool("p40", "10.1.0.0/16", revision("17", 2)))
		}, wantReads: 1, wantAllowed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if test.world != nil {
				test.world(w)
			}
			response := w.webhook(t).Handle(t.Context(), create(t, pod4(test.pod)))
			if response.Allowed != test.wantAllowed || !response.Allowed && strings.HasSuffix(response.Result.Message, believed) != test.wantBelieved {
				t.Errorf("answered %+v", response.Result)
			}
			count := map[string]int{} // kind -> reads
			for _, read := range w.live.reads {
				kind, _, _ := strings.Cut(read, " ")
				count[kind]++
			}
			want := map[string]int{"*v1.Namespace": 1, "list": 1}
			if test.wantReads > 0 {
				want["*v1.SpiderIPPool"] = test.wantReads
			}
			if diff := cmp.Diff(want, count); diff != "" {
				t.Errorf("read from the API server: %s", diff)
			}
		})
	}
}

func TestAPodWaitsForAPoolThatIsNotJudgedYet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		later       func(*world) // a second after the request; the pools' signal rings
		pod         func(*corev1.Pod)
		wantTook    time.Duration
		wantReason  string // empty: it has its address
		wantRefusal string
	}{
		"and has its address when the pool is Ready": {
			later:    func(w *world) { w.pools(pool("a", "10.1.0.0/16", revision("6", 1))) },
			wantTook: time.Second,
		},
		"even if changes of other pools wake it": {
			later:      func(w *world) { w.cached.put(pool("other", "10.3.0.0/16")) },
			wantTook:   patience,
			wantReason: crdv1.ReasonPoolNotReady,
		},
		"but no longer once that pool cannot serve it": {
			later:       func(w *world) { w.pools(pool("a", "10.1.0.0/16", disabled, revision("6", 2))) },
			wantTook:    time.Second,
			wantReason:  crdv1.ReasonNoPool,
			wantRefusal: `"a" is disabled`,
		},
		"but not where it will be looked at again anyway": {
			later:      func(w *world) { w.pools(pool("a", "10.1.0.0/16", revision("6", 1))) },
			pod:        gatedBy("kueue.x-k8s.io/admission"),
			wantReason: crdv1.ReasonForeignGate,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.live.put(pool("a", "10.1.0.0/16", unjudged)) // not even in the cache
				time.AfterFunc(time.Second, func() {
					test.later(w)
					w.signal.Ring()
				})
				p := pod4()
				if test.pod != nil {
					test.pod(p)
				}
				start := time.Now()
				response := w.webhook(t).Handle(t.Context(), create(t, p))
				if took := time.Since(start); took != test.wantTook {
					t.Errorf("took %s, want %s", took, test.wantTook)
				}
				if _, reason := w.counted(t); reason != test.wantReason {
					t.Errorf("counted for %q, want %q", reason, test.wantReason)
				}
				if response.Allowed != (test.wantRefusal == "") || !response.Allowed && !strings.Contains(response.Result.Message, test.wantRefusal) {
					t.Errorf("answered %+v, want %q", response.Result, test.wantRefusal)
				}
			})
		})
	}
}

func TestAStoredPodGetsAChoice(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"), pool("b", "10.1.0.0/16", disabled), pool("z", "fd00::/64"))
	p := pod4(forged, annotated(crdv1.AnnotationIPPool, `{"ipv4":["b","a"],"ipv6":["z"]}`), func(p *corev1.Pod) {
		p.Namespace, p.Name, p.UID = "team-a", "web-0", "u1"
		p.OwnerReferences = []metav1.OwnerReference{controller("apps/v1", "StatefulSet", "web")}
	})
	before := p.DeepCopy()
	got, err := NewChooser(w.options()).Choose(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, p); diff != "" {
		t.Errorf("the pod was changed: %s", diff)
	}
	want := choice.Choice{
		Ours: true, Rule: "annotation ipam.spidernet.io/ippool",
		Slots: []choice.Slot{
			{NIC: "eth0", Family: choice.IPv4, Pools: []string{"a"}, PassedOver: []choice.PassedOver{{Pool: "b", Reason: "is disabled"}}},
			{NIC: "eth0", Family: choice.IPv6, Pools: []string{"z"}},
		},
		Reservation: allocator.Reservation{
			Pod: allocator.PodRef{Namespace: "team-a"}, Owner: allocator.OwnerDigest("owner-uid"), ForUID: "owner-uid",
			For: allocator.Identity{Namespace: "team-a", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-0"},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(choice.Choice{}, "Patch")); diff != "" {
		t.Error(diff)
	}
	claims := []crdv1.Claim{{Pool: "a", Address: netip.MustParseAddr("10.1.0.9"), NIC: "eth0"}, {Pool: "z", Address: netip.MustParseAddr("fd00::9"), NIC: "eth0"}}
	patch, err := got.Patch("aaaaaaaaaaaaaaaa", claims)
	if err != nil {
		t.Fatal(err)
	}
	written := patch.Annotations
	read, errs := crdv1.ClaimsOf(written)
	if diff := cmp.Diff(claims, read, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || len(errs) > 0 {
		t.Errorf("the annotations read as %v, %v", read, errs)
	}
	if written[crdv1.AnnotationReservation] != "aaaaaaaaaaaaaaaa" || len(written) != 2 {
		t.Errorf("annotations %v", written)
	}
	if _, err := got.Patch("aaaaaaaaaaaaaaaa", claims[:1]); err == nil {
		t.Error("one claim for two slots was accepted")
	}
	if len(w.live.reads) > 0 || w.reserver.attempts+w.dryRun.attempts > 0 {
		t.Errorf("read %v, reserved %d times", w.live.reads, w.reserver.attempts+w.dryRun.attempts)
	}
}

func TestStoredPodsWithoutAChoice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod         func(*corev1.Pod)
		world       func(*world)
		wantRefusal string // of package selection; else the pod is left alone
		wantNotYet  bool
	}{
		"on the host's network":     {pod: func(p *corev1.Pod) { p.Spec.HostNetwork = true }},
		"the mirror of a static":    {pod: annotated(corev1.MirrorPodAnnotationKey, "x")},
		"in a namespace left alone": {world: func(w *world) { w.config.IgnoredNamespaces, _ = labels.Parse("team=a") }},
		"without a rule that applies": {
			pod:   func(p *corev1.Pod) { p.Annotations = nil },
			world: func(w *world) { w.config.DefaultNetwork = false },
		},
		"that name a pool that does not exist": {wantRefusal: `pool "a" does not exist`},
		"with a pool that is not judged yet":   {world: func(w *world) { w.pools(pool("a", "10.1.0.0/16", unjudged)) }, wantRefusal: "is not Ready yet", wantNotYet: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if test.world != nil {
				test.world(w)
			}
			p := pod4(func(p *corev1.Pod) { p.Namespace = "team-a" })
			if test.pod != nil {
				test.pod(p)
			}
			got, err := NewChooser(w.options()).Choose(t.Context(), p)
			var refusal *selection.Refusal
			switch {
			case got.Ours || len(got.Slots) > 0:
				t.Errorf("chosen for: %+v", got)
			case test.wantRefusal == "" && err != nil:
				t.Errorf("error %v", err)
			case test.wantRefusal != "" && (!errors.As(err, &refusal) || !strings.Contains(err.Error(), test.wantRefusal) || refusal.NotYet != test.wantNotYet):
				t.Errorf("error %v, want a refusal %q", err, test.wantRefusal)
			}
			if len(w.live.reads) > 0 {
				t.Errorf("read from the API server: %v", w.live.reads)
			}
		})
	}
}

func TestAStoredPodWhoseNamespaceCannotBeReadIsNoRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld()
	delete(w.cached.namespaces, "team-a")
	w.live.err = context.DeadlineExceeded
	_, err := NewChooser(w.options()).Choose(t.Context(), pod4(func(p *corev1.Pod) { p.Namespace = "team-a" }))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// The API server accepts 256 KiB of annotations. A pod without room for ours is refused before
// anything is reserved for it, at creation and at late binding.
func TestAPodWithoutRoomForItsAnnotationsIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		room int // bytes that are left
		want bool
	}{
		"room for more":  {2000, true},
		"no room at all": {0, false},
		"room for half":  {100, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.pools(pool("a", "10.1.0.0/16"))
			p := pod4(func(p *corev1.Pod) {
				p.Namespace = "team-a"
				used := 0
				for key, value := range p.Annotations {
					used += len(key) + len(value)
				}
				p.Annotations["big"] = strings.Repeat("x", validation.TotalAnnotationSizeLimitB-used-len("big")-c.room)
			})
			got, err := NewChooser(w.options()).Choose(t.Context(), p)
			var refusal *selection.Refusal
			if c.want {
				if err != nil || !got.Ours {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if !errors.As(err, &refusal) || refusal.NotYet || !strings.Contains(err.Error(), "metadata.annotations of the pod take") {
				t.Errorf("error %v", err)
			}
			if w.reserver.attempts > 0 {
				t.Error("something was reserved")
			}
		})
	}
}

// The room that is kept for the annotations of a pod's addresses is never too small.
func TestTheAnnotationsOfAPodAreNeverLargerThanWasCounted(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.pools(
		pool("a", "10.1.0.0/16", func(p *crdv1.SpiderIPPool) {
			p.Spec.Gateway = new("10.1.255.254")
			p.Spec.Routes = []crdv1.Route{{Dst: "192.168.100.0/24", Gw: "10.1.255.253"}, {Dst: "192.168.200.0/24", Gw: "10.1.255.252"}}
		}),
		pool("z", "fd00::/64", func(p *crdv1.SpiderIPPool) { p.Spec.Gateway = new("fd00::ffff:ffff:ffff:fffe") }),
	)
	p := pod4(func(p *corev1.Pod) {
		p.Namespace = "team-a"
		p.Annotations = map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"],"ipv6":["z"]}`}
	})
	s, _, err := NewChooser(w.options()).snapshot(t.Context(), p, "team-a")
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := selection.Choose(s)
	if err != nil {
		t.Fatal(err)
	}
	most, err := mostBytes(chosen)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := patchFor(chosen, string(allocator.NewToken()), []crdv1.Claim{
		{Pool: "a", Address: netip.MustParseAddr("10.1.255.251")}, {Pool: "z", Address: netip.MustParseAddr("fd00::ffff:ffff:ffff:fffd")},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for key, value := range patch.Annotations {
		n += len(key) + len(value)
	}
	if n > most || most > n+200 {
		t.Errorf("the annotations take %d bytes, at most %d were counted", n, most)
	}
}
