package latebind

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/internal/parallel"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	// minReportAge is how long a reason must last before it is reported: shorter ones usually end
	// with the pod getting its addresses.
	minReportAge = 500 * time.Millisecond
	// reportEvery is how often reportsPerPass pods are reported on: each report causes a watch
	// event, which triggers another pass.
	reportEvery = 200 * time.Millisecond
	// repeat is how often the event of a lasting reason is repeated.
	repeat = 5 * time.Minute
)

// reportedStatus is why a pod is pending, and what was reported of that.
type reportedStatus struct {
	reason, message string // empty unless it is known to be pending
	since           time.Time
	counted         time.Time // when the numbers in the message were taken
	recounted       bool      // they are not those of the first report

	event   string // reason of the last event
	eventAt time.Time
}

// statusBackoff is the backoff for writing a pod's condition: one that cannot be written must not
// keep those of others from being written.
type statusBackoff struct {
	failures int
	until    time.Time // no attempt before it
}

func (m *statusBackoff) fail(now time.Time) {
	m.until = now.Add(min(reportEvery<<min(m.failures, 10), longestRetry))
	m.failures++
}

// waits records why the pod is pending. Other numbers in the message do not count as a change: they
// change with every pod, so each of thousands of pending pods would be written to each time, and a
// reason with numbers that always change would never be reported. They are updated when the event
// is repeated.
func (t *reportedStatus) waits(reason, message string, now time.Time) {
	switch {
	case t.reason != reason || !sameGist(t.message, message):
		t.reason, t.message, t.since, t.counted, t.recounted = reason, message, now, now, false
	case t.message != message && now.Sub(t.counted) >= repeat:
		t.message, t.counted, t.recounted = message, now, true
	}
}

// sameGist reports whether two messages differ only in numbers.
func sameGist(a, b string) bool { return a == b || ledger.Gist(a) == ledger.Gist(b) }

// reportNeeds is what has to be reported about a pod.
type reportNeeds struct{ condition, event bool }

// needsReport returns what was not reported yet of why a pod is pending. A former leader that wrote
// the condition sent the event too. A condition that cannot be written does not hold back the
// event.
func (l *pendingPod) needsReport(now time.Time) reportNeeds {
	if l.reason == "" || l.object == nil || now.Sub(l.since) < minReportAge {
		return reportNeeds{}
	}
	same := l.matches(view.AddressCondition(l.object))
	if same && l.event == "" {
		l.event, l.eventAt = l.reason, now
	}
	return reportNeeds{condition: !same && !now.Before(l.backoff.until), event: l.event != l.reason || now.Sub(l.eventAt) >= repeat}
}

// matches reports whether a condition says why the pod is pending.
func (t *reportedStatus) matches(c *corev1.PodCondition) bool {
	return c != nil && c.Status == corev1.ConditionFalse && c.Reason == t.reason &&
		(c.Message == t.message || !t.recounted && sameGist(c.Message, t.message))
}

// reportAll reports on some of the pending pods, in the order in which they are served.
func (b *reconciler) reportAll(ctx context.Context, p *pass) {
	var waits []waitSince
	var due []*pendingPod
	for _, l := range p.all {
		if l.reason == "" {
			continue
		}
		waits = append(waits, waitSince{l.reason, l.pod.CreationTimestamp.Time})
		switch {
		case p.now.Sub(l.since) < minReportAge:
			p.soon(minReportAge - p.now.Sub(l.since))
		case l.needsReport(p.now) == reportNeeds{}:
			p.soonAt(l.backoff.until)
		case len(due) == reportsPerPass, p.now.Before(b.nextReport):
			p.soon(max(b.nextReport.Sub(p.now), reportEvery))
		default:
			due = append(due, l)
		}
	}
	b.metrics.waits(waits)
	if len(due) > 0 {
		b.nextReport = p.now.Add(reportEvery)
	}
	parallel.Do(parallelism, due, func(l *pendingPod) error { b.report(ctx, l, p.now); return nil })
}

func (b *reconciler) report(ctx context.Context, l *pendingPod, now time.Time) {
	say := l.needsReport(now)
	if say.condition {
		err := b.waiting(ctx, l)
		switch {
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			l.backoff.fail(now)
			l.forget()
			return
		case err != nil:
			l.backoff.fail(now)
			log.FromContext(ctx).Error(err, "writing why a pod waits", "pod", l.pod.String(), "uid", l.pod.UID)
		default:
			l.backoff = statusBackoff{}
		}
	}
	if say.event {
		b.events.waits(l.pod, l.reason, l.message)
		l.event, l.eventAt = l.reason, now
	}
}

// statusWriter writes the condition AddressAssigned.
type statusWriter struct{ client client.Client }

// waiting writes why a pod is pending, if it has not changed since it was read.
func (s statusWriter) waiting(ctx context.Context, l *pendingPod) error {
	c := corev1.PodCondition{
		Type: crdv1.ConditionAddressAssigned, Status: corev1.ConditionFalse, Reason: l.reason, Message: l.message, LastTransitionTime: metav1.Now(),
	}
	if old := view.AddressCondition(l.object); old != nil && old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	pod, err := s.write(ctx, l.pod, l.object.ResourceVersion, c)
	if err != nil {
		return err
	}
	return l.update(pod)
}

// assigned writes that a pod has its addresses, even if it has changed.
func (s statusWriter) assigned(ctx context.Context, p *view.Pod, claims []crdv1.Claim) error {
	_, err := s.write(ctx, p, "", corev1.PodCondition{
		Type: crdv1.ConditionAddressAssigned, Status: corev1.ConditionTrue, Reason: crdv1.ReasonAssigned, Message: view.AssignedText(claims),
		LastTransitionTime: metav1.Now(),
	})
	return err
}

// write sets the condition and keeps all others: the list of conditions is merged by type.
func (s statusWriter) write(ctx context.Context, p *view.Pod, revision string, c corev1.PodCondition) (*corev1.Pod, error) {
	patch := struct {
		Metadata choice.Preconditions `json:"metadata"`
		Status   any                  `json:"status"`
	}{choice.Preconditions{UID: p.UID, ResourceVersion: revision}, map[string]any{"conditions": []corev1.PodCondition{c}}}
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encoding a condition of pod %s: %w", p, err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
	if err := s.client.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, data), fieldManager); err != nil {
		return nil, fmt.Errorf("writing the condition of pod %s: %w", p, err)
	}
	return pod, nil
}

// fieldManager is the field manager for writes to pods.
const fieldManager = client.FieldOwner("spiderpool")
