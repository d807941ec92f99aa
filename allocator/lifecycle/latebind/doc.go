// Package latebind gives addresses to existing pods that have none (pending pods): those admitted
// while their pools were full, over a cap or not Ready, those with gates of others, and those that
// the webhook missed.
//
//	latebind.go    Options and Setup: what it works with
//	reconciler.go  passes over all pending pods
//	pending.go     what is known of a pending pod; the resolver finds out what it asks for
//	capacity.go    what pools can give, and which were found exhausted
//	waiting.go     which pods are served now, and why the others wait: a pure decision
//	binder.go      reserves for one pod and writes to it
//	condition.go   the condition AddressAssigned
//	events.go      events on pods
//	leftovers.go   finishes pods that a former leader left half done
//	step.go        the same steps one by one, for the model
//
// Invariants:
//
//   - Higher priority is served first, then the oldest. A pod gets everything it asks for or
//     nothing, and no other pod overtakes it in the pool that it lacks.
//   - A reservation for a pending pod names that pod (namespace, name and UID) and never expires: a
//     leader that was paused could still write it to the pod.
//   - Only pods without sandbox and podIP are bound.
//
// What does not live here: which pools serve a pod (package admission/selection), and taking over
// pools (package lifecycle).
package latebind
