package allocator

import (
	"net/netip"
	"strings"
)

// retainedRows is what the retained lines say.
type retainedRows struct {
	rows    []row[keeping]
	seen    []netip.Addr
	pending []row[Reservation]
	held    []row[Hold]
}

func parseRetained(lines []string) (retainedRows, error) {
	n := 0
	for _, line := range lines {
		n += strings.Count(line, "=")
	}
	k := retainedRows{rows: make([]row[keeping], 0, n)} // may be 65,000
	for i, line := range lines {
		owner, pods, err := parseOwner(line)
		if err != nil {
			return k, lineError("retained", i, line, err)
		}
		for item := range strings.SplitSeq(pods, " ") {
			if err := k.parsePod(i, owner, item); err != nil {
				return k, lineError("retained", i, item, err)
			}
		}
	}
	return k, nil
}

// parseOwner reads a retained line up to its pods.
func parseOwner(line string) (owner keeping, pods string, err error) {
	head, pods, ok := strings.Cut(line, ": ")
	ref, uid, ok2 := strings.Cut(head, " ")
	parts := strings.Split(ref, "/")
	if !ok || !ok2 || len(parts) != 3 {
		return keeping{}, "", invalidf("want namespace/Kind.group/name, the owner's UID with a colon, and pods")
	}
	return keeping{parseOwnerOf(parts[0], parts[1], parts[2]), nameOrEmpty(uid)}, pods, nil
}

func (k *retainedRows) parsePod(line int, owner keeping, item string) error {
	pod, rest, _ := strings.Cut(item, "=")
	v := owner
	pod, nic, hasNIC := strings.Cut(pod, string(beforeNIC))
	if hasNIC && nic == "" {
		return invalidf("%q: an empty NIC", item)
	}
	v.identity.Pod, v.identity.NIC = pod, nic
	if strings.HasPrefix(pod, "-") {
		v.identity.Pod = owner.identity.Name + pod
	}
	addr, use := rest, ""
	if i := strings.IndexAny(rest, string([]rune{usedBy, awaitedBy, heldFor})); i >= 0 {
		addr, use = rest[:i], rest[i:]
	}
	a, err := parseAddr(addr)
	if err == nil {
		err = v.identity.validate(v.ownerUID)
	}
	if err != nil {
		return err
	}
	k.rows = append(k.rows, row[keeping]{line, a, v})
	return k.parseUse(row[keeping]{line, a, v}, use)
}

// parseUse reads what appendUse writes.
func (k *retainedRows) parseUse(of row[keeping], use string) error {
	if use == "" {
		return nil
	}
	rest, grace, hasGrace := strings.Cut(use[1:], string(withGrace))
	var graces []string
	if hasGrace {
		graces = append(graces, grace)
	}
	switch use[0] {
	case awaitedBy:
		v, err := of.value.pendingAdmission(rest, graces)
		k.pending = append(k.pending, row[Reservation]{of.line, of.addr, v})
		return err
	case heldFor:
		v, err := of.value.hold(rest, graces)
		k.held = append(k.held, row[Hold]{of.line, of.addr, v})
		return err
	}
	if use != string(usedBy) {
		return invalidf("%q: nothing follows %q", use, usedBy)
	}
	k.seen = append(k.seen, of.addr)
	return nil
}

// pendingAdmission reads by whom an address that is kept for k is pending admission.
func (k keeping) pendingAdmission(to string, graces []string) (Reservation, error) {
	token, uid, late := strings.Cut(to, "/")
	v := Reservation{Token: Token(token), Pod: PodRef{Namespace: k.identity.Namespace}, For: k.identity, ForUID: k.ownerUID, NIC: k.identity.NIC}
	if late {
		v.Pod.Name, v.Pod.UID = k.identity.Pod, uid
	}
	for _, g := range graces {
		var err error
		if v.Grace, err = parseGrace(g); err != nil {
			return v, err
		}
	}
	return v.normal()
}

// hold reads of which node, since when and until when an address is held that is kept for k.
func (k keeping) hold(rest string, graces []string) (v Hold, err error) {
	node, times, _ := strings.Cut(rest, string(heldFor))
	since, until, hasUntil := strings.Cut(times, string(heldFor))
	v = Hold{Node: nameOrEmpty(node), Pod: k.pod()}
	if v.Since, err = parseTime(since); err != nil {
		return v, err
	}
	if hasUntil {
		if v.Until, err = parseTime(until); err != nil {
			return v, err
		}
	}
	for _, g := range graces {
		if v.Grace, err = parseGrace(g); err != nil {
			return v, err
		}
	}
	return v.normal()
}
