// Package lifecycle is what the elected leader does with addresses after they were reserved. One
// job is one file; tests have the same stem.
//
//	leadership.go  taking a pool over: from then on only this leader's view counts
//	addresses.go   settle when the pod of a reservation is seen, release when it finished, hold when
//	               it vanished; tending.go decides, ends.go collects how pods ended, holding.go
//	               bounds the holds
//	lostnodes.go   find the pods that have ended with their nodes
//	expire.go      give back a reservation that no pod came for
//	holds.go       end a hold once its node proves that the pod cannot run
//	retained.go    free what is kept for an identity that will not come back
//	conflicts.go   two live pods that claim one address
//	readiness.go   put addresses in service and let deleted pools go; judgement.go decides,
//	               podlist.go and barrier.go make sure that all pods are known that claim what a
//	               pool gained, serial.go judges one pool of a subnet at a time
//	marks.go       a mark in a record that comes from another history of the cluster
//	endpoints.go   write the SpiderEndpoint of a pod
//	latebind/      addresses for pending pods
//
// Two replicas may believe that they lead, and a view of the pods may be late or have skipped
// events. So no address leaves a record without a proof:
//
//   - Release needs three things. Whoever settles raises the mark of the record, podsSeenThrough;
//     whoever releases has seen at least that much and looks at the claims only then. This leader
//     saw the pod end after it had taken the pool over, and knew that the address was the pod's.
//     The write fails if anything happened in between (resourceVersion) or another leads (term).
//   - If nobody saw the pod end, the address is held. A hold removes nothing from the record.
//   - Everything else needs an uncached read and the same write and, where time decides, a grace on
//     this leader's own clock.
//
// The model (model_*_test.go) drives all of this, with the real ledger, through every order of
// events in small worlds, with leaders that are late, paused or dead.
//
// What does not live here: the sets and their transitions (package allocator), writing them
// (package ledger), what every replica knows of the cluster (package view), which pools serve a pod
// (package admission).
package lifecycle
