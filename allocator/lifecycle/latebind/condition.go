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
	// lasting is how long a reason must last before it is told: most that are
	// over sooner are followed by the addresses.
	lasting = 500 * time.Millisecond
	// tellEvery is how often tellsPerPass pods are told something: each thing told
	// is an event that asks for another pass.
	tellEvery = 200 * time.Millisecond
	// repeat is how often the event of a reason that lasts is repeated.
	repeat = 5 * time.Minute
)

// reportedStatus is what a pod waits for, and what was said of it.
type reportedStatus struct {
	reason, message string // empty while it is not known to wait
	since           time.Time
	counted         time.Time // when the figures in the message were taken
	recounted       bool      // they are not those that were told first

	event   string // reason of the last event
	eventAt time.Time
}

// statusBackoff is what came of the tries to write a pod's condition: one that cannot
// be written must not stand before those of others for ever.
type statusBackoff struct {
	failures int
	until    time.Time // before it there is no other try
}

func (m *statusBackoff) fail(now time.Time) {
	m.until = now.Add(min(tellEvery<<min(m.failures, 10), longestRetry))
	m.failures++
}

// waits notes why the pod waits. That other figures stand in the message is no
// news: they change with every pod, each of thousands who wait would be written to
// for it, and a reason whose figures never rest would never be told. They are
// brought up to date when the event is repeated.
func (t *reportedStatus) waits(reason, message string, now time.Time) {
	switch {
	case t.reason != reason || !sameGist(t.message, message):
		t.reason, t.message, t.since, t.counted, t.recounted = reason, message, now, now, false
	case t.message != message && now.Sub(t.counted) >= repeat:
		t.message, t.counted, t.recounted = message, now, true
	}
}

// sameGist reports whether two messages differ in nothing but figures.
func sameGist(a, b string) bool { return a == b || ledger.Gist(a) == ledger.Gist(b) }

// report is what is to be told of a pod.
type report struct{ condition, event bool }

// toTell says what people do not know yet of why a pod waits. A former leader
// that wrote the condition sent the event too. A condition that could not be
// written does not keep the event back.
func (l *pendingPod) toTell(now time.Time) report {
	if l.reason == "" || l.object == nil || now.Sub(l.since) < lasting {
		return report{}
	}
	same := l.toldBy(view.AddressCondition(l.object))
	if same && l.event == "" {
		l.event, l.eventAt = l.reason, now
	}
	return report{condition: !same && !now.Before(l.backoff.until), event: l.event != l.reason || now.Sub(l.eventAt) >= repeat}
}

// toldBy reports whether a condition says why the pod waits.
func (t *reportedStatus) toldBy(c *corev1.PodCondition) bool {
	return c != nil && c.Status == corev1.ConditionFalse && c.Reason == t.reason &&
		(c.Message == t.message || !t.recounted && sameGist(c.Message, t.message))
}

// tellAll tells of some of those who wait, in the order in which they are served,
// what is not known yet.
func (b *reconciler) tellAll(ctx context.Context, p *pass) {
	var waits []waitSince
	var due []*pendingPod
	for _, l := range p.all {
		if l.reason == "" {
			continue
		}
		waits = append(waits, waitSince{l.reason, l.pod.CreationTimestamp.Time})
		switch {
		case p.now.Sub(l.since) < lasting:
			p.soon(lasting - p.now.Sub(l.since))
		case l.toTell(p.now) == report{}:
			if wait := l.backoff.until.Sub(p.now); wait > 0 {
				p.soon(wait)
			}
		case len(due) == tellsPerPass, p.now.Before(b.nextTell):
			p.soon(max(b.nextTell.Sub(p.now), tellEvery))
		default:
			due = append(due, l)
		}
	}
	b.metrics.waits(waits)
	if len(due) > 0 {
		b.nextTell = p.now.Add(tellEvery)
	}
	parallel.Do(atOnce, due, func(l *pendingPod) error { b.tell(ctx, l, p.now); return nil })
}

func (b *reconciler) tell(ctx context.Context, l *pendingPod, now time.Time) {
	say := l.toTell(now)
	if say.condition {
		err := b.waiting(ctx, l)
		switch {
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			l.backoff.fail(now)
			l.forget()
			return
		case err != nil:
			l.backoff.fail(now)
			log.FromContext(ctx).Error(err, "telling why a pod waits", "pod", l.pod.String(), "uid", l.pod.UID)
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

// waiting writes why a pod waits, if the pod is still as it was read.
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

// assigned writes that a pod has its addresses, whatever else has changed of it.
func (s statusWriter) assigned(ctx context.Context, p *view.Pod, claims []crdv1.Claim) error {
	_, err := s.write(ctx, p, "", corev1.PodCondition{
		Type: crdv1.ConditionAddressAssigned, Status: corev1.ConditionTrue, Reason: crdv1.ReasonAssigned, Message: view.AssignedText(claims),
		LastTransitionTime: metav1.Now(),
	})
	return err
}

// write sets the condition and leaves all others as they are: the list of
// conditions is merged by type.
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
	if err := s.client.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, data), owner); err != nil {
		return nil, fmt.Errorf("writing the condition of pod %s: %w", p, err)
	}
	return pod, nil
}

// owner is the field manager of what is written to pods.
const owner = client.FieldOwner("spiderpool")
