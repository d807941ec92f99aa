package latebind

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	recording "k8s.io/client-go/tools/events"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// conditioned gives a pod the condition AddressAssigned.
func conditioned(status corev1.ConditionStatus, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: crdv1.ConditionAddressAssigned, Status: status, Reason: reason, Message: message})
	}
}

func TestWhatIsReportedOfAPendingPod(t *testing.T) {
	t.Parallel()
	const reason, message = crdv1.ReasonPoolFull, "all taken"
	since := reportedStatus{reason: reason, message: message, since: noon}
	const then, now = "taken (3 in use), so wait", "taken (2 in use, 1 held), so wait"
	figures := reportedStatus{reason: reason, message: now, since: noon, event: reason, eventAt: noon}
	recounted := figures
	recounted.recounted = true
	after := func(t reportedStatus, event string, at time.Time) reportedStatus {
		t.event, t.eventAt = event, at
		return t
	}
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		status reportedStatus
		want   reportNeeds
		at     time.Duration
	}{
		"nothing in the first moment":                            {gated(), since, reportNeeds{}, minReportAge - 1},
		"both when nothing was reported":                         {gated(), since, reportNeeds{true, true}, minReportAge},
		"nothing of a pod that does not wait":                    {gated(), reportedStatus{}, reportNeeds{}, time.Hour},
		"nothing more once it was reported":                      {gated(conditioned(corev1.ConditionFalse, reason, message)), after(since, reason, noon), reportNeeds{}, time.Minute},
		"no event that a former leader has sent":                 {gated(conditioned(corev1.ConditionFalse, reason, message)), since, reportNeeds{}, time.Minute},
		"the event again when it lasts":                          {gated(conditioned(corev1.ConditionFalse, reason, message)), after(since, reason, noon), reportNeeds{event: true}, repeat},
		"another message, without an event":                      {gated(conditioned(corev1.ConditionFalse, reason, "other")), after(since, reason, noon), reportNeeds{condition: true}, time.Minute},
		"another reason":                                         {gated(conditioned(corev1.ConditionFalse, crdv1.ReasonQueued, message)), after(since, crdv1.ReasonQueued, noon), reportNeeds{true, true}, time.Minute},
		"nothing where only the figures differ":                  {gated(conditioned(corev1.ConditionFalse, reason, then)), figures, reportNeeds{}, time.Minute},
		"the figures once they were brought up to date":          {gated(conditioned(corev1.ConditionFalse, reason, then)), recounted, reportNeeds{condition: true}, time.Minute},
		"both for a pod that waits again after it had addresses": {gated(conditioned(corev1.ConditionTrue, crdv1.ReasonAssigned, "")), since, reportNeeds{true, true}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := pendingOf(t, c.pod)
			l.object, l.reportedStatus = c.pod, c.status
			if got := l.needsReport(noon.Add(c.at)); got != c.want {
				t.Errorf("needs %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAReasonKeepsTheTimeOfItsStart(t *testing.T) {
	t.Parallel()
	var w reportedStatus
	w.waits("a", "m", noon)
	w.waits("a", "m", noon.Add(time.Hour))
	if !w.since.Equal(noon) {
		t.Errorf("since %s", w.since)
	}
	w.waits("a", "n", noon.Add(time.Hour))
	if w.since.Equal(noon) || w.message != "n" {
		t.Errorf("%q since %s", w.message, w.since)
	}
}

func TestNumbersInMessagesAreUpdatedNowAndThen(t *testing.T) {
	t.Parallel()
	var w reportedStatus
	w.waits("a", "taken (3 in use)", noon)
	w.waits("a", "taken (2 in use, 1 held)", noon.Add(repeat-1))
	if w.message != "taken (3 in use)" || !w.since.Equal(noon) || w.recounted {
		t.Errorf("%+v before it is time", w)
	}
	w.waits("a", "taken (1 in use, 2 held)", noon.Add(repeat))
	if w.message != "taken (1 in use, 2 held)" || !w.since.Equal(noon) || !w.recounted {
		t.Errorf("%+v when it is time", w)
	}
	w.waits("a", "taken (1 in use), and others wait", noon.Add(repeat+1))
	if w.message != "taken (1 in use), and others wait" || w.since.Equal(noon) || w.recounted {
		t.Errorf("%+v once the rest of it differs", w)
	}
}

func TestWhyAnAttemptToBindFailed(t *testing.T) {
	t.Parallel()
	pods := corev1.Resource("pods")
	refused := func(causes ...string) error {
		e := &ledger.ExhaustedError{}
		for i, cause := range causes {
			e.Refusals = append(e.Refusals, &ledger.RefusedError{Pool: fmt.Sprint("pool-", i), Cause: cause, Reason: "because"})
		}
		return errors.Join(e, nil)
	}
	for name, c := range map[string]struct {
		err       error
		want      string
		wantFull  []string
		wantLater time.Duration
		wantWhy   string
		wantKept  bool // the pod that was read is kept
	}{
		"the pool was full after all": {err: refused(crdv1.ReasonPoolFull), want: resultRefused, wantFull: []string{"pool-0"}, wantKept: true},
		"a predecessor has not ended": {
			err: refused(crdv1.ReasonPredecessor), want: resultRefused, wantLater: retry, wantKept: true,
			wantWhy: `PredecessorNotEnded pools chosen by a rule: pool "pool-0": because`,
		},
		"one is full and one is not ready": {
			err: refused(crdv1.ReasonPoolFull, crdv1.ReasonPoolNotReady), want: resultRefused, wantFull: []string{"pool-0"}, wantLater: retry, wantKept: true,
			wantWhy: `PoolNotReady pools chosen by a rule: pool "pool-0": because; pool "pool-1": because`,
		},
		"the pod has changed":     {err: apierrors.NewConflict(pods, "p", nil), want: resultChanged},
		"the reservation is gone": {err: errOutdated, want: resultChanged},
		"the pool was recreated":  {err: ledger.ErrReplaced, want: resultChanged},
		"the pod is gone":         {err: apierrors.NewNotFound(pods, "p"), want: resultGone},
		"another product's webhook refuses it": {
			err:  writeError{apierrors.NewForbidden(pods, "p", errors.New(`admission webhook "labels.example.com" denied the request: no`))},
			want: resultDenied, wantLater: 4 * retry, wantWhy: `WriteRefused webhook "labels.example.com" refuses the write that gives the pod its addresses: binding: ` +
				`pods "p" is forbidden: admission webhook "labels.example.com" denied the request: no`,
		},
		"another product's webhook does not answer, and fails closed": {
			err:  writeError{apierrors.NewInternalError(errors.New(`failed calling webhook "labels.example.com": no endpoints`))},
			want: resultDenied, wantLater: 4 * retry, wantWhy: `WriteRefused webhook "labels.example.com" refuses the write that gives the pod its addresses: binding: ` +
				`Internal error occurred: failed calling webhook "labels.example.com": no endpoints`,
		},
		"a policy refuses it": {
			err:  writeError{apierrors.NewForbidden(pods, "p", errors.New(`ValidatingAdmissionPolicy 'frozen' with binding 'frozen' denied request: no`))},
			want: resultDenied, wantLater: 4 * retry, wantWhy: `WriteRefused admission policy "frozen" refuses the write that gives the pod its addresses: binding: ` +
				`pods "p" is forbidden: ValidatingAdmissionPolicy 'frozen' with binding 'frozen' denied request: no`,
		},
		"the write to a pool is refused": {
			err:  apierrors.NewForbidden(corev1.Resource("spiderippools"), "a", errors.New("cannot update")),
			want: resultFailed, wantLater: 4 * retry, wantWhy: `InternalError binding: spiderippools "a" is forbidden: cannot update`,
		},
		"it is unknown whether it succeeded": {err: errors.New("away"), want: resultFailed, wantLater: 4 * retry, wantWhy: "InternalError away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := pendingOf(t, gated())
			l.object, l.failure.failures = gated(), 2
			s := &attempt{pendingPod: l, verdict: verdict{request: waiter("p", 0)}}
			s.fail(fmt.Errorf("binding: %w", c.err), noon)
			if c.want == resultFailed {
				c.wantWhy = strings.Replace(c.wantWhy, "away", "binding: away", 1)
			}
			if s.result != c.want {
				t.Errorf("result is %s, want %s", s.result, c.want)
			}
			if diff := cmp.Diff(c.wantFull, s.full); diff != "" {
				t.Errorf("full (-want +got):\n%s", diff)
			}
			var later time.Duration
			if !l.failure.notBefore.IsZero() {
				later = l.failure.notBefore.Sub(noon)
			}
			if why := strings.TrimSpace(l.failure.reason + " " + l.failure.message); later != c.wantLater || why != c.wantWhy {
				t.Errorf("tried again after %s because %q, want %s because %q", later, why, c.wantLater, c.wantWhy)
			}
			if kept := l.object != nil; kept != c.wantKept {
				t.Errorf("what was read of the pod is kept: %t", kept)
			}
		})
	}
}

// A write that the API server finds invalid stays invalid until the pod changes. A policy that
// refuses it may change before, although the API server calls that refusal Invalid too.
func TestAWriteThatCannotSucceedIsTriedAgainOnlyWhenThePodHasChanged(t *testing.T) {
	t.Parallel()
	l := pendingOf(t, gated())
	(&attempt{pendingPod: l}).fail(writeError{apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), "p", nil)}, noon)
	if l.failure.reason != crdv1.ReasonWriteRefused || !l.failure.permanent(l.pod) {
		t.Errorf("%+v", l.failure)
	}
	policy := apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), "p", nil)
	policy.ErrStatus.Message = `pods "p" is forbidden: ValidatingAdmissionPolicy 'frozen' with binding 'frozen' denied request: no`
	other := pendingOf(t, gated())
	if (&attempt{pendingPod: other}).fail(writeError{policy}, noon); other.failure.reason != crdv1.ReasonWriteRefused || other.failure.permanent(other.pod) {
		t.Errorf("refused by a policy: %+v", other.failure)
	}
	changed := *l.pod
	changed.Revision++
	if l.failure.permanent(&changed) {
		t.Error("the pod has changed, and is not tried again")
	}
}

func TestFailingAttemptsBackOff(t *testing.T) {
	t.Parallel()
	l := pendingOf(t, gated())
	for range 100 {
		(&attempt{pendingPod: l}).fail(errors.New("away"), noon)
	}
	if got := l.failure.notBefore.Sub(noon); got != longestRetry {
		t.Errorf("after %s", got)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	p := &view.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "uid-p"}, Node: "n1"}
	for name, c := range map[string]struct {
		record func(*events)
		want   []string
	}{
		"waits":   {func(e *events) { e.waits(p, crdv1.ReasonPoolFull, "100% taken") }, []string{"Warning PoolFull 100% taken"}},
		"missed":  {func(e *events) { e.missed(p) }, []string{"Warning MissedAdmission the pod was admitted without the webhook, which did not answer or was not installed; it is given its addresses now"}},
		"static":  {func(e *events) { e.static(p) }, []string{"Warning StaticPod the kubelet starts static pods from a file and does not read the annotations of this object, so the pod cannot be given addresses; give it the node's network (hostNetwork: true), or make it of a DaemonSet"}},
		"ungated": {func(e *events) { e.ungated(p) }, []string{"Normal GateRemoved the scheduling gate ipam.spidernet.io/waiting-for-address was removed: the pod waits for no address"}},
		"assigned": {
			func(e *events) {
				e.assigned(p, []crdv1.Claim{{Pool: "a", Address: x}, {Pool: "b", Address: netip.MustParseAddr("fd00::1")}})
			},
			[]string{`Normal AddressAssigned assigned 10.0.0.1 of pool "a", fd00::1 of pool "b"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := recording.NewFakeRecorder(10)
			c.record(&events{view.Recorder{EventRecorder: recorder}})
			close(recorder.Events)
			var got []string
			for text := range recorder.Events {
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetricsOfPendingPods(t *testing.T) {
	t.Parallel()
	var none *Metrics
	none.waits(nil)
	none.lateBinding(resultBound)

	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.waiting.now = func() time.Time { return noon }
	m.waits([]waitSince{{"PoolFull", noon.Add(-10 * time.Second)}, {"PoolFull", noon.Add(-20 * time.Second)}, {"PoolNotReady", noon.Add(-time.Second)}})
	m.lateBinding(resultBound)
	want := `
# HELP spiderpool_late_bindings_total Tries to give a pod that waits its addresses by result: bound, refused by a pool, changed or gone meanwhile, denied by who admits writes to pods, or failed.
# TYPE spiderpool_late_bindings_total counter
spiderpool_late_bindings_total{result="bound"} 1
# HELP spiderpool_waiting_oldest_seconds How long ago the oldest pod that waits for addresses was created, by reason.
# TYPE spiderpool_waiting_oldest_seconds gauge
spiderpool_waiting_oldest_seconds{reason="PoolFull"} 20
spiderpool_waiting_oldest_seconds{reason="PoolNotReady"} 1
# HELP spiderpool_waiting_pods Pods that wait for addresses, by the reason that their condition AddressAssigned gives.
# TYPE spiderpool_waiting_pods gauge
spiderpool_waiting_pods{reason="PoolFull"} 2
spiderpool_waiting_pods{reason="PoolNotReady"} 1
`
	err := testutil.GatherAndCompare(registry, strings.NewReader(want), "spiderpool_late_bindings_total", "spiderpool_waiting_oldest_seconds", "spiderpool_waiting_pods")
	if err != nil {
		t.Error(err)
	}
}

func TestPodsThatLookAsIfTheyStillWaited(t *testing.T) {
	t.Parallel()
	with := func(token string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Annotations = map[string]string{
				crdv1.AnnotationReservation:             token,
				crdv1.AnnotationAssignedPrefix + "eth0": `{"interface":"eth0","ipv4pool":"a","ipv6pool":"","ipv4":"10.0.0.1/24","ipv6":"","vlan":0}`,
			}
		}
	}
	late, early := with(string(allocator.LateToken("uid-p"))), with(string(tokenA))
	isTrue := conditioned(corev1.ConditionTrue, crdv1.ReasonAssigned, "")
	isFalse := conditioned(corev1.ConditionFalse, crdv1.ReasonPoolFull, "full")
	for name, c := range map[string]struct {
		edits []func(*corev1.Pod)
		want  bool
	}{
		"one that waits": {nil, false},
		"one that got its address when it was created": {[]func(*corev1.Pod){ungated, early}, false},
		"the same with our gate":                       {[]func(*corev1.Pod){early}, true},
		"the same with the condition False":            {[]func(*corev1.Pod){ungated, early, isFalse}, true},
		"one bound late that says so":                  {[]func(*corev1.Pod){ungated, late, isTrue}, false},
		"one bound late that says nothing":             {[]func(*corev1.Pod){ungated, late}, true},
		"one bound late with the condition False":      {[]func(*corev1.Pod){ungated, late, isFalse}, true},
		"one on the host's network with our gate":      {[]func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.HostNetwork = true }}, true},
		"one that is being deleted":                    {[]func(*corev1.Pod){late, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: noon} }}, false},
		"one that has finished":                        {[]func(*corev1.Pod){late, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := pendingOf(t, gated(c.edits...)).pod.LeftOver(); got != c.want {
				t.Errorf("looks so: %t", got)
			}
		})
	}
}
