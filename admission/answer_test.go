package admission

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// counted returns the outcome and the reason of the only pod that was answered.
func (w *world) counted(t *testing.T) (outcome, string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.metrics.pods)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 || families[0].GetMetric()[0].GetCounter().GetValue() != 1 {
		t.Fatalf("want one pod counted, have %v, %v", families, err)
	}
	values := map[string]string{} // label -> value
	for _, label := range families[0].GetMetric()[0].GetLabel() {
		values[label.GetName()] = label.GetValue()
	}
	return outcome(values["outcome"]), values["reason"]
}

func gatedBy(names ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, name := range names {
			p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
		}
	}
}

func onNode(p *corev1.Pod) { p.Spec.NodeName = "n1" }

func gatesOf(p *corev1.Pod) []string {
	var names []string
	for _, g := range p.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	return names
}

// stored returns the pod as the API server would store it.
func stored(t *testing.T, request admission.Request, response admission.Response) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	if err := json.Unmarshal(patched(t, request, response), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func notReady(p *crdv1.SpiderIPPool) {
	p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = metav1.ConditionFalse, crdv1.ReasonOverlap
	p.Status.Conditions[0].Message = `pool "b" is older`
}

// cause is a reason for which a pod has no address, and how to bring it about. The pod asks for
// pools "b", which is disabled, and "a".
type cause struct {
	world      func(*world)
	pod        func(*corev1.Pod)
	wantReason string
	// wantCode and wantMessage are those of the refusal where exhaustion is reject; 0 where the pod
	// is admitted anyway.
	wantCode    int32
	wantMessage string
}

func withPool(change func(*world)) func(*world) {
	return func(w *world) {
		w.pools(pool("a", "10.1.0.0/16"), pool("b", "10.1.0.0/16", disabled))
		change(w)
	}
}

func reserving(err error) func(*world) {
	return withPool(func(w *world) { w.reserver.fail = always(err) })
}

const chosenAndExhausted = `pools chosen by annotation ipam.spidernet.io/ippool: reserving from pool "a": all 11 addresses are taken ` +
	`(10 in use until their pods end, 1 reserved until its pod comes or it expires); passed over: "b" is disabled`

func causes() map[string]cause {
	exhausted := func(reason string, passing bool) cause {
		return cause{
			world: reserving(exhaustedError{cause: reason, passing: passing}), wantReason: reason,
			wantCode: http.StatusConflict, wantMessage: chosenAndExhausted,
		}
	}
	inner := func(world func(*world)) cause { return cause{world: world, wantReason: crdv1.ReasonInternal} }
	return map[string]cause{
		"full pools":                         exhausted(crdv1.ReasonPoolFull, false),
		"a cap":                              exhausted(crdv1.ReasonOverCap, true),
		"other pods that have waited longer": exhausted(crdv1.ReasonQueued, false),
		"a predecessor":                      exhausted(crdv1.ReasonPredecessor, true),
		"a predecessor's hold":               exhausted(crdv1.ReasonAddressHeld, false),
		"a pool gone unready":                exhausted(crdv1.ReasonPoolNotReady, false),
		"an exhausted one, joined":           {world: reserving(errors.Join(exhaustedError{cause: crdv1.ReasonPoolFull}, errors.New("undoing: no leader"))), wantReason: crdv1.ReasonPoolFull, wantCode: http.StatusConflict, wantMessage: "pools chosen by"},
		"pools that the leader has refused": {
			world: func(w *world) {
				w.pools(pool("a", "10.1.0.0/16", notReady), pool("b", "10.1.0.0/16", disabled))
			},
			wantReason: crdv1.ReasonPoolNotReady,
			wantCode:   http.StatusConflict,
			wantMessage: `choosing pools by annotation ipam.spidernet.io/ippool: no pool is left for IPv4 of eth0: "b" is disabled; "a" is not Ready: ` +
				`OverlapsOlderPool: pool "b" is older`,
		},
		"a reservation that failed":                             inner(reserving(errors.New("writing pool: no leader"))),
		"an error with the method Exhausted that returns false": inner(reserving(exhaustedError{not: true, cause: crdv1.ReasonPoolFull})),
		"an API server that does not confirm a refusal": inner(func(w *world) {
			w.live.err = apierrors.NewForbidden(crdv1.GroupVersion.WithResource("x").GroupResource(), "a", errors.New("no"))
		}),
		"a namespace that does not exist": inner(func(w *world) { delete(w.cached.namespaces, "team-a"); delete(w.live.namespaces, "team-a") }),
		"a panic while choosing":          inner(func(w *world) { w.cached.pools["a"] = nil }),
		"a panic while reserving": inner(withPool(func(w *world) {
			w.reserver.spoil = func([]crdv1.Claim) []crdv1.Claim { panic("no record") }
		})),
		"a panic when all is written": inner(withPool(func(w *world) {
			w.logger = funcr.New(func(_, line string) {
				if strings.Contains(line, "address reserved") {
					panic("a full disk")
				}
			}, funcr.Options{})
		})),
		"a panic that goes on while giving back": inner(withPool(func(w *world) {
			w.reserver.spoil = func([]crdv1.Claim) []crdv1.Claim { panic("no record") }
			w.reserver.lose = func() { panic("no record either") }
		})),
		"too few claims":                inner(withPool(func(w *world) { w.reserver.spoil = func([]crdv1.Claim) []crdv1.Claim { return nil } })),
		"a pool that was not asked for": inner(withPool(spoiled(func(c *crdv1.Claim) { c.Pool = "c" }))),
		"an address of another subnet":  inner(withPool(spoiled(func(c *crdv1.Claim) { c.Address = netip.MustParseAddr("10.2.0.7") }))),
		"no address":                    inner(withPool(spoiled(func(c *crdv1.Claim) { c.Address = netip.Addr{} }))),
		"a reservation that takes too long": inner(withPool(func(w *world) {
			w.reserver.block = func(ctx context.Context) { <-ctx.Done() }
		})),
	}
}

func spoiled(change func(*crdv1.Claim)) func(*world) {
	return func(w *world) {
		w.reserver.spoil = func(c []crdv1.Claim) []crdv1.Claim { change(&c[0]); return c }
	}
}

// ask has the webhook answer for a pod, and waits until all that it left running has ended.
func (c cause) ask(t *testing.T, pod func(*corev1.Pod), exhaustion config.Exhaustion) (*world, admission.Request, admission.Response) {
	t.Helper()
	w := newWorld()
	w.config.Exhaustion = exhaustion
	if c.world != nil {
		c.world(w)
	}
	p := pod4(forged, annotated(crdv1.AnnotationIPPool, `{"ipv4":["b","a"]}`))
	for _, change := range []func(*corev1.Pod){c.pod, pod} {
		if change != nil {
			change(p)
		}
	}
	request, start := create(t, p), time.Now()
	response := w.webhook(t).Handle(t.Context(), request)
	if took := time.Since(start); took > podDeadline {
		t.Errorf("took %s", took)
	}
	synctest.Wait()
	if lost := w.reserver.leaked(); len(lost) > 0 || w.reserver.backErr != nil {
		t.Errorf("not given back in pools %v; given back with a context that says %v", lost, w.reserver.backErr)
	}
	if w.reserver.fail != nil && len(w.reserver.given) > 0 {
		t.Errorf("given back %v, although nothing was reserved", w.reserver.given)
	}
	return w, request, response
}

func TestAPodWithoutAnAddressWaits(t *testing.T) {
	t.Parallel()
	for name, cause := range causes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, request, response := cause.ask(t, nil, config.ExhaustionWait)
				p := stored(t, request, response)
				if diff := cmp.Diff([]string{crdv1.GateWaitingForAddress}, gatesOf(p)); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(map[string]string{crdv1.AnnotationIPPool: `{"ipv4":["b","a"]}`}, p.Annotations); diff != "" {
					t.Error(diff)
				}
				if o, reason := w.counted(t); o != outcomeWaiting || reason != cause.wantReason {
					t.Errorf("counted as %s for %q", o, reason)
				}
			})
		})
	}
}

func TestAPodThatNamesItsNodeIsAdmittedWithoutTheGate(t *testing.T) {
	t.Parallel()
	for name, cause := range causes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, request, response := cause.ask(t, onNode, config.ExhaustionWait)
				p := stored(t, request, response)
				if len(p.Spec.SchedulingGates) > 0 || len(p.Annotations) != 2 {
					t.Errorf("stored with gates %v and annotations %v", gatesOf(p), p.Annotations)
				}
				if why := p.Annotations[crdv1.AnnotationUnassigned]; why != cause.wantReason { // else the leader would say that it missed the webhook
					t.Errorf("the pod says that it has no address because of %q, want %q", why, cause.wantReason)
				}
				if o, reason := w.counted(t); o != outcomeUnassigned || reason != cause.wantReason {
					t.Errorf("counted as %s for %q", o, reason)
				}
			})
		})
	}
}

func TestTheConfigurationMayRefuseOnlyForExhaustion(t *testing.T) {
	t.Parallel()
	for name, cause := range causes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, request, response := cause.ask(t, nil, config.ExhaustionReject)
				o, reason := w.counted(t)
				if reason != cause.wantReason {
					t.Errorf("counted for %q", reason)
				}
				if cause.wantCode == 0 {
					if p := stored(t, request, response); o != outcomeWaiting || len(gatesOf(p)) != 1 {
						t.Errorf("counted as %s, stored with gates %v", o, gatesOf(p))
					}
					return
				}
				r := response.Result
				if response.Allowed || o != outcomeRefused || r.Code != cause.wantCode || r.Reason != metav1.StatusReasonConflict || !strings.HasPrefix(r.Message, cause.wantMessage) {
					t.Errorf("counted as %s, answered %+v\nwant message %s", o, r, cause.wantMessage)
				}
			})
		})
	}
}

func TestGatesOfOthers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		gates       []string
		world       func(*world)
		wantGates   []string
		wantOutcome outcome
		wantReason  string
	}{
		"one": {
			gates: []string{"kueue.x-k8s.io/admission"}, wantGates: []string{"kueue.x-k8s.io/admission", crdv1.GateWaitingForAddress},
			wantOutcome: outcomeWaiting, wantReason: crdv1.ReasonForeignGate,
		},
		"one, and ours set by the user too": {
			gates: []string{crdv1.GateWaitingForAddress, "x"}, wantGates: []string{crdv1.GateWaitingForAddress, "x"},
			wantOutcome: outcomeWaiting, wantReason: crdv1.ReasonForeignGate,
		},
		"ours alone, from the user": {
			gates: []string{crdv1.GateWaitingForAddress}, wantGates: []string{crdv1.GateWaitingForAddress},
			wantOutcome: outcomeWaiting, wantReason: crdv1.ReasonForeignGate,
		},
		"one, and pools that would be refused for being full": {
			gates: []string{"x"}, world: func(w *world) { w.config.Exhaustion = config.ExhaustionReject }, wantGates: []string{"x", crdv1.GateWaitingForAddress},
			wantOutcome: outcomeWaiting, wantReason: crdv1.ReasonForeignGate,
		},
		"one, and pools that are not Ready": {
			gates: []string{"x"}, world: func(w *world) {
				w.config.Exhaustion = config.ExhaustionReject
				w.pools(pool("a", "10.1.0.0/16", notReady))
			}, wantGates: []string{"x", crdv1.GateWaitingForAddress},
			wantOutcome: outcomeWaiting, wantReason: crdv1.ReasonForeignGate,
		},
		"on a pod that is left alone": {
			gates: []string{"x"}, world: func(w *world) { w.config.IgnoredNamespaces = labels.Everything() }, wantGates: []string{"x"},
			wantOutcome: outcomeLeftAlone,
		},
		"on a pod that its user can fix": {
			gates: []string{"x"}, world: func(w *world) { w.pools(pool("a", "10.1.0.0/16", disabled)) },
			wantOutcome: outcomeRefused, wantReason: crdv1.ReasonNoPool,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld().pools(pool("a", "10.1.0.0/16"))
			w.reserver.fail = always(exhaustedError{cause: crdv1.ReasonPoolFull})
			if test.world != nil {
				test.world(w)
			}
			request := create(t, pod4(gatedBy(test.gates...)))
			response := w.webhook(t).Handle(t.Context(), request)
			if o, reason := w.counted(t); o != test.wantOutcome || reason != test.wantReason {
				t.Errorf("counted as %s for %q", o, reason)
			}
			if w.reserver.attempts > 0 {
				t.Error("an address was asked for")
			}
			if test.wantOutcome == outcomeRefused {
				if response.Allowed {
					t.Error("admitted")
				}
				return
			}
			if diff := cmp.Diff(test.wantGates, gatesOf(stored(t, request, response))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatAUserCanFixIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		world       func(*world)
		pod         func(*corev1.Pod)
		wantMessage string
	}{
		"a pool that is disabled": {
			world:       func(w *world) { w.pools(pool("a", "10.1.0.0/16", disabled)) },
			wantMessage: `choosing pools by annotation ipam.spidernet.io/ippool: no pool is left for IPv4 of eth0: "a" is disabled`,
		},
		"an annotation that cannot be read": {
			pod:         annotated(crdv1.AnnotationIPPool, `{"ipv4":["a"],"x":1}`),
			wantMessage: `annotation ipam.spidernet.io/ippool: unknown key "x": want "ipv4" or "ipv6"`,
		},
		"a pool that does not exist, on a pod that names its node": {
			pod: onNode, wantMessage: `choosing pools by annotation ipam.spidernet.io/ippool: ipv4[0]: pool "a" does not exist`,
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
			r := response.Result
			if response.Allowed || r.Code != http.StatusForbidden || r.Reason != metav1.StatusReasonForbidden || !strings.HasPrefix(r.Message, test.wantMessage) {
				t.Errorf("answered %+v\nwant message %s", r, test.wantMessage)
			}
			if o, reason := w.counted(t); o != outcomeRefused || reason != crdv1.ReasonNoPool {
				t.Errorf("counted as %s for %q", o, reason)
			}
		})
	}
}

func TestDryRunsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	w := newWorld().pools(pool("a", "10.1.0.0/16"))
	w.dryRun.fail = always(exhaustedError{cause: crdv1.ReasonPoolFull})
	request := create(t, pod4(), dry)
	p := stored(t, request, w.webhook(t).Handle(t.Context(), request))
	if diff := cmp.Diff([]string{crdv1.GateWaitingForAddress}, gatesOf(p)); diff != "" || w.reserver.attempts > 0 {
		t.Errorf("gates %s, %d times asked the reserver that writes", diff, w.reserver.attempts)
	}
}

// A pod that is deliberately not given addresses yet is patched as its choice says, has no gate,
// and says why it has no address.
func TestAPodThatGetsItsAddressesLaterOnPurpose(t *testing.T) {
	t.Parallel()
	zone := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}},
	}}}}
	asked := 0
	p := pod4()
	err := deferTo(p, choice.Choice{
		Ours: true, NotYet: &choice.Reason{Reason: crdv1.ReasonQueued, Message: "its node decides"},
		Patch: func(token string, claims []crdv1.Claim) (choice.Patch, error) {
			asked++
			if token != "" || claims != nil {
				t.Errorf("asked for %q, %v", token, claims)
			}
			return choice.Patch{Nodes: zone}, nil
		},
	})
	a := answerTo(p, false, err, config.ExhaustionWait)
	if a.outcome != outcomeUnassigned || a.reason != crdv1.ReasonQueued || a.refusal != nil || asked != 1 {
		t.Errorf("answered %+v, asked %d times", a, asked)
	}
	if len(p.Spec.SchedulingGates) > 0 || p.Annotations[crdv1.AnnotationUnassigned] != crdv1.ReasonQueued ||
		p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		t.Errorf("the pod became %+v, %+v", p.Annotations, p.Spec)
	}
}
