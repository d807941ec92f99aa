// Package soak lets pods of all kinds come and go for a while on a real API
// server, with two replicas of the controller, while everything is broken that
// can be, and then looks whether an address was given twice or is kept for
// nobody.
//
//	soak.go      the course of it, and what it reports
//	stage.go     the control plane, the two replicas, and what stands between them
//	proxy.go     between controller and API server: slow, dropped, watches held back
//	balancer.go  between API server and webhooks: what a Service would do
//	nodes.go     kubelets that run nothing, and remember what would answer on the wire
//	workload.go  pods, ReplicaSets, StatefulSets and CloneSets come and go
//	faults.go    what is broken, and when
//	releases.go  how long it takes until an address is free again
//
// A seed makes a run repeatable as far as it can be: the same things are done in
// the same order, but what meets what is up to the machine.
//
// What does not live here: what is wrong (package allocator/check), real nodes (the
// behaviours in behaviours/nodes).
package soak
