// Package lifecycle is what the elected leader does with addresses after they
// were reserved, one job one file:
//
//	tenure.go     taking a pool over: after it, only this leader's view counts
//	addresses.go  settle, when the pod of a reservation is seen; release, when
//	              it was seen finished; hold, when it vanished; tending.go decides
//	ends.go       note which pods appeared and how they ended
//	expire.go     give a reservation back for which no pod came
//	holds.go      end a hold once its node proves that the pod cannot run
//	retained.go   free what is kept for an identity that will not come back
//	bind.go       give addresses to pods that wait: latecomers.go finds out what
//	              they ask for, supplies.go what there is, waiting.go decides,
//	              serve.go binds one, condition.go and leftovers.go tell it
//	gap.go        what happened beyond the view
//	conflicts.go  two live pods that claim one address
//	pools.go      make pools Ready, and let go of deleted ones: census.go lists
//	              who claims addresses, judgement.go decides, turns.go has pools
//	              of one subnet judged one after the other
//	endpoints.go  write the SpiderEndpoint of a pod
//	claims.go     the index of pods by address that all of them look at
//	pod.go        what is kept of a pod, and when it is finished
//	nodes.go      the nodes, and for how long each has been Ready
//	remind.go     what the log says again while it lasts
//	restored.go   whether the cluster is still the same (I11)
//
// Two may believe that they lead, and a view of the pods may be late or jump
// over what happened. So no address is taken out of a record without a proof:
//
//   - Release rests on three things. Who settles raises the record's mark,
//     podsSeenThrough; who releases has seen at least that much and looks at the
//     claims only then. The end of the pod was seen by this leader, after it had
//     taken the pool over, and the address was that very pod's. And the write
//     says by its resourceVersion that nothing happened in between, by its term
//     that nobody else leads.
//   - What ended unseen is held, and a hold takes nothing out of the record.
//   - All else rests on an uncached read and the same write, and, where it is time
//     that tells, on a grace counted on this leader's clock.
//
// The tests named model drive all of this, and the real ledger, through every
// order of small worlds, with leaders that are late, paused or dead.
//
// What does not live here: the sets and their transitions (package allocator),
// their writing (package ledger), the choice of pools (package admission).
package lifecycle
