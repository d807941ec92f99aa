package mutations

import "slices"

// A Mutation is a safeguard taken out.
type Mutation struct {
	Name string
	// Edits are what is replaced: file -> old text, new text. The old text stands
	// in the file exactly once.
	Edits []Edit
	// Package and Test are the package, of this module's parent, and the test of
	// it that notices; Says is part of what it prints then.
	Package, Test, Says string
	Flags               []string // of the test
}

// An Edit replaces a text of a file.
type Edit struct{ File, Old, New string }

const (
	theModel  = "TestModel"
	lifecycle = "./allocator/lifecycle"
)

// All returns the mutations.
func All() []Mutation {
	return slices.Concat(writes(), releases(), removals(), identities(), newPools())
}

// writes are about how a record is written.
func writes() []Mutation {
	return []Mutation{
		{
			Name: "the precondition of a write is dropped",
			Edits: []Edit{{"allocator/ledger/commit.go", "	stored, err := l.o.API.UpdateStatus(ctx, next.Pool)\n", `	if fresh, err := l.o.API.Get(ctx, q.pool); err == nil {
		next.Pool.ResourceVersion = fresh.ResourceVersion
	}
	stored, err := l.o.API.UpdateStatus(ctx, next.Pool)
`}},
			Package: lifecycle, Test: theModel, Says: "I1:",
		},
		{
			Name:    "what was reserved in one pool is not given back when the other refuses",
			Edits:   []Edit{{"allocator/ledger/reserve.go", "		return nil, errors.Join(err, l.undo(ctx, o, got, errs))", "		return nil, err"}},
			Package: lifecycle, Test: theModel, Says: "I9:",
		},
		{
			Name: "an address is settled before its pod is seen",
			Edits: []Edit{{
				"allocator/ledger/want.go", "	tx.counted(w.reservation, 1)\n",
				"	if err := tx.Record.Settle(a, w.reservation.Token, 0); err != nil {\n		return err\n	}\n	tx.counted(w.reservation, 1)\n",
			}},
			Package: lifecycle, Test: theModel, Says: "I4:",
		},
		{
			Name: "a counter is kept beside the set",
			Edits: []Edit{{
				"allocator/ledger/tx.go", "		AllocatedIPCount: &allocated,\n",
				"		AllocatedIPCount: func() *int64 {\n			if n := tx.Pool.Status.AllocatedIPCount; n != nil {\n				allocated = *n + 1\n			}\n			return &allocated\n		}(),\n",
			}},
			Package: lifecycle, Test: theModel, Says: "counters:",
		},
		{
			Name:    "a former leader's term is no obstacle",
			Edits:   []Edit{{"allocator/lifecycle/tenure.go", "		case term != t.term:\n", "		case term != t.term && term == \"\":\n"}},
			Package: lifecycle, Test: "TestAFormerLeaderWritesNothing", Says: "was not deposed",
		},
	}
}

// releases are about the end of a pod.
func releases() []Mutation {
	return []Mutation{
		{
			Name:    "the mark is ignored",
			Edits:   []Edit{{"allocator/record.go", "func (r *Record) SeenThrough() uint64 { return r.seenThrough }", "func (r *Record) SeenThrough() uint64 { return 0 }"}},
			Package: lifecycle, Test: theModel, Says: "I2:",
		},
		{
			Name: "a phase is believed alone",
			Edits: []Edit{{
				"allocator/lifecycle/pod.go",
				"return count(s.ContainerStatuses, running)+count(s.InitContainerStatuses, running)+count(s.EphemeralContainerStatuses, running) == 0",
				"return true",
			}},
			Package: lifecycle, Test: theModel, Says: "I2:",
		},
		{
			Name:    "a vanished pod's address is released, not held",
			Edits:   []Edit{{"allocator/lifecycle/tending.go", "	case e.vanished:\n		return held, r.Hold(a, t.holdFor(e.pod))\n", ""}},
			Package: lifecycle, Test: theModel, Says: "I1:",
		},
		{
			Name:    "an address is released although another live pod claims it",
			Edits:   []Edit{{"allocator/lifecycle/tending.go", "if others := t.claims.Live(key.address); len(others) > 0 {", "if others := t.claims.Live(key.address); len(others) > 9 {"}},
			Package: lifecycle, Test: "TestTending", Says: "another_live_pod_that_claims_the_address_keeps_it",
		},
	}
}

// removals are about what time or a node tells.
func removals() []Mutation {
	return []Mutation{
		{
			Name:    "the grace of a reservation is zero",
			Edits:   []Edit{{"allocator/lifecycle/expire.go", "wait := e.grace\n", "wait := time.Duration(0)\n"}},
			Package: lifecycle, Test: theModel, Says: "I2:",
		},
		{
			Name: "the uncached read before an expiry is one of the cache",
			Edits: []Edit{{
				"allocator/lifecycle/expire.go", "	t.revision, err = eachPod(ctx, e.api, namespace, t.add)\n	return t, err\n",
				"	t.revision, err = eachPod(ctx, e.api, namespace, t.add)\n	return there{claims: map[string][]crdv1.Claim{}, uids: t.uids, revision: e.claims.Revision()}, err\n",
			}},
			Package: lifecycle, Test: theModel, Says: "I2:",
		},
		{
			Name:    "a hold ends at once",
			Edits:   []Edit{{"allocator/lifecycle/holds.go", "need := wellAgain + max(h.Grace, allocator.DefaultGrace)", "need := time.Duration(0)"}},
			Package: lifecycle, Test: theModel, Says: "I1:",
		},
		{
			Name:    "expiry does not wait for tending",
			Edits:   []Edit{{"allocator/lifecycle/expire.go", ", e.tenures.told() < d.told, e.tenures.knowsEnd(pool, d.reservation.Token):", ":"}},
			Package: lifecycle, Test: theModel, Says: "I1:",
		},
		{
			Name:    "a reservation that nobody came for does not expire",
			Edits:   []Edit{{"allocator/lifecycle/expire.go", "	if len(over) == 0 {\n		return nil\n	}\n	return e.write", "	if len(over) >= 0 {\n		return nil\n	}\n	return e.write"}},
			Package: lifecycle, Test: "TestModelAtRandom", Says: "I3:", Flags: []string{"-rapid.nofailfile"},
		},
		{
			Name:    "a hold does not end",
			Edits:   []Edit{{"allocator/lifecycle/holds.go", "	if len(over) > 0 {\n		if err := h.end", "	if len(over) < 0 {\n		if err := h.end"}},
			Package: lifecycle, Test: "TestModelAtRandom", Says: "I3:", Flags: []string{"-rapid.nofailfile"},
		},
	}
}

// identities are about what is kept for the next pod of a name.
func identities() []Mutation {
	return []Mutation{
		{
			Name:    "an identity reuses its address without a write",
			Edits:   []Edit{{"allocator/ledger/want.go", "	return w.reserve(tx, a)\n}\n\nfunc (w *want) takeNew", "	w.address = a\n	return nil\n}\n\nfunc (w *want) takeNew"}},
			Package: lifecycle, Test: theModel, Says: "I4:",
		},
		{
			Name: "what is retained is freed when the owner has another UID",
			Edits: []Edit{
				{"allocator/lifecycle/retained.go", "k.over(ctx, reader, address, v.Identity)", "k.over(ctx, reader, address, v)"},
				{"allocator/lifecycle/retained.go", "a netip.Addr, id allocator.Identity) (string, error) {", "a netip.Addr, v allocator.Retention) (string, error) {\n	id := v.Identity"},
				{"allocator/lifecycle/retained.go", "	case owner == nil:\n", "	case owner == nil || string(owner.GetUID()) != v.OwnerUID:\n"},
			},
			Package: lifecycle, Test: theModel, Says: "I3:",
		},
		{
			Name:    "an identity's address is given to its next pod while the last may run",
			Edits:   []Edit{{"allocator/transitions.go", "	case its && r.Use(a) != Vacant:", "	case its && r.Use(a) == Held && false:"}, {"allocator/ledger/want.go", "	case cause != \"\":\n", "	case cause == crdv1.ReasonPoolNotReady:\n"}},
			Package: lifecycle, Test: theModel, Says: "I1:",
		},
		{
			Name:    "OpenKruise is believed to honour ordinals.start",
			Edits:   []Edit{{"allocator/owners/covers.go", "	if kind == builtIn && ordinal < start {", "	if ordinal < start {"}},
			Package: "./allocator/owners", Test: "TestCovers", Says: "the_start_is_ignored",
		},
	}
}

// newPools are about pools that have forgotten.
func newPools() []Mutation {
	return []Mutation{
		{
			Name:    "what a new pool has forgotten is not put back before it is Ready",
			Edits:   []Edit{{"allocator/lifecycle/pools.go", "		maps.Copy(back, r.putBack(tx))\n", ""}},
			Package: lifecycle, Test: theModel, Says: "I2:",
		},
		{
			Name:    "a new pool is judged by a late view",
			Edits:   []Edit{{"allocator/lifecycle/pools.go", "	return r.claims.Revision() >= h.mark, nil\n", "	return true, nil\n"}},
			Package: lifecycle, Test: theModel, Says: "I2:",
		},
		{
			Name:    "a census counts although a pool has gone since",
			Edits:   []Edit{{"allocator/lifecycle/pools.go", "	for uid := range h.pools {\n		if !near.there[uid] {\n", "	for uid := range h.pools {\n		if uid == \"\" {\n"}},
			Package: lifecycle, Test: "TestModelLarge/a_pool_is_deleted_by_force,_and_another_with_its_address_is_made", Says: "I1:",
		},
	}
}
