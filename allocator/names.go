package allocator

import (
	"cmp"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Token names one admission: 80 random bits as 16 characters of a-z and 2-7. It ties a pod to what was reserved for it and is
// public, so it proves nothing.
type Token string

const tokenLength = 16

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewToken returns a token that nobody has had before.
func NewToken() Token {
	var b [tokenLength * 5 / 8]byte
	_, _ = rand.Read(b[:]) // never returns an error, see its documentation
	return Token(tokenEncoding.EncodeToString(b[:]))
}

// ParseToken accepts exactly what NewToken can return.
func ParseToken(s string) (Token, error) {
	outside := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '2' || c > '7') }
	if len(s) != tokenLength || strings.ContainsFunc(s, outside) {
		return "", invalidf("token %q: want %d characters of a-z and 2-7", s, tokenLength)
	}
	return Token(s), nil
}

// Compare orders tokens.
func (t Token) Compare(o Token) int { return strings.Compare(string(t), string(o)) }

// PodRef names the pod of a reservation. At admission a pod has neither a final name nor a UID: both are set for late binding only.
type PodRef struct{ Namespace, Name, UID string }

// Reservation is an address waiting for a pod to be seen.
type Reservation struct {
	Token Token
	Pod   PodRef
}

// LateBound reports whether the reservation is for a pod that already exists.
func (r Reservation) LateBound() bool { return r.Pod.Name != "" }

func (r Reservation) String() string {
	pod := r.Pod.Namespace
	if r.LateBound() {
		pod += "/" + r.Pod.Name + " " + r.Pod.UID
	}
	return string(r.Token) + " " + pod
}

func (r Reservation) validate() error {
	if _, err := ParseToken(string(r.Token)); err != nil {
		return err
	}
	if (r.Pod.Name == "") != (r.Pod.UID == "") {
		return invalidf("pod %q of namespace %q, UID %q: name and UID go together", r.Pod.Name, r.Pod.Namespace, r.Pod.UID)
	}
	if r.LateBound() {
		return validNames(r.Pod.Namespace, r.Pod.Name, r.Pod.UID)
	}
	return validNames(r.Pod.Namespace)
}

// Hold is an address whose pod's end no kubelet confirmed.
type Hold struct {
	Node  string    // empty: not known
	Since time.Time // UTC, whole seconds
}

func (h Hold) String() string {
	return cmp.Or(h.Node, unknown) + " " + h.Since.Format(time.RFC3339)
}

// normal returns h as it will be read back.
func (h Hold) normal() (Hold, error) {
	h.Since = h.Since.UTC().Truncate(time.Second)
	if y := h.Since.Year(); y < 1 || y > 9999 {
		return h, invalidf("hold since year %d", y)
	}
	if h.Node == "" {
		return h, nil
	}
	return h, validNames(h.Node)
}

// Identity is who a retained address waits for: a pod name under an owner. The owner's UID is no part of it, so an owner deleted
// with its pods orphaned and made again finds its addresses.
type Identity struct{ Namespace, Group, Kind, Name, Pod string }

// Compare orders identities so that those of one owner are neighbours.
func (i Identity) Compare(o Identity) int {
	return cmp.Or(strings.Compare(i.Namespace, o.Namespace), strings.Compare(i.Group, o.Group), strings.Compare(i.Kind, o.Kind),
		strings.Compare(i.Name, o.Name), strings.Compare(i.Pod, o.Pod))
}

// Owner returns the identity without the pod: what all pods of one owner share.
func (i Identity) Owner() Identity {
	i.Pod = ""
	return i
}

// String returns namespace/Kind.group/name, and for a whole identity the pod behind it. The core group has no dot: kinds cannot
// contain one, so nothing is ambiguous.
func (i Identity) String() string {
	kind := i.Kind
	if i.Group != "" {
		kind += "." + i.Group
	}
	s := i.Namespace + "/" + kind + "/" + i.Name
	if i.Pod != "" {
		s += " pod " + i.Pod
	}
	return s
}

func (i Identity) validate() error {
	if i.Group != "" {
		if err := validNames(i.Group); err != nil {
			return err
		}
	}
	if strings.Contains(i.Kind, ".") {
		return invalidf("kind %q", i.Kind)
	}
	return validNames(i.Namespace, i.Kind, i.Name, i.Pod)
}

// Retention is an address kept for a stable identity.
type Retention struct {
	Identity Identity
	OwnerUID string  // only to be shown; may be empty
	Tokens   []Token // of admissions not yet confirmed, oldest first; do not change
}

func (r Retention) String() string {
	return fmt.Sprintf("%s, %d unconfirmed", r.Identity, len(r.Tokens))
}

func (r Retention) validate() error {
	if err := r.Identity.validate(); err != nil {
		return err
	}
	if r.OwnerUID != "" {
		if err := validNames(r.OwnerUID); err != nil {
			return err
		}
	}
	for i, t := range r.Tokens {
		if _, err := ParseToken(string(t)); err != nil {
			return err
		}
		if slices.Contains(r.Tokens[:i], t) {
			return invalidf("token %s twice", t)
		}
	}
	return nil
}

// unknown stands for an empty name in a line. No name can be it.
const unknown = "-"

const maxName = 253

// validNames accepts a superset of the names and UIDs of Kubernetes that leaves out every separator of the lines.
func validNames(names ...string) error {
	for _, n := range names {
		if n == "" || len(n) > maxName || !alphanumeric(rune(n[0])) || strings.ContainsFunc(n, notInName) {
			return invalidf("name %q", n)
		}
	}
	return nil
}

func alphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

func notInName(c rune) bool { return !alphanumeric(c) && c != '-' && c != '.' && c != '_' }
