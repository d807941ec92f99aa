package allocator

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Token names one admission: 80 random bits as 16 characters of a-z and 2-7. It ties a pod to what
// was reserved for it and is public, so it proves nothing.
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
	if len(s) != tokenLength || strings.ContainsFunc(s, notInToken) {
		return "", invalidf("token %q: want %d characters of a-z and 2-7", s, tokenLength)
	}
	return Token(s), nil
}

// LateToken returns the token under which a pod that exists already is bound: a function of its
// UID, so that whoever binds the pod, and however often, reserves under one token.
func LateToken(podUID string) Token {
	sum := sha256.Sum256([]byte("late binding of " + podUID))
	return Token(tokenEncoding.EncodeToString(sum[:tokenLength*5/8]))
}

// Compare orders tokens.
func (t Token) Compare(o Token) int { return strings.Compare(string(t), string(o)) }

const digestLength = 8

// OwnerDigest returns what a reservation says of the pod's controller: enough to tell a pool's
// owners apart, a fifth of a UID. It is empty for an empty UID.
func OwnerDigest(uid string) string {
	if uid == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(uid))
	return tokenEncoding.EncodeToString(sum[:digestLength*5/8])
}

// Identity is whom a retained address waits for: a NIC of a pod name under an owner. The owner's
// UID is no part of it, so an owner deleted with its pods orphaned and made again finds its
// addresses. An empty NIC is DefaultNIC.
type Identity struct{ Namespace, Group, Kind, Name, Pod, NIC string }

// Compare orders identities so that those of one owner are neighbours.
func (i Identity) Compare(o Identity) int {
	return cmp.Or(strings.Compare(i.Namespace, o.Namespace), strings.Compare(i.Group, o.Group), strings.Compare(i.Kind, o.Kind),
		strings.Compare(i.Name, o.Name), strings.Compare(i.Pod, o.Pod), strings.Compare(i.NIC, o.NIC))
}

// Owner returns the identity without the pod: what all pods of one owner share.
func (i Identity) Owner() Identity {
	i.Pod, i.NIC = "", ""
	return i
}

// OnNIC returns the identity for a NIC of its pod; the zero value stays what it is.
func (i Identity) OnNIC(nic string) Identity {
	if i != (Identity{}) {
		i.NIC = recordedNIC(nic)
	}
	return i
}

// String returns namespace/Kind.group/name, and for a whole identity the pod behind it.
func (i Identity) String() string {
	s := i.Namespace + "/" + i.kindAndName()
	if i.Pod != "" {
		s += " pod " + i.Pod
	}
	if i.NIC != "" {
		s += " NIC " + i.NIC
	}
	return s
}

// kindAndName returns Kind.group/name. The core group has no dot: kinds cannot contain one, so
// nothing is ambiguous.
func (i Identity) kindAndName() string {
	if i.Group == "" {
		return i.Kind + "/" + i.Name
	}
	return i.Kind + "." + i.Group + "/" + i.Name
}

// parseOwnerOf reads what kindAndName writes.
func parseOwnerOf(namespace, kind, name string) Identity {
	i := Identity{Namespace: namespace, Name: name}
	i.Kind, i.Group, _ = strings.Cut(kind, ".")
	return i
}

func (i Identity) validate(ownerUID string) error {
	if strings.Contains(i.Kind, ".") {
		return invalidf("kind %q", i.Kind)
	}
	for _, mayBeEmpty := range []string{i.Group, ownerUID} {
		if mayBeEmpty != "" {
			if err := validNames(mayBeEmpty); err != nil {
				return err
			}
		}
	}
	if err := validNIC(i.NIC); err != nil {
		return err
	}
	return validNames(i.Namespace, i.Kind, i.Name, i.Pod)
}

// longestNIC is the longest name of an interface in Linux (IFNAMSIZ less the zero).
const longestNIC = 15

// validNIC accepts the names of NICs but DefaultNIC, which is the empty one.
func validNIC(nic string) error {
	if nic == "" {
		return nil
	}
	if nic == DefaultNIC || len(nic) > longestNIC || validNames(nic) != nil {
		return invalidf("NIC %q", nic)
	}
	return nil
}

// tokenNIC is what is looked up of a token: it has one address for each NIC.
type tokenNIC struct {
	token Token
	nic   string // empty for DefaultNIC
}

// Compare orders the NICs of one token side by side.
func (t tokenNIC) Compare(o tokenNIC) int {
	return cmp.Or(t.token.Compare(o.token), strings.Compare(t.nic, o.nic))
}

func (t tokenNIC) String() string {
	if t.nic == "" {
		return string(t.token)
	}
	return string(t.token) + " for NIC " + t.nic
}

// unknown stands for an empty name in a line. No name can be it.
const unknown = "-"

const maxName = 253

// validNames accepts a superset of the names and UIDs of Kubernetes that leaves out every separator
// of the lines.
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

func notInToken(c rune) bool { return (c < 'a' || c > 'z') && (c < '2' || c > '7') }

func notInName(c rune) bool { return !alphanumeric(c) && c != '-' && c != '.' && c != '_' }
