package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// annotationsOf returns the annotations of a pod, with the token, which is random, replaced.
func annotationsOf(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	var p corev1.Pod
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if token, ok := p.Annotations[crdv1.AnnotationReservation]; ok && len(token) == 16 {
		p.Annotations[crdv1.AnnotationReservation] = "TOKEN"
	}
	return p.Annotations
}

func TestPodIsGivenItsAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(
		pool("a", "10.1.0.0/16", func(p *crdv1.SpiderIPPool) {
			p.Spec.Gateway, p.Spec.Vlan = new("10.1.0.1"), new(int64(7))
			p.Spec.Routes = []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.1.0.2"}}
		}),
		pool("z", "fd00::/64", func(p *crdv1.SpiderIPPool) {
			p.Spec.Vlan = new(int64(7))
			p.Spec.Routes = []crdv1.Route{{Dst: "fd09::/64", Gw: "fd00::2"}}
		}),
	)
	request := create(t, pod4(annotated(crdv1.AnnotationIPPool, `{"ipv4":["a"],"ipv6":["z"]}`), annotated("mine", "stays")))
	got := annotationsOf(t, patched(t, request, w.webhook(t).Handle(t.Context(), request)))
	want := map[string]string{
		"mine":                      "stays",
		crdv1.AnnotationIPPool:      `{"ipv4":["a"],"ipv6":["z"]}`,
		crdv1.AnnotationReservation: "TOKEN",
		crdv1.AnnotationAssignedPrefix + "eth0": `{"interface":"eth0","ipv4pool":"a","ipv6pool":"z","ipv4":"10.1.0.7/16","ipv6":"fd00::7/64","vlan":7,` +
			`"ipv4gateway":"10.1.0.1","routes":[{"dst":"10.9.0.0/16","gw":"10.1.0.2"},{"dst":"fd09::/64","gw":"fd00::2"}]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if claims, errs := crdv1.ClaimsOf(got); len(claims) != 2 || len(errs) > 0 {
		t.Errorf("the annotation reads as %v, %v", claims, errs)
	}
	if diff := cmp.Diff([][]string{{"a"}, {"z"}}, w.reserver.slots); diff != "" || w.reserver.lastNS != "team-a" {
		t.Errorf("asked for %s in namespace %q", diff, w.reserver.lastNS)
	}
	if len(w.reserver.given) > 0 || w.dryRun.reserved() > 0 || len(w.live.reads) > 0 {
		t.Errorf("given back %v, dry run %d, read from the API server %v", w.reserver.given, w.dryRun.reserved(), w.live.reads)
	}
}

func TestEachAdmissionHasItsOwnToken(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	hook := w.webhook(t)
	for range 3 {
		request := create(t, pod4())
		patched(t, request, hook.Handle(t.Context(), request))
	}
	if n := w.reserver.reserved(); n != 3 {
		t.Errorf("%d tokens for 3 admissions of one request", n)
	}
}

func forged(p *corev1.Pod) {
	p.Annotations[crdv1.AnnotationAssignedPrefix+"eth0"] = `{"interface":"eth0"}`
	p.Annotations[crdv1.AnnotationAssignedPrefix+"net9"] = "x"
	p.Annotations[crdv1.AnnotationReservation] = "aaaaaaaaaaaaaaaa"
}

func TestForgedAnnotationsAreStrippedAlsoFromPodsLeftAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod   func(*corev1.Pod)
		world func(*world)
		want  map[string]string
	}{
		"a pod on the host's network": {
			pod:  func(p *corev1.Pod) { p.Spec.HostNetwork = true },
			want: map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`},
		},
		"the mirror of a static pod": {
			pod:  annotated(corev1.MirrorPodAnnotationKey, "x"),
			want: map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`, corev1.MirrorPodAnnotationKey: "x"},
		},
		"a pod in a namespace that is left alone": {
			world: func(w *world) { w.config.IgnoredNamespaces, _ = labels.Parse("team=a") },
			want:  map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["a"]}`},
		},
		"a pod that no rule applies to, outside the default network": {
			pod:   func(p *corev1.Pod) { delete(p.Annotations, crdv1.AnnotationIPPool) },
			world: func(w *world) { w.config.DefaultNetwork = false },
		},
		"a pod that is given an address": {
			world: func(w *world) { w.pools(pool("a", "10.1.0.0/16")) },
			want: map[string]string{
				crdv1.AnnotationIPPool: `{"ipv4":["a"]}`, crdv1.AnnotationReservation: "TOKEN",
				crdv1.AnnotationAssignedPrefix + "eth0": `{"interface":"eth0","ipv4pool":"a","ipv6pool":"","ipv4":"10.1.0.7/16","ipv6":"","vlan":0}`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if test.world != nil {
				test.world(w)
			}
			p := pod4(forged)
			if test.pod != nil {
				test.pod(p)
			}
			request := create(t, p)
			got := annotationsOf(t, patched(t, request, w.webhook(t).Handle(t.Context(), request)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if _, assigned := test.want[crdv1.AnnotationReservation]; !assigned && w.reserver.reserved() > 0 {
				t.Error("an address was reserved")
			}
		})
	}
}

func TestStoredPodsKeepWhatTheyCarry(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*admissionv1.AdmissionRequest){
		"at update":        func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"at a subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "binding" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld().pools(pool("a", "10.1.0.0/16"))
			response := w.webhook(t).Handle(t.Context(), create(t, pod4(forged), change))
			if !response.Allowed || len(response.Patches) > 0 || w.reserver.reserved() > 0 {
				t.Errorf("answered %+v", response)
			}
		})
	}
}

func TestDryRunReachesTheReserverThatCannotWrite(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	request := create(t, pod4(), func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) })
	got := annotationsOf(t, patched(t, request, w.webhook(t).Handle(t.Context(), request)))
	if got[crdv1.AnnotationReservation] != "TOKEN" || w.reserver.reserved() != 0 || w.dryRun.reserved() != 1 {
		t.Errorf("annotations %v, reserved %d, in a dry run %d", got, w.reserver.reserved(), w.dryRun.reserved())
	}
}

func TestFieldsThatTheTypesDoNotKnowStay(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	request := create(t, nil, func(r *admissionv1.AdmissionRequest) {
		r.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","futureMeta":1,
			"annotations":{"ipam.spidernet.io/ippool":"{\"ipv4\":[\"a\"]}","ipam.spidernet.io/assigned-eth0":"forged"}},
			"spec":{"futureSpec":{"x":[1,2]},"containers":[{"name":"c","image":"i","futureField":"y","env":[]}]},"status":{}}`)
	})
	after := patched(t, request, w.webhook(t).Handle(t.Context(), request))
	var got, want map[string]any
	if err := json.Unmarshal(after, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(request.Object.Raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, p := range []map[string]any{got, want} {
		delete(p["metadata"].(map[string]any), "annotations")
	}
	// Our types write what is empty, but known: that is no change.
	got["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["resources"] = nil
	want["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["resources"] = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPodsWithoutAnAddressAreAnswered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		world       func(*world)
		pod         func(*corev1.Pod)
		wantCode    int32
		wantReason  metav1.StatusReason
		wantMessage string
	}{
		"something to mend": {
			world:       func(w *world) { w.pools(pool("a", "10.1.0.0/16", disabled)) },
			wantCode:    http.StatusForbidden,
			wantReason:  metav1.StatusReasonForbidden,
			wantMessage: `choosing pools by annotation ipam.spidernet.io/ippool: no pool is left for IPv4 of eth0: "a" is disabled`,
		},
		"an annotation that cannot be read": {
			pod:         annotated(crdv1.AnnotationIPPool, `{"ipv4":["a"],"x":1}`),
			wantCode:    http.StatusForbidden,
			wantReason:  metav1.StatusReasonForbidden,
			wantMessage: `annotation ipam.spidernet.io/ippool: unknown key "x": want "ipv4" or "ipv6"`,
		},
		"full pools, and one passed over": {
			world: func(w *world) {
				w.pools(pool("a", "10.1.0.0/16"), pool("b", "10.1.0.0/16", disabled))
				w.reserver.err = fullError{true}
			},
			pod:        annotated(crdv1.AnnotationIPPool, `{"ipv4":["b","a"]}`),
			wantCode:   http.StatusConflict,
			wantReason: metav1.StatusReasonConflict,
			wantMessage: `pools chosen by annotation ipam.spidernet.io/ippool: reserving from pool "a": all 11 addresses taken ` +
				`(9 settled, 1 reserved, 1 retained); passed over: "b" is disabled`,
		},
		"pools that the leader has refused": {
			world: func(w *world) {
				w.pools(pool("a", "10.1.0.0/16", func(p *crdv1.SpiderIPPool) {
					p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = metav1.ConditionFalse, crdv1.ReasonOverlap
					p.Status.Conditions[0].Message = `pool "b" is older`
				}))
			},
			wantCode:   http.StatusConflict,
			wantReason: metav1.StatusReasonConflict,
			wantMessage: `choosing pools by annotation ipam.spidernet.io/ippool: no pool is left for IPv4 of eth0: "a" is not Ready: ` +
				`OverlapsOlderPool: pool "b" is older`,
		},
		"a reservation that failed": {
			world: func(w *world) {
				w.pools(pool("a", "10.1.0.0/16"))
				w.reserver.err = errors.New("writing pool: no leader")
			},
			wantCode:   http.StatusInternalServerError,
			wantReason: metav1.StatusReasonInternalError,
			wantMessage: "no address could be reserved for an internal reason, try again: pools chosen by annotation " +
				"ipam.spidernet.io/ippool: writing pool: no leader",
		},
		"an error that could say exhausted, and does not": {
			world: func(w *world) {
				w.pools(pool("a", "10.1.0.0/16"))
				w.reserver.err = fullError{false}
			},
			wantCode:    http.StatusInternalServerError,
			wantReason:  metav1.StatusReasonInternalError,
			wantMessage: "no address could be reserved for an internal reason, try again: pools chosen by",
		},
		"an API server that does not confirm": {
			world: func(w *world) {
				w.live.err = apierrors.NewForbidden(crdv1.GroupVersion.WithResource("x").GroupResource(), "a", errors.New("no"))
			},
			wantCode:    http.StatusInternalServerError,
			wantReason:  metav1.StatusReasonInternalError,
			wantMessage: `no address could be reserved for an internal reason, try again: reading namespace "team-a": `,
		},
		"a namespace that is nowhere": {
			world:       func(w *world) { delete(w.cached.namespaces, "team-a"); delete(w.live.namespaces, "team-a") },
			wantCode:    http.StatusInternalServerError,
			wantReason:  metav1.StatusReasonInternalError,
			wantMessage: `no address could be reserved for an internal reason, try again: reading namespace "team-a": `,
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
			if response.Allowed || response.Result.Code != test.wantCode || response.Result.Reason != test.wantReason {
				t.Errorf("answered %+v, want code %d", response, test.wantCode)
			}
			if !strings.HasPrefix(response.Result.Message, test.wantMessage) {
				t.Errorf("message %s\nwant    %s", response.Result.Message, test.wantMessage)
			}
			if len(w.reserver.given) != w.reserver.reserved() {
				t.Errorf("%d reserved, %d given back", w.reserver.reserved(), len(w.reserver.given))
			}
		})
	}
}

func TestWhatFailsAfterTheReservationGivesItBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func([]crdv1.Claim) []crdv1.Claim
		want  string
	}{
		"too few claims": {
			func([]crdv1.Claim) []crdv1.Claim { return nil },
			"assigning addresses: 0 reserved for 1 asked for",
		},
		"a pool that was not asked for": {
			func(c []crdv1.Claim) []crdv1.Claim { c[0].Pool = "b"; return c },
			`assigning IPv4 of eth0: address 10.1.0.7 is of pool "b", which is no candidate`,
		},
		"an address that is not of the pool": {
			func(c []crdv1.Claim) []crdv1.Claim { c[0].Address = netip.MustParseAddr("10.2.0.7"); return c },
			`assigning IPv4 of eth0: address 10.2.0.7 lies outside of subnet 10.1.0.0/16 of pool "a"`,
		},
		"no address": {
			func(c []crdv1.Claim) []crdv1.Claim { c[0].Address = netip.Addr{}; return c },
			`assigning IPv4 of eth0: address invalid IP lies outside`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld().pools(pool("a", "10.1.0.0/16"))
			w.reserver.spoil = test.spoil
			response := w.webhook(t).Handle(t.Context(), create(t, pod4()))
			if response.Allowed || response.Result.Code != http.StatusInternalServerError || !strings.Contains(response.Result.Message, test.want) {
				t.Errorf("answered %+v", response.Result)
			}
			if diff := cmp.Diff(w.reserver.taken, w.reserver.given, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("reserved, not given back: %s", diff)
			}
		})
	}
}

func TestAReservationThatComesTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld().pools(pool("a", "10.1.0.0/16"))
		w.reserver.block = func(ctx context.Context) { <-ctx.Done() }
		start := time.Now()
		response := w.webhook(t).Handle(t.Context(), create(t, pod4()))
		if took := time.Since(start); took != podDeadline {
			t.Errorf("took %s", took)
		}
		if response.Allowed || response.Result.Code != http.StatusInternalServerError || !strings.Contains(response.Result.Message, "deadline exceeded") {
			t.Errorf("answered %+v", response.Result)
		}
		if len(w.reserver.given) != 1 || w.reserver.backErr != nil {
			t.Errorf("given back %v, with a context that says %v", w.reserver.given, w.reserver.backErr)
		}
	})
}

func TestRefusalsAreConfirmed(t *testing.T) {
	t.Parallel()
	byDefault := func(p *crdv1.SpiderIPPool) { p.Spec.Default = new(true) }
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
		"a pool that nobody knows": {
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

func TestAPodWaitsForAPoolThatNobodyHasLookedAt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		later     func(*world) // a second after the request, and the pools' signal rings
		wantTook  time.Duration
		wantError string
	}{
		"and has its address when the pool is Ready": {
			later:    func(w *world) { w.pools(pool("a", "10.1.0.0/16", revision("6", 1))) },
			wantTook: time.Second,
		},
		"though changes of others wake it": {
			later:     func(w *world) { w.cached.put(pool("other", "10.3.0.0/16")) },
			wantTook:  patience,
			wantError: `"a" is not Ready yet`,
		},
		"and no longer once that pool is of no use": {
			later:     func(w *world) { w.pools(pool("a", "10.1.0.0/16", disabled, revision("6", 2))) },
			wantTook:  time.Second,
			wantError: `"a" is disabled`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.live.put(pool("a", "10.1.0.0/16", unjudged)) // the cache does not even know it
				time.AfterFunc(time.Second, func() {
					test.later(w)
					w.signal.Ring()
				})
				start := time.Now()
				response := w.webhook(t).Handle(t.Context(), create(t, pod4()))
				if took := time.Since(start); took != test.wantTook {
					t.Errorf("took %s, want %s", took, test.wantTook)
				}
				switch {
				case test.wantError == "" && !response.Allowed:
					t.Errorf("refused: %s", response.Result.Message)
				case test.wantError != "" && (response.Allowed || !strings.Contains(response.Result.Message, test.wantError)):
					t.Errorf("answered %+v, want %q", response.Result, test.wantError)
				}
			})
		})
	}
}

func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		world func(*world)
		want  outcome
	}{
		"an address":    {func(w *world) { w.pools(pool("a", "10.1.0.0/16")) }, outcomeAssigned},
		"none of ours":  {func(w *world) { w.config.IgnoredNamespaces = labels.Everything() }, outcomeLeftAlone},
		"a refusal":     {func(*world) {}, outcomeRefused},
		"full":          {func(w *world) { w.pools(pool("a", "10.1.0.0/16")); w.reserver.err = fullError{true} }, outcomeNoAddress},
		"inner trouble": {func(w *world) { w.live.err = errors.New("no") }, outcomeFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			registry := prometheus.NewPedanticRegistry()
			w.metrics = NewMetrics(registry)
			test.world(w)
			w.webhook(t).Handle(t.Context(), create(t, pod4()))
			want := fmt.Sprintf(`
				# HELP spiderpool_admission_pods_total Pods that the admission webhook answered, by outcome. A dry run counts too.
				# TYPE spiderpool_admission_pods_total counter
				spiderpool_admission_pods_total{outcome=%q} 1
			`, test.want)
			if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNamesOfPodsThatHaveNoneYet(t *testing.T) {
	t.Parallel()
	if got := nameOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}}); got != "web-*" {
		t.Errorf("got %q", got)
	}
	if got := nameOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Name: "web-0"}}); got != "web-0" {
		t.Errorf("got %q", got)
	}
}
