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

// Decode reads what Encode writes, and nothing else: for every accepted text Encode gives it back,
// and the four sets are disjoint. Its errors name the set and the line.
func Decode(e Encoded) (*Record, error) {
	r := &Record{term: e.Term}
	var err error
	if r.settled, err = ParseSet(e.Settled); err != nil {
		return nil, fmt.Errorf("status.settled%w", err)
	}
	if err := decodeMarks(r, e); err != nil {
		return nil, err
	}
	r.taken = r.settled.Clone()
	if err := decodeOwned(r, e); err != nil {
		return nil, err
	}
	if err := canonicalText(e, r.encodeOwned()); err != nil {
		return nil, err
	}
	if r.longestGrace > 0 && r.settled.Len()+r.seen.Len() == 0 {
		return nil, invalidf("status.longestGrace: %q: no address is in use", e.LongestGrace)
	}
	return r, nil
}

// decodeMarks reads what is said of all addresses together.
func decodeMarks(r *Record, e Encoded) (err error) {
	if e.PodsSeenThrough != "" {
		r.seenThrough, err = strconv.ParseUint(e.PodsSeenThrough, 10, 64)
		if err != nil || strconv.FormatUint(r.seenThrough, 10) != e.PodsSeenThrough || r.seenThrough == 0 {
			return invalidf("status.podsSeenThrough: %q: not a positive number", e.PodsSeenThrough)
		}
	}
	if e.LongestGrace != "" {
		if r.longestGrace, err = parseGrace(e.LongestGrace); err != nil || graceText(r.longestGrace) != e.LongestGrace {
			return invalidf("status.longestGrace: %q: not a grace of more than %s, in whole seconds", e.LongestGrace, graceText(DefaultGrace))
		}
	}
	return nil
}

// row is one address as a line says it.
type row[V any] struct {
	line  int
	addr  netip.Addr
	value V
}

// decodeOwned reads the three sets that say more of an address than that it is taken. What a
// retained line says of its pods goes where the other two sets go.
func decodeOwned(r *Record, e Encoded) error {
	reserved, err := parseLines("reserved", e.Reserved, parseReserved)
	if err != nil {
		return err
	}
	held, err := parseLines("held", e.Held, parseHeld)
	if err != nil {
		return err
	}
	k, err := parseRetained(e.Retained)
	if err != nil {
		return err
	}
	// In the order of the lines, which is nearly that of identities.
	identities := make([]entry[Identity, netip.Addr], 0, len(k.rows))
	for _, w := range k.rows {
		identities = append(identities, entry[Identity, netip.Addr]{w.value.identity, w.addr})
	}
	for _, w := range reserved {
		if w.value.For != (Identity{}) {
			identities = append(identities, entry[Identity, netip.Addr]{w.value.For, w.addr})
		}
	}
	if err := place(r, "reserved", reserved); err != nil {
		return err
	}
	if err := place(r, "retained", k.rows); err != nil {
		return err
	}
	if err := place(r, "held", held); err != nil {
		return err
	}
	r.retained = collect(k.rows)
	r.awaited = collect(append(reserved, k.pending...))
	r.held = collect(append(held, k.held...))
	for _, a := range k.seen {
		r.seen.Add(a)
	}
	return index(r, identities)
}

func parseLines[V any](set string, lines []string, parse func(string) (netip.Addr, V, error)) ([]row[V], error) {
	rows := make([]row[V], 0, len(lines))
	for i, line := range lines {
		a, v, err := parse(line)
		if err != nil {
			return nil, lineError(set, i, line, err)
		}
		rows = append(rows, row[V]{i, a, v})
	}
	return rows, nil
}

func parseReserved(line string) (netip.Addr, Reservation, error) {
	f := strings.Split(line, " ")
	if len(f) < 3 {
		return netip.Addr{}, Reservation{}, invalidf("want address, token and namespace; or address, token, namespace/name and UID")
	}
	namespace, name, late := strings.Cut(f[2], "/")
	v := Reservation{Token: Token(f[1]), Pod: PodRef{Namespace: namespace, Name: name}}
	words := f[3:]
	if late {
		if len(words) == 0 || name == "" {
			return netip.Addr{}, v, invalidf("want address, token, namespace/name and UID")
		}
		v.Pod.UID, words = words[0], words[1:]
	}
	for _, w := range words {
		if err := v.parseWord(w); err != nil {
			return netip.Addr{}, v, err
		}
	}
	if v.For != (Identity{}) {
		v.For.NIC = v.NIC
	}
	a, err := parseAddr(f[0])
	if err == nil {
		v, err = v.normal()
	}
	return a, v, err
}

// parseWord reads one word. That each stands once, and in its place, is the business of
// canonicalText.
func (r *Reservation) parseWord(w string) (err error) {
	key, value, _ := strings.Cut(w, ":")
	switch key + ":" {
	case wordOwner:
		r.Owner = value
	case wordGrace:
		r.Grace, err = parseGrace(value)
	case wordFor:
		parts := strings.Split(value, "/")
		if len(parts) != 3 {
			return invalidf("%q: want Kind.group/name/pod", w)
		}
		r.For = parseOwnerOf(r.Pod.Namespace, parts[0], parts[1])
		r.For.Pod = parts[2]
	case wordForUID:
		r.ForUID = value
	case wordNIC:
		r.NIC = value
	default:
		return invalidf("%q: want %s, %s, %s, %s or %s", w, wordOwner, wordGrace, wordFor, wordForUID, wordNIC)
	}
	return err
}

func parseHeld(line string) (netip.Addr, Hold, error) {
	f := strings.Split(line, " ")
	if len(f) < 3 {
		return netip.Addr{}, Hold{}, invalidf("want address, node, time, and perhaps a grace and words")
	}
	a, err := parseAddr(f[0])
	if err != nil {
		return a, Hold{}, err
	}
	v := Hold{Node: nameOrEmpty(f[1])}
	if v.Since, err = parseTime(f[2]); err != nil {
		return a, v, err
	}
	words := f[3:]
	if len(words) > 0 && !strings.Contains(words[0], ":") {
		if v.Grace, err = parseGrace(words[0]); err != nil {
			return a, v, err
		}
		words = words[1:]
	}
	for _, w := range words {
		if err := v.parseWord(w); err != nil {
			return a, v, err
		}
	}
	v, err = v.normal()
	return a, v, err
}

// parseWord reads one word. That each stands once, and in its place, is the business of
// canonicalText.
func (h *Hold) parseWord(w string) (err error) {
	key, value, _ := strings.Cut(w, ":")
	switch key + ":" {
	case wordPod:
		namespace, name, ok := strings.Cut(value, "/")
		if !ok {
			return invalidf("%q: want namespace/name", w)
		}
		h.Pod = PodRef{Namespace: namespace, Name: nameOrEmpty(name)}
	case wordUntil:
		h.Until, err = parseTime(value)
	default:
		return invalidf("%q: want %s or %s", w, wordPod, wordUntil)
	}
	return err
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, invalidf("%q: not a time", s)
	}
	return t, nil
}

func nameOrEmpty(s string) string {
	if s == unknown {
		return ""
	}
	return s
}

// place adds rows to what is taken, in their own order and in that of their lines.
func place[V any](r *Record, set string, rows []row[V]) error {
	slices.SortFunc(rows, func(a, b row[V]) int { return cmp.Or(a.addr.Compare(b.addr), a.line-b.line) })
	var own Set
	for _, w := range rows {
		err := r.admits("recording", w.addr)
		if r.taken.Contains(w.addr) || err == nil && !own.Add(w.addr) {
			err = invalidf("%s stands elsewhere too", w.addr)
		}
		if err != nil {
			return fmt.Errorf("status.%s[%d]: %w", set, w.line, err)
		}
	}
	if len(rows) > 0 {
		r.taken = union(&r.taken, &own)
	}
	return nil
}

// collect makes a map of rows that are all about different addresses, in one pass.
func collect[V any](rows []row[V]) sorted[netip.Addr, V] {
	slices.SortFunc(rows, func(a, b row[V]) int { return a.addr.Compare(b.addr) })
	entries := make([]entry[netip.Addr, V], 0, len(rows))
	for _, w := range rows {
		entries = append(entries, entry[netip.Addr, V]{w.addr, w.value})
	}
	return newSorted(entries)
}

// index fills what is looked up by token and by identity.
func index(r *Record, identities []entry[Identity, netip.Addr]) error {
	tokens := make([]entry[tokenNIC, netip.Addr], 0, r.awaited.size)
	for a, v := range r.awaited.all() {
		tokens = append(tokens, entry[tokenNIC, netip.Addr]{tokenNIC{v.Token, v.NIC}, a})
	}
	var err error
	if r.tokens, err = unique("token", tokens); err != nil {
		return err
	}
	r.identities, err = unique("identity", identities)
	return err
}

func unique[K interface{ Compare(K) int }](what string, entries []entry[K, netip.Addr]) (sorted[K, netip.Addr], error) {
	slices.SortFunc(entries, func(a, b entry[K, netip.Addr]) int {
		if c := a.key.Compare(b.key); c != 0 {
			return c
		}
		return a.value.Compare(b.value)
	})
	for i := 1; i < len(entries); i++ {
		if a, b := entries[i-1], entries[i]; a.key.Compare(b.key) == 0 {
			return sorted[K, netip.Addr]{}, invalidf("status: %s %v stands at %s and at %s", what, a.key, a.value, b.value)
		}
	}
	return newSorted(entries), nil
}

// canonicalText is what makes Decode strict: a text that says the same in other words, or in
// another order, is refused here.
func canonicalText(got, want Encoded) error {
	for _, set := range []struct {
		name      string
		got, want []string
	}{
		{"reserved", got.Reserved, want.Reserved},
		{"retained", got.Retained, want.Retained},
		{"held", got.Held, want.Held},
	} {
		// There are never more lines wanted than given, since each given one is about somebody; and
		// fewer only where several are one owner's, which changes the first of them.
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
