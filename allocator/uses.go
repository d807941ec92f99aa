package allocator

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// PodRef names the pod of a reservation. At admission a pod has neither a final name nor a UID:
// both are set for late binding only.
type PodRef struct{ Namespace, Name, UID string }

// Reservation is an address waiting for a pod to be seen.
type Reservation struct {
	Token  Token
	Pod    PodRef
	Owner  string        // OwnerDigest of the pod's controller, empty where it has none; not kept of what is pending admission
	Grace  time.Duration // the pod's termination grace, see GraceOf
	For    Identity      // the stable identity that the address is for; the zero value where there is none
	ForUID string        // the UID of that identity's owner; only to be shown
	NIC    string        // the pod's NIC that the address is for; empty for DefaultNIC
}

// DefaultNIC is the NIC on the pod network. Nearly all addresses are for it, so it is written as
// nothing.
const DefaultNIC = "eth0"

// OnNIC returns the reservation for a NIC of its pod. A token, and an identity, has one address for
// each NIC.
func (r Reservation) OnNIC(nic string) Reservation {
	r.NIC, r.For = recordedNIC(nic), r.For.OnNIC(nic)
	return r
}

func recordedNIC(nic string) string {
	if nic == DefaultNIC {
		return ""
	}
	return nic
}

// LateBound reports whether the reservation is for a pod that already exists.
func (r Reservation) LateBound() bool { return r.Pod.Name != "" }

// String is the reservation's line in a pool's status, less the address.
func (r Reservation) String() string {
	var b strings.Builder
	b.WriteString(string(r.Token) + " " + r.Pod.Namespace)
	if r.LateBound() {
		b.WriteString("/" + r.Pod.Name + " " + r.Pod.UID)
	}
	if r.Owner != "" {
		b.WriteString(" " + wordOwner + r.Owner)
	}
	if r.Grace > 0 {
		b.WriteString(" " + wordGrace + graceText(r.Grace))
	}
	if r.For != (Identity{}) {
		b.WriteString(" " + wordFor + r.For.kindAndName() + "/" + r.For.Pod)
	}
	if r.ForUID != "" {
		b.WriteString(" " + wordForUID + r.ForUID)
	}
	if r.NIC != "" {
		b.WriteString(" " + wordNIC + r.NIC)
	}
	return b.String()
}

// The words of a reservation's line, in their order. No name has a colon.
const (
	wordOwner  = "by:"
	wordGrace  = "grace:"
	wordFor    = "for:"
	wordForUID = "of:"
	wordNIC    = "nic:"
)

// normal returns the reservation as it will be read back.
func (r Reservation) normal() (Reservation, error) {
	r.Grace = normalGrace(r.Grace)
	if _, err := ParseToken(string(r.Token)); err != nil {
		return r, err
	}
	if err := r.Pod.validate(); err != nil {
		return r, err
	}
	if r.Owner != "" && (len(r.Owner) != digestLength || strings.ContainsFunc(r.Owner, notInToken)) {
		return r, invalidf("owner %q: want %d characters of a-z and 2-7", r.Owner, digestLength)
	}
	if err := validNIC(r.NIC); err != nil {
		return r, err
	}
	return r, r.validFor()
}

// validFor checks the stable identity that a reservation is for.
func (r Reservation) validFor() error {
	if r.For == (Identity{}) {
		if r.ForUID != "" {
			return invalidf("UID %q of the owner of no identity", r.ForUID)
		}
		return nil
	}
	if r.For.Namespace != r.Pod.Namespace || r.LateBound() && r.For.Pod != r.Pod.Name {
		return invalidf("for %s: not the pod %q of namespace %q", r.For, r.Pod.Name, r.Pod.Namespace)
	}
	if r.For.NIC != r.NIC {
		return invalidf("for %s: not the NIC %q", r.For, r.NIC)
	}
	return r.For.validate(r.ForUID)
}

func (p PodRef) validate() error {
	switch {
	case (p.Name == "") != (p.UID == ""):
		return invalidf("pod %q of namespace %q, UID %q: name and UID go together", p.Name, p.Namespace, p.UID)
	case p.Name == "":
		return validNames(p.Namespace)
	}
	return validNames(p.Namespace, p.Name, p.UID)
}

// Hold is an address of which no kubelet confirmed that its pod has ended.
type Hold struct {
	Node  string        // empty: not known
	Since time.Time     // UTC, whole seconds
	Grace time.Duration // the pod's termination grace, see GraceOf
	Pod   PodRef        // whose it was, without a UID; without a name where it was not seen, empty where nothing is known
	Until time.Time     // when it is expected to end, for people; UTC, whole seconds, zero where that is not known
}

// String is the hold's line in a pool's status, less the address.
func (h Hold) String() string {
	s := cmp.Or(h.Node, unknown) + " " + h.Since.Format(time.RFC3339)
	if h.Grace > 0 {
		s += " " + graceText(h.Grace)
	}
	if h.Pod != (PodRef{}) {
		s += " " + wordPod + h.Pod.Namespace + "/" + cmp.Or(h.Pod.Name, unknown)
	}
	if !h.Until.IsZero() {
		s += " " + wordUntil + h.Until.Format(time.RFC3339)
	}
	return s
}

// The words of a hold's line, in their order. Before them stand node, time and, without a word, the
// grace.
const (
	wordPod   = "pod:"
	wordUntil = "until:"
)

// normal returns the hold as it will be read back.
func (h Hold) normal() (Hold, error) {
	h.Since, h.Until = h.Since.UTC().Truncate(time.Second), h.Until.UTC().Truncate(time.Second)
	h.Grace = normalGrace(h.Grace)
	h.Pod.UID = ""
	for _, t := range []time.Time{h.Since, h.Until} {
		if y := t.Year(); y < 1 || y > 9999 {
			return h, invalidf("hold since or until year %d", y)
		}
	}
	for _, name := range []string{h.Node, h.Pod.Name} {
		if name != "" {
			if err := validNames(name); err != nil {
				return h, err
			}
		}
	}
	if h.Pod == (PodRef{}) {
		return h, nil
	}
	return h, validNames(h.Pod.Namespace)
}

// DefaultGrace is the termination grace that Kubernetes gives a pod that names none. Most pods have
// it, so it is written as nothing.
const DefaultGrace = 30 * time.Second

// MaxGrace bounds the termination grace that counts. A pod deleted by force is no object of any
// quota any more, and its address is held for as long as the pod may go on: without a bound, one
// user could keep all addresses for ever.
const MaxGrace = 24 * time.Hour

// longestWritten is the longest grace that a record keeps: older controllers wrote what users had
// said, up to this. It stands in the text as it was written, and counts as MaxGrace.
const longestWritten = 100 * 365 * 24 * time.Hour

// GraceOf returns a pod's terminationGracePeriodSeconds as reservations and holds keep it: whole
// seconds, at most MaxGrace, and zero for DefaultGrace or less. See WaitFor.
func GraceOf(seconds int64) time.Duration {
	return normalGrace(time.Duration(min(max(seconds, 0), int64(MaxGrace/time.Second))) * time.Second)
}

// WaitFor returns how long to wait for the end of a pod of which a record says this grace: at least
// DefaultGrace, which is written as nothing, and at most MaxGrace.
func WaitFor(grace time.Duration) time.Duration { return min(max(grace, DefaultGrace), MaxGrace) }

// normalGrace rounds up: waiting a little too long is a bounded leak, too short hands out an
// address that is in use.
func normalGrace(d time.Duration) time.Duration {
	if d <= DefaultGrace {
		return 0
	}
	return (min(d, longestWritten) + time.Second - 1).Truncate(time.Second)
}

func graceText(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + "s" }

// parseGrace reads what graceText writes, and somewhat more: what it says in other words does not
// pass canonicalText.
func parseGrace(s string) (time.Duration, error) {
	digits, ok := strings.CutSuffix(s, "s")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= int64(DefaultGrace/time.Second) || n > int64(longestWritten/time.Second) {
		return 0, invalidf("%q: not a grace of more than %s, in whole seconds", s, graceText(DefaultGrace))
	}
	return time.Duration(n) * time.Second, nil
}

// Use says what an address is taken for: all of it for those of pods without stable identity, half
// of it for retained ones, which are kept for somebody besides.
type Use int

// The uses of an address.
const (
	Unassigned       Use = iota // nobody has it: free, or merely retained
	PendingAdmission            // an admission may bring a pod with it: reserved
	InUse                       // a pod with it was seen: settled
	Held                        // a pod with it vanished and its end was not seen
)

func (u Use) String() string {
	return [...]string{"unassigned", "pending admission", "in use", "held"}[u]
}

// Retention is an address kept for a stable identity, also while no pod has it. More about what is
// pending admission say AwaitedAt and ByToken, about what is held HoldAt.
type Retention struct {
	Identity Identity
	OwnerUID string // only to be shown; may be empty
	Use      Use
}

func (r Retention) String() string { return r.Identity.String() + ", " + r.Use.String() }

// Unassigned reports whether no pod has the address nor may come with it: the only use in which it
// may be pending admission, or freed.
func (r Retention) Unassigned() bool { return r.Use == Unassigned }

// PendingAdmission reports whether an admission may bring a pod with the address.
func (r Retention) PendingAdmission() bool { return r.Use == PendingAdmission }

// InUse reports whether a pod with the address was seen.
func (r Retention) InUse() bool { return r.Use == InUse }

// Held reports whether a pod with the address vanished and its end was not seen.
func (r Retention) Held() bool { return r.Use == Held }
