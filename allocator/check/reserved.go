package check

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// reservation is the entry of an address that waits for a pod: reserved, or kept for a stable
// identity and pending admission of its next pod.
type reservation struct {
	token     string // names the admission; it may have more addresses
	namespace string
	name, uid string // of the pod, where it was bound late; empty at admission
	digest    string // of the UID of the pod's controller; may be empty
	grace     time.Duration
	kept      identity // the stable identity that it is for; may be the zero value
}

// readReserved reads a line: address, token and namespace, or for a pod bound late address, token,
// namespace/name and UID; then words.
func readReserved(line string) ([]entry, error) {
	f := strings.Split(line, " ")
	if len(f) < 3 {
		return nil, errors.New("want address, token and namespace, or address, token, namespace/name and UID")
	}
	a, err := readAddress(f[0])
	if err != nil {
		return nil, err
	}
	var v reservation
	if v.token, err = readToken(f[1]); err != nil {
		return nil, err
	}
	rest, err := v.readPod(f[2:])
	if err != nil {
		return nil, err
	}
	if err := v.readWords(rest); err != nil {
		return nil, err
	}
	return []entry{{addr: a, awaits: &v}}, nil
}

// readPod reads which pod the reservation is for, and returns the fields after it.
func (v *reservation) readPod(f []string) (rest []string, err error) {
	namespace, name, late := strings.Cut(f[0], "/")
	if v.namespace, err = readName("namespace", namespace); err != nil || !late {
		return f[1:], err
	}
	if len(f) < 2 {
		return nil, fmt.Errorf("%s: want the UID of the pod behind its name", f[0])
	}
	if v.name, err = readName("pod", name); err != nil {
		return nil, err
	}
	v.uid, err = readName("UID", f[1])
	return f[2:], err
}

// words are what may follow in a reserved line: each at most once, in this order.
var words = []struct {
	key  string
	read func(v *reservation, value string) error
}{
	{"by:", (*reservation).readDigest},
	{"grace:", (*reservation).readGrace},
	{"for:", (*reservation).readIdentity},
	{"of:", (*reservation).readOwnerUID},
}

func (v *reservation) readWords(texts []string) error {
	next := 0 // index of the first word that may still follow
	for _, text := range texts {
		key, value, _ := strings.Cut(text, ":")
		i := next
		for i < len(words) && words[i].key != key+":" {
			i++
		}
		if i == len(words) {
			return fmt.Errorf("%q: no word, or in the wrong place", text)
		}
		if err := words[i].read(v, value); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		next = i + 1
	}
	return nil
}

func (v *reservation) readDigest(value string) error {
	if !aDigest.MatchString(value) {
		return errors.New("want 8 characters of a-z and 2-7")
	}
	v.digest = value
	return nil
}

func (v *reservation) readGrace(value string) (err error) {
	v.grace, err = readGrace(value)
	return err
}

func (v *reservation) readIdentity(value string) (err error) {
	parts := strings.Split(value, "/")
	if len(parts) != 3 {
		return errors.New("want Kind.group/name/pod")
	}
	if v.kept.Owner, err = readOwner(v.namespace, parts[0], parts[1]); err != nil {
		return err
	}
	if v.kept.pod, err = readName("pod", parts[2]); err != nil {
		return err
	}
	if v.name != "" && v.name != v.kept.pod {
		return fmt.Errorf("the pod is %s", v.name)
	}
	return nil
}

func (v *reservation) readOwnerUID(value string) (err error) {
	if v.kept == (identity{}) {
		return errors.New("stands behind for: only")
	}
	v.kept.ownerUID, err = readName("UID", value)
	return err
}

// ascending returns an error where an address does not come after its predecessor.
func ascending(entries []entry) error {
	i := 1
	for i < len(entries) && entries[i-1].addr.Less(entries[i].addr) {
		i++
	}
	if i < len(entries) {
		return fmt.Errorf("%s: %s does not come after %s", entries[i].place, entries[i].addr, entries[i-1].addr)
	}
	return nil
}
