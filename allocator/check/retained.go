package check

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// readRetained reads the line of one owner: namespace/Kind.group/name, its UID or - with a colon,
// and its pods.
func readRetained(line string) ([]entry, error) {
	head, pods, ok := strings.Cut(line, ": ")
	ref, uid, ok2 := strings.Cut(head, " ")
	parts := strings.Split(ref, "/")
	if !ok || !ok2 || len(parts) != 3 {
		return nil, errors.New("want namespace/Kind.group/name, the owner's UID or - with a colon, and pods")
	}
	var id identity
	var err error
	if id.Owner, err = readOwner(parts[0], parts[1], parts[2]); err != nil {
		return nil, err
	}
	if id.ownerUID, err = readNameOrUnknown("UID", uid); err != nil {
		return nil, err
	}
	var all []entry
	for item := range strings.SplitSeq(pods, " ") {
		e, err := readRetainedPod(id, item)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// readRetainedPod reads pod=address and the state of the address. A pod name that begins with the
// owner's name and a dash is written from the dash on.
func readRetainedPod(id identity, item string) (entry, error) {
	pod, rest, _ := strings.Cut(item, "=")
	full := pod
	if strings.HasPrefix(pod, "-") {
		full = id.Name + pod
	} else if strings.HasPrefix(pod, id.Name+"-") {
		return entry{}, fmt.Errorf("pod %q: write it from the dash on", pod)
	}
	var err error
	if id.pod, err = readName("pod", full); err != nil {
		return entry{}, err
	}
	address, use := rest, ""
	if i := strings.IndexAny(rest, "*+@"); i >= 0 {
		address, use = rest[:i], rest[i:]
	}
	e := entry{kept: &id}
	if e.addr, err = readAddress(address); err != nil {
		return entry{}, err
	}
	return e, e.readUse(use)
}

// readUse reads what follows the address of a retained pod.
func (e *entry) readUse(use string) (err error) {
	if use == "" {
		return nil // unassigned
	}
	text, grace, hasGrace := strings.Cut(use[1:], "~")
	var graces []string
	if hasGrace {
		graces = []string{grace}
	}
	switch use[0] {
	case '+':
		e.awaits, err = readPendingAdmission(*e.kept, text, graces)
	case '@':
		e.held, err = readRetainedHold(*e.kept, text, graces)
	default:
		if use != "*" {
			return fmt.Errorf("%q: nothing follows *", use)
		}
		e.inUse = true
	}
	return err
}

// readRetainedHold reads node@since, or node@since@until; of graces there is one at most.
func readRetainedHold(id identity, text string, graces []string) (*hold, error) {
	node, times, _ := strings.Cut(text, "@")
	since, until, hasUntil := strings.Cut(times, "@")
	h, err := readHold(node, since, graces)
	if err != nil {
		return nil, err
	}
	if h.namespace, h.pod = id.Namespace, id.pod; hasUntil {
		h.until, err = readUntil(until)
	}
	return h, err
}

// readPendingAdmission reads token, or token/UID for a pod bound late; there is at most one grace.
func readPendingAdmission(id identity, text string, graces []string) (v *reservation, err error) {
	v = &reservation{namespace: id.Namespace, kept: id}
	token, uid, late := strings.Cut(text, "/")
	if v.token, err = readToken(token); err != nil {
		return nil, err
	}
	if late {
		v.name = id.pod
		if v.uid, err = readName("UID", uid); err != nil {
			return nil, err
		}
	}
	for _, text := range graces {
		if v.grace, err = readGrace(text); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// byOwner returns an error where neighbours are in the wrong order: owners ascend, each with a line
// for each UID, and so do the pods of a line.
func byOwner(entries []entry) error {
	for i := 1; i < len(entries); i++ {
		a, b := entries[i-1], entries[i]
		order := cmp.Or(
			strings.Compare(a.kept.Namespace, b.kept.Namespace), strings.Compare(a.kept.Group, b.kept.Group),
			strings.Compare(a.kept.Kind, b.kept.Kind), strings.Compare(a.kept.Name, b.kept.Name),
			strings.Compare(a.kept.ownerUID, b.kept.ownerUID),
		)
		if a.place != b.place && order >= 0 {
			return fmt.Errorf("%s: the owner does not come after that of the line before", b.place)
		}
		if a.place == b.place && a.kept.pod > b.kept.pod {
			return fmt.Errorf("%s: pod %s does not come after pod %s", b.place, b.kept.pod, a.kept.pod)
		}
	}
	return nil
}
