package view

import (
	"fmt"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	recording "k8s.io/client-go/tools/events"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Recorder records events on pods and pools. When there are many at once some are dropped;
// conditions and logs are not.
type Recorder struct{ recording.EventRecorder }

// Event is the content of an event.
type Event struct {
	Related *corev1.ObjectReference // may be nil
	Type    string                  // Normal or Warning
	Reason  string
	Action  string // what was being done
	Note    string
}

// Tell records an event on an object. Events on one version of an object with the same reason are
// counted as one, and show the note of the first.
func (r Recorder) Tell(on *corev1.ObjectReference, e Event) {
	note := Clip(e.Note, longestNote)
	if e.Related == nil { // a nil pointer in an interface is not nil
		r.Eventf(on, nil, e.Type, e.Reason, e.Action, "%s", note)
		return
	}
	r.Eventf(on, e.Related, e.Type, e.Reason, e.Action, "%s", note)
}

// longestNote is the API's limit, in bytes.
const longestNote = 1024

// Clip shortens text to at most n bytes, and marks that it did.
func Clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const more = "…"
	cut := n - len(more)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}

// Reference returns the reference to the pod for an event.
func (p *Pod) Reference() *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
	}
}

// PoolReference returns the reference to a pool for an event.
func PoolReference(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: crdv1.GroupVersion.String(), Kind: "SpiderIPPool", Name: name}
}

// AssignedText says which addresses a pod was given.
func AssignedText(claims []crdv1.Claim) string {
	texts := make([]string, len(claims))
	for i, c := range claims {
		texts[i] = fmt.Sprintf("%s of pool %q", c.Address, c.Pool)
	}
	return "assigned " + strings.Join(texts, ", ")
}
