package allocator

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decode reads what Encode writes, and nothing else: for every accepted text Encode gives it back, and the four sets are disjoint.
// Its errors name the set and the line.
func Decode(e Encoded) (*Record, error) {
	r := &Record{term: e.Term}
	var err error
	if r.settled, err = ParseSet(e.Settled); err != nil {
		return nil, fmt.Errorf("status.settled%w", err)
	}
	if e.PodsSeenThrough != "" {
		r.seenThrough, err = strconv.ParseUint(e.PodsSeenThrough, 10, 64)
		if err != nil || strconv.FormatUint(r.seenThrough, 10) != e.PodsSeenThrough || r.seenThrough == 0 {
			return nil, invalidf("status.podsSeenThrough: %q: not a positive number", e.PodsSeenThrough)
		}
	}
	r.taken = r.settled.Clone()
	if err := decodeReserved(r, e.Reserved); err != nil {
		return nil, err
	}
	if err := decodeRetained(r, e.Retained); err != nil {
		return nil, err
	}
	if err := decodeHeld(r, e.Held); err != nil {
		return nil, err
	}
	if err := index(r); err != nil {
		return nil, err
	}
	if err := canonicalText(e, r.encodeOwned()); err != nil {
		return nil, err
	}
	return r, nil
}

// row is one address as a line says it.
type row[V any] struct {
	line  int
	addr  netip.Addr
	value V
}

func decodeReserved(r *Record, lines []string) error {
	const set = "reserved"
	var rows []row[Reservation]
	for i, line := range lines {
		a, v, err := parseReserved(line)
		if err != nil {
			return lineError(set, i, line, err)
		}
		rows = append(rows, row[Reservation]{i, a, v})
	}
	var err error
	r.reserved, err = place(r, set, rows)
	return err
}

func decodeHeld(r *Record, lines []string) error {
	const set = "held"
	var rows []row[Hold]
	for i, line := range lines {
		a, v, err := parseHeld(line)
		if err != nil {
			return lineError(set, i, line, err)
		}
		rows = append(rows, row[Hold]{i, a, v})
	}
	var err error
	r.held, err = place(r, set, rows)
	return err
}

func decodeRetained(r *Record, lines []string) error {
	const set = "retained"
	n := 0
	for _, line := range lines {
		n += strings.Count(line, "=")
	}
	rows := make([]row[Retention], 0, n) // may be 60,000
	for i, line := range lines {
		owner, pods, err := parseOwner(line)
		if err != nil {
			return lineError(set, i, line, err)
		}
		for item := range strings.SplitSeq(pods, " ") {
			a, v, err := parsePod(owner, item)
			if err != nil {
				return lineError(set, i, item, err)
			}
			rows = append(rows, row[Retention]{i, a, v})
		}
	}
	var err error
	r.retained, err = place(r, set, rows)
	return err
}

func parseReserved(line string) (netip.Addr, Reservation, error) {
	f := strings.Split(line, " ")
	if len(f) != 3 && len(f) != 4 {
		return netip.Addr{}, Reservation{}, invalidf("want address, token, namespace; or address, token, namespace/name, UID")
	}
	v := Reservation{Token: Token(f[1]), Pod: PodRef{Namespace: f[2]}}
	if len(f) == 4 {
		v.Pod.Namespace, v.Pod.Name, _ = strings.Cut(f[2], "/")
		v.Pod.UID = f[3]
	}
	a, err := parseAddr(f[0])
	if err == nil {
		err = v.validate()
	}
	return a, v, err
}

func parseHeld(line string) (netip.Addr, Hold, error) {
	f := strings.Split(line, " ")
	if len(f) != 3 {
		return netip.Addr{}, Hold{}, invalidf("want address, node, time")
	}
	a, err := parseAddr(f[0])
	if err != nil {
		return a, Hold{}, err
	}
	since, err := time.Parse(time.RFC3339, f[2])
	if err != nil {
		return a, Hold{}, invalidf("%q: not a time", f[2])
	}
	v, err := Hold{Node: nameOrEmpty(f[1]), Since: since}.normal()
	return a, v, err
}

// parseOwner reads a retained line up to its pods.
func parseOwner(line string) (owner Retention, pods string, err error) {
	head, pods, ok := strings.Cut(line, ": ")
	ref, uid, ok2 := strings.Cut(head, " ")
	parts := strings.Split(ref, "/")
	if !ok || !ok2 || len(parts) != 3 {
		return Retention{}, "", invalidf("want namespace/Kind.group/name, the owner's UID with a colon, and pods")
	}
	owner.OwnerUID = nameOrEmpty(uid)
	owner.Identity = Identity{Namespace: parts[0], Name: parts[2]}
	owner.Identity.Kind, owner.Identity.Group, _ = strings.Cut(parts[1], ".")
	return owner, pods, nil
}

func parsePod(owner Retention, item string) (netip.Addr, Retention, error) {
	pod, rest, _ := strings.Cut(item, "=")
	addr, tokens, more := strings.Cut(rest, "+")
	v := owner
	v.Identity.Pod = pod
	if strings.HasPrefix(pod, "-") {
		v.Identity.Pod = owner.Identity.Name + pod
	}
	if more {
		for t := range strings.SplitSeq(tokens, "+") {
			v.Tokens = append(v.Tokens, Token(t))
		}
	}
	a, err := parseAddr(addr)
	if err == nil {
		err = v.validate()
	}
	return a, v, err
}

func nameOrEmpty(s string) string {
	if s == unknown {
		return ""
	}
	return s
}

// place adds rows to what is taken and returns them as a map, built in one pass.
func place[V any](r *Record, set string, rows []row[V]) (sorted[netip.Addr, V], error) {
	if len(rows) == 0 {
		return sorted[netip.Addr, V]{}, nil
	}
	slices.SortFunc(rows, func(a, b row[V]) int { return cmp.Or(a.addr.Compare(b.addr), a.line-b.line) })
	var own Set
	entries := make([]entry[netip.Addr, V], 0, len(rows))
	for _, w := range rows {
		err := r.admits("recording", w.addr)
		if r.taken.Contains(w.addr) || err == nil && !own.Add(w.addr) {
			err = invalidf("%s stands elsewhere too", w.addr)
		}
		if err != nil {
			return sorted[netip.Addr, V]{}, fmt.Errorf("status.%s[%d]: %w", set, w.line, err)
		}
		entries = append(entries, entry[netip.Addr, V]{w.addr, w.value})
	}
	r.taken = union(&r.taken, &own)
	return newSorted(entries), nil
}

// index fills what is looked up by token and by identity.
func index(r *Record) error {
	var tokens []entry[Token, netip.Addr]
	for a, v := range r.reserved.all() {
		tokens = append(tokens, entry[Token, netip.Addr]{v.Token, a})
	}
	identities := make([]entry[Identity, netip.Addr], 0, r.retained.size)
	for a, v := range r.retained.all() {
		identities = append(identities, entry[Identity, netip.Addr]{v.Identity, a})
		for _, t := range v.Tokens {
			tokens = append(tokens, entry[Token, netip.Addr]{t, a})
		}
	}
	var err error
	if r.tokens, err = unique("token", tokens); err != nil {
		return err
	}
	r.identities, err = unique("identity", identities)
	return err
}

func unique[K interface{ Compare(K) int }](what string, entries []entry[K, netip.Addr]) (sorted[K, netip.Addr], error) {
	slices.SortFunc(entries, func(a, b entry[K, netip.Addr]) int { return a.key.Compare(b.key) })
	for i := 1; i < len(entries); i++ {
		if a, b := entries[i-1], entries[i]; a.key.Compare(b.key) == 0 {
			return sorted[K, netip.Addr]{}, invalidf("status: %s %v stands at %s and at %s", what, a.key, a.value, b.value)
		}
	}
	return newSorted(entries), nil
}

// canonicalText is what makes Decode strict: a text that says the same in other words, or in another order, is refused here.
func canonicalText(got, want Encoded) error {
	for _, set := range []struct {
		name      string
		got, want []string
	}{
		{"reserved", got.Reserved, want.Reserved},
		{"retained", got.Retained, want.Retained},
		{"held", got.Held, want.Held},
	} {
		// There are never more lines wanted than given, since each given one is about somebody; and fewer only where
		// several are one owner's, which changes the first of them.
		for i, want := range set.want {
			if set.got[i] != want {
				return lineError(set.name, i, set.got[i], invalidf("not canonical, write %q", want))
			}
		}
	}
	return nil
}

func lineError(set string, i int, line string, err error) error {
	return fmt.Errorf("status.%s[%d]: %q: %w", set, i, line, err)
}
