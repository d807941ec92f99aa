// Package latebind gives addresses to pods that exist and have none: those that were
// admitted while their pools were full, over a cap or not Ready, those gated by
// somebody else, those that the webhook missed.
//
//	latebind.go    what it works with
//	reconciler.go  passes over all pending pods
//	pending.go     what is known of a pending pod; the resolver finds out what it
//	               asks for
//	capacity.go    what pools can give, and those found exhausted
//	waiting.go     who is served now, and who waits for what: a pure decision
//	binder.go      reserves for one pod and writes to it
//	condition.go   the condition AddressAssigned and events
//	leftovers.go   pods that a leader did not come to the end with
//
// What it keeps:
//
//   - Higher priority first, then the oldest. A pod gets all that it asks for or
//     nothing, and nobody overtakes it in the pool that it lacks.
//   - A reservation of a pending pod is made in the name of that pod (namespace,
//     name and UID) and is never given back by time: a leader that wakes up late
//     could write it to the pod.
//   - Only pods without sandbox and podIP are bound.
//
// What does not live here: which pools serve a pod (package admission/selection),
// the taking over of pools (package lifecycle).
package latebind
