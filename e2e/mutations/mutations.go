package mutations

import "slices"

// A Mutation is a safeguard taken out.
type Mutation struct {
	Name string
	// Edits are what is replaced: file -> old text, new text. The old text stands in the file
	// exactly once.
	Edits []Edit
	// Package and Test are the package, of this module's parent, and the test of it that notices;
	// Says is part of what it prints then.
	Package, Test, Says string
	Flags               []string // of the test
}

// An Edit replaces a text of a file.
type Edit struct{ File, Old, New string }

const (
	// theModel visits all of its worlds. A mutation names the one that is noticed the soonest.
	theModel  = "TestModel"
	lifecycle = "./allocator/lifecycle"
)

// All returns the mutations.
func All() []Mutation {
	return slices.Concat(writes(), releases(), removals(), identities(), newPools(), edits(), lateBinding(), admissions(), views(), arrivals(), bounds())
}

// writes are about how a record is written.
func writes() []Mutation {
	return []Mutation{
		{
			Name: "the precondition of a write is dropped",
			Edits: []Edit{{"allocator/ledger/pool.go", "	stored, err := p.o.API.UpdateStatus(ctx, next.Pool)\n", `	if fresh, err := p.o.API.Get(ctx, p.name); err == nil {
		next.Pool.ResourceVersion = fresh.ResourceVersion
	}
	stored, err := p.o.API.UpdateStatus(ctx, next.Pool)
`}},
			Package: lifecycle, Test: theModel + "/decisions_are_old_when_they_are_written", Says: "I4:",
		},
		{
			Name:    "what was reserved in one pool is not given back when the other refuses",
			Edits:   []Edit{{"allocator/ledger/reserve.go", "		return nil, errors.Join(err, l.undo(ctx, o, slots, got, errs))", "		return nil, err"}},
			Package: lifecycle, Test: theModel + "/two_pools,_and_an_answer_is_lost", Says: "I9:",
		},
		{
			Name: "an address is settled before its pod is seen",
			Edits: []Edit{{
				"allocator/ledger/want.go", "	w.address, w.fresh = a, true\n	return nil\n",
				"	w.address, w.fresh = a, true\n	return tx.Record.Settle(a, w.reservation.Token, 0)\n",
			}},
			Package: lifecycle, Test: theModel + "/a_pod_is_deleted_by_force,_and_its_node_is_away", Says: "I4:",
		},
		{
			Name: "a counter is kept beside the set",
			Edits: []Edit{{
				"allocator/ledger/tx.go", "		AllocatedIPCount: &allocated,\n",
				"		AllocatedIPCount: func() *int64 {\n			if n := tx.Pool.Status.AllocatedIPCount; n != nil {\n				allocated = *n + 1\n			}\n			return &allocated\n		}(),\n",
			}},
			Package: lifecycle, Test: theModel + "/leaders_come_and_go_with_old_views", Says: "counters:",
		},
		{
			Name:    "a former leader's term is no obstacle",
			Edits:   []Edit{{"allocator/ledger/leadership.go", "		case whose != string(term):\n", "		case whose != string(term) && whose == \"\":\n"}},
			Package: lifecycle, Test: "TestAFormerLeaderWritesNothing", Says: "did not lose the pool",
		},
	}
}

// releases are about the end of a pod.
func releases() []Mutation {
	return []Mutation{
		{
			Name:    "the mark is ignored",
			Edits:   []Edit{{"allocator/record.go", "func (r *Record) SeenThrough() uint64 { return r.seenThrough }", "func (r *Record) SeenThrough() uint64 { return 0 }"}},
			Package: lifecycle, Test: theModel + "/two_pods,_one_after_the_other,_and_a_leader_with_an_old_view", Says: "I2:",
		},
		{
			Name: "a phase is believed alone",
			Edits: []Edit{{
				"allocator/view/pod.go",
				"return count(s.ContainerStatuses, running)+count(s.InitContainerStatuses, running)+count(s.EphemeralContainerStatuses, running) == 0",
				"return true",
			}},
			Package: lifecycle, Test: theModel + "/somebody_else_writes_a_phase", Says: "I2:",
		},
		{
			Name:    "a vanished pod's address is released, not held",
			Edits:   []Edit{{"allocator/lifecycle/tending.go", "	case e.vanished:\n		return t.hold(r, a, t.holdFor(e.pod), step{held, e.pod, e.noticed})\n", ""}},
			Package: lifecycle, Test: theModel + "/a_pod_of_a_stable_identity_is_deleted_by_force", Says: "I1:",
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
			Package: lifecycle, Test: theModel + "/a_pod_comes_and_vanishes_while_handlers_are_told_late", Says: "I2:",
		},
		{
			Name: "the uncached read before an expiry is one of the cache",
			Edits: []Edit{{
				"allocator/lifecycle/expire.go", "	t.revision, err = eachPod(ctx, e.api, namespace, t.add)\n	return t, err\n",
				"	t.revision, err = eachPod(ctx, e.api, namespace, t.add)\n	return there{claims: map[string][]crdv1.Claim{}, uids: t.uids, revision: e.claims.Revision()}, err\n",
			}},
			Package: lifecycle, Test: theModel + "/reservations_expire,_are_settled_and_released", Says: "I2:",
		},
		{
			Name:    "a hold ends at once",
			Edits:   []Edit{{"allocator/lifecycle/holds.go", "need := readyMargin + allocator.WaitFor(h.Grace)", "need := time.Duration(0)"}},
			Package: lifecycle, Test: theModel + "/a_pod_of_a_stable_identity_is_deleted_by_force", Says: "I1:",
		},
		{
			Name:    "expiry does not wait for tending",
			Edits:   []Edit{{"allocator/lifecycle/expire.go", ", e.leaderships.told() < d.told, e.leaderships.knowsEnd(pool, d.reservation.Token):", ":"}},
			Package: lifecycle, Test: theModel + "/a_pod_comes_and_vanishes_while_handlers_are_told_late", Says: "I1:",
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
			Edits:   []Edit{{"allocator/ledger/want.go", "	return w.reserve(tx, a)\n}\n\nfunc (w *attempt) takeNew", "	w.address = a\n	return nil\n}\n\nfunc (w *attempt) takeNew"}},
			Package: lifecycle, Test: theModel + "/a_stable_identity_and_a_stranger", Says: "I4:",
		},
		{
			Name: "what is retained is freed when the owner has another UID",
			Edits: []Edit{
				{"allocator/lifecycle/retained.go", "k.over(ctx, reader, address, v.Identity)", "k.over(ctx, reader, address, v)"},
				{"allocator/lifecycle/retained.go", "a netip.Addr, id allocator.Identity) (string, error) {", "a netip.Addr, v allocator.Retention) (string, error) {\n	id := v.Identity"},
				{"allocator/lifecycle/retained.go", "	case owner == nil:\n", "	case owner == nil || string(owner.GetUID()) != v.OwnerUID:\n"},
			},
			Package: lifecycle, Test: theModel + "/an_owner_is_deleted,_its_pods_are_not,_and_made_again", Says: "I3:",
		},
		{
			Name:    "an identity's address is given to its next pod while the last may run",
			Edits:   []Edit{{"allocator/transitions.go", "	case its && r.Use(a) != Unassigned:", "	case its && r.Use(a) == Held && false:"}, {"allocator/ledger/want.go", "	case cause != \"\":\n", "	case cause == crdv1.ReasonPoolNotReady:\n"}},
			Package: lifecycle, Test: theModel + "/a_pod_of_a_stable_identity_is_deleted_by_force", Says: "I1:",
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
			Edits:   []Edit{{"allocator/lifecycle/readiness.go", "		maps.Copy(back, r.putBack(tx))\n", ""}},
			Package: lifecycle, Test: theModel + "/a_pool_is_deleted_by_force_and_made_again", Says: "I2:",
		},
		{
			Name:    "a new pool is judged by a late view",
			Edits:   []Edit{{"allocator/lifecycle/readiness.go", "	return r.claims.Revision() >= b.mark, nil\n", "	return true, nil\n"}},
			Package: lifecycle, Test: theModel + "/a_pool_is_deleted_by_force_and_made_again", Says: "I2:",
		},
		{
			Name:    "a list of all pods counts although a pool has gone since",
			Edits:   []Edit{{"allocator/lifecycle/readiness.go", "	for uid := range h.pools {\n		if !near.there[uid] {\n", "	for uid := range h.pools {\n		if uid == \"\" {\n"}},
			Package: lifecycle, Test: "TestModelLarge/a_pool_is_deleted_by_force,_and_another_with_its_address_is_made", Says: "I1:",
		},
	}
}

const latebind = "./allocator/lifecycle/latebind"

// edits are about addresses that an edit of a pool adds.
func edits() []Mutation {
	return []Mutation{
		{
			Name:    "all of a pool's spec is handed out, judged or not",
			Edits:   []Edit{{"allocator/ledger/state.go", "return s.Space.Intersect(s.InService)", "return s.Space"}},
			Package: lifecycle, Test: "TestModel/an_address_moves_from_one_pool_to_another_and_back_by_edits", Says: "I1:",
		},
		{
			Name: "what another pool still has in service is not looked at",
			Edits: []Edit{{
				"allocator/lifecycle/judgement.go", "if inService, has2 := gained.Overlap(other.InService); has2 {",
				"if inService, has2 := gained.Overlap(other.InService); has2 && other == nil {",
			}},
			Package: lifecycle, Test: "TestModel/an_address_moves_from_one_pool_to_another_and_back_by_edits", Says: "I1:",
		},
		{
			Name: "an edit that adds no address lists all pods",
			Edits: []Edit{{
				"allocator/lifecycle/readiness.go", "	if gained.Size() == 0 {\n		return true, nil\n	}\n	b :=", "	b :=",
			}},
			Package: lifecycle, Test: "TestWhatGainsNoAddressListsNoPods", Says: "lists",
		},
		{
			Name:    "a list of all pods serves addresses that came later",
			Edits:   []Edit{{"allocator/lifecycle/barrier.go", " || gained.Minus(p.barrier.gained).Size() > 0 {", " {"}},
			Package: lifecycle, Test: "TestABarrierIsForTheAddressesGainedAndThePoolsThen", Says: "grown",
		},
	}
}

// lateBinding is about pods that exist.
func lateBinding() []Mutation {
	return []Mutation{
		{
			Name:    "a pod is written to whatever has become of it",
			Edits:   []Edit{{"allocator/choice/patch.go", "metadata{Preconditions{UID: pod.UID, ResourceVersion: pod.ResourceVersion}", "metadata{Preconditions{UID: pod.UID}"}},
			Package: "./allocator/choice", Test: "TestAPatchNamesThePodThatItIsFor", Says: "resourceVersion",
		},
		{
			Name:    "what was found reserved for a pod is not confirmed",
			Edits:   []Edit{{latebindFile("binder.go"), "		if again {\n", "		if again && found == nil {\n"}},
			Package: latebind, Test: "TestReservingForAPodThatExists", Says: "want",
		},
		{
			Name:    "a pod that lacks an address keeps another one from those behind it",
			Edits:   []Edit{{latebindFile("waiting.go"), "			d.left[g.pool]++\n", "			_ = d.left\n"}},
			Package: latebind, Test: "TestDecide", Says: "got",
		},
		{
			Name:    "a pod goes before older ones that wait for a pool",
			Edits:   []Edit{{latebindFile("waiting.go"), "		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),\n", ""}},
			Package: latebind, Test: "TestDecide", Says: "old",
		},
		{
			Name:    "the slots of a pod share one NIC",
			Edits:   []Edit{{"allocator/ledger/want.go", "	o = o.onNIC(slot.NIC)\n", ""}},
			Package: "./allocator/ledger", Test: "TestOnePoolServesTwoNICs", Says: "got",
		},
		{
			Name:    "an address is taken from the younger of two pods though it has a node",
			Edits:   []Edit{{"allocator/lifecycle/conflicts.go", "	if younger.Node != \"\" {\n		return nil\n	}\n", ""}, {"allocator/lifecycle/conflicts.go", " || pod.Spec.NodeName != \"\" {", " {"}},
			Package: lifecycle, Test: "TestTheYoungerOfTwoPodsIsUnbound", Says: "taken",
		},
		{
			Name:    "a pod that vanished with its node counts as finished",
			Edits:   []Edit{{"allocator/lifecycle/ends.go", "vanished: jumped || p.Node != \"\"", "vanished: jumped"}},
			Package: lifecycle, Test: "TestModel/a_pod_is_deleted_by_force,_and_its_node_is_away", Says: "I1:",
		},
	}
}

func latebindFile(name string) string { return "allocator/lifecycle/latebind/" + name }

// admissions are about what the webhook answers.
func admissions() []Mutation {
	return []Mutation{
		{
			Name:    "forged annotations are not stripped",
			Edits:   []Edit{{"admission/pods.go", "	strip(pod)\n", ""}},
			Package: "./admission", Test: "TestForgedAnnotationsAreStrippedAlsoFromPodsLeftAlone", Says: "pods_test.go",
		},
		{
			Name:    "a dry run reserves",
			Edits:   []Edit{{"admission/pods.go", "		e.to, e.dry = d.o.DryRun, true\n", "		e.dry = true\n"}},
			Package: "./admission", Test: "TestDryRunReachesTheReserverThatCannotWrite", Says: "pods_test.go",
		},
		{
			Name:    "what was reserved for a pod that is not given it stays reserved",
			Edits:   []Edit{{"admission/pods.go", "			d.giveBack(ctx, e)\n", ""}},
			Package: "./admission", Test: "TestAPodWithoutAnAddressWaits", Says: "not given back",
		},
	}
}

// views are about what is known of pods.
func views() []Mutation {
	const view = "./allocator/view"
	return []Mutation{
		{
			Name:    "an address that a pod has from somebody else is handed out",
			Edits:   []Edit{{"allocator/view/claims.go", " || slices.ContainsFunc(c.find(byForeign, key), (*Pod).Live)", ""}},
			Package: view, Test: "TestWhatUsesAnAddress", Says: "used",
		},
		{
			Name:    "a reservation is that of any pod with its token",
			Edits:   []Edit{{"allocator/view/claims.go", " || !p.MayCarry(r)", ""}},
			Package: view, Test: "TestWhoCarriesAReservation", Says: "carried",
		},
		{
			Name:    "a node that was away for a moment has been Ready all the time",
			Edits:   []Edit{{"allocator/view/nodes.go", "	case !node.Ready:\n		delete(s, node.Name)\n", ""}, {"allocator/view/nodes.go", " || !span.since.Equal(node.Since):", ":"}},
			Package: view, Test: "TestHowLongANodeHasBeenReady", Says: "Ready",
		},
	}
}

// arrivals are about what a process knows of pods that came and vanished.
func arrivals() []Mutation {
	const file = "allocator/view/arrivals.go"
	return []Mutation{
		{
			Name:    "pools are read before all pods were listed",
			Edits:   []Edit{{file, "	if !answered || !a.begin(lists) {\n", "	if !answered && lists == 0 || !a.begin(lists) {\n"}},
			Package: lifecycle, Test: theModel + "/a_standby_that_has_watched_takes_over", Says: "I1:",
		},
		{
			Name:    "nobody remembers which pods vanished",
			Edits:   []Edit{{file, "	a.vanished[allocator.Token(vanished.Token)] = true\n", ""}},
			Package: lifecycle, Test: theModel + "/a_standby_that_has_watched_takes_over", Says: "I1:",
		},
		{
			Name:    "what vanished while the pools were read is forgotten",
			Edits:   []Edit{{file, "		a.lists, a.before = lists, before //", "		clear(a.vanished)\n		a.lists, a.before = lists, before //"}},
			Package: lifecycle, Test: theModel + "/a_standby_that_has_watched_takes_over", Says: "I1:",
		},
		{
			Name:    "a new list of pods does not make void what was known",
			Edits:   []Edit{{file, "a.lists == 0 || a.lists != a.claims.Lists(),", "a.lists == 0,"}},
			Package: lifecycle, Test: theModel + "Large/a_standby_lists_anew_before_it_takes_over", Says: "I1:",
		},
		{
			Name:    "pools are read while all pods are listed anew",
			Edits:   []Edit{{file, "	if !answered || !a.begin(lists) {\n", "	if !answered && lists < 2 || !a.begin(lists) {\n"}},
			Package: lifecycle, Test: theModel + "Large/a_standby_lists_anew_before_it_takes_over", Says: "I1:",
		},
		{
			Name:    "it is not waited for what handlers were not told",
			Edits:   []Edit{{file, "	case a.delivered < through:\n		return NotToldYet\n", ""}},
			Package: lifecycle, Test: theModel + "Large/a_standby_that_is_told_late_takes_over", Says: "I1:",
		},
		{
			Name:    "a reservation that stood before this leader is as good as its own",
			Edits:   []Edit{{"allocator/lifecycle/leadership.go", "	return l.lists == lists && !l.inherited[token]\n", "	return l.lists == lists\n"}},
			Package: lifecycle, Test: theModel + "/a_standby_that_has_watched_takes_over", Says: "I1:",
		},
		{
			Name:    "a leader's own reservation is watched although pods were listed anew",
			Edits:   []Edit{{"allocator/lifecycle/leadership.go", "	return l.lists == lists && !l.inherited[token]\n", "	return !l.inherited[token]\n"}},
			Package: lifecycle, Test: theModel + "Large/a_standby_lists_anew_before_it_takes_over", Says: "I1:",
		},
		{
			Name:    "a pool is taken over while all pods are listed anew, as if they were",
			Edits:   []Edit{{"allocator/lifecycle/addresses.go", "	if !answered {\n		lists = 0\n", "	if !answered && lists == 0 {\n"}},
			Package: lifecycle, Test: theModel + "Large/a_standby_lists_anew_before_it_takes_over", Says: "I1:",
		},
	}
}

// bounds are about what one namespace, or one pool, may keep without a running pod.
func bounds() []Mutation {
	return []Mutation{
		{
			Name:    "a namespace may keep all of a pool without a running pod",
			Edits:   []Edit{{"allocator/ledger/kept.go", "	if kept[namespace] < most {\n", "	if most > 0 {\n"}},
			Package: "./allocator/ledger", Test: "TestOneCapIsOverAllThatANamespaceKeepsWithoutARunningPod", Says: "a pod that exists: <nil>, want it refused: true",
		},
		{
			Name:    "what is held for a namespace does not count",
			Edits:   []Edit{{"allocator/ledger/kept.go", "	for a := range record.AllHeld() {\n		kept[keeper(record, a)]++\n	}\n", ""}},
			Package: "./allocator/ledger", Test: "TestOneCapIsOverAllThatANamespaceKeepsWithoutARunningPod", Says: "a pod to come: <nil>, want it refused: true",
		},
		{
			Name:    "a controller's cap is that of all namespaces",
			Edits:   []Edit{{"allocator/ledger/caps.go", "return podOwner{r.Pod.Namespace, digest}", "return podOwner{\"\", digest}"}},
			Package: "./allocator/ledger", Test: "TestAnOwnersCapIsNotUsedUpByAnotherNamespace", Says: `namespace "home": `,
		},
		{
			Name:    "a pool has as many holds as there are pods that vanish",
			Edits:   []Edit{{"allocator/lifecycle/holding.go", "	if r.CountHeld() >= most {\n", "	if most < 0 {\n"}},
			Package: lifecycle, Test: "TestMoreThanARecordHoldsStaysAsItIs", Says: "full false",
		},
		{
			Name:    "that a pod vanished is forgotten while its reservation is not held",
			Edits:   []Edit{{"allocator/lifecycle/tending.go", " && !awaits(t.final, key.address, e.pod)", ""}},
			Package: lifecycle, Test: "TestMoreThanARecordHoldsStaysAsItIs", Says: "are forgotten",
		},
		{
			Name:    "the address of a pod on a node that never was is settled",
			Edits:   []Edit{{"allocator/lifecycle/tending.go", "	case s.verb == settled && !t.placed(s.pod):\n", "	case s.verb == settled && s.pod == nil:\n"}},
			Package: lifecycle, Test: "TestTending", Says: "a_pod_on_a_node_that_is_not_shown_leaves_its_reservation",
		},
		{
			Name: "a node that the watch does not show is gone",
			Edits: []Edit{{
				"allocator/lifecycle/lostnodes.go", "	err := l.api.Get(ctx, types.NamespacedName{Name: p.Node}, node)\n",
				"	err := apierrors.NewNotFound(corev1.Resource(\"nodes\"), p.Node)\n",
			}},
			Package: lifecycle, Test: theModel + "/somebody_else_writes_a_phase,_and_the_view_of_the_nodes_is_late", Says: "I2:",
		},
		{
			Name:    "a grace of decades is waited for",
			Edits:   []Edit{{"allocator/uses.go", "return min(max(grace, DefaultGrace), MaxGrace) }", "return max(grace, DefaultGrace) }"}},
			Package: lifecycle, Test: "TestAHoldEndsByProofOnly", Says: "the_pod_was_given_decades_to_end,_and_a_day_has_passed",
		},
	}
}
