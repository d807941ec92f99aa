// Package soak creates and deletes pods of all kinds for a while on a real API server, with two
// replicas of the controller and with every fault that can be injected, and then checks whether an
// address was given twice or has leaked.
//
//	soak.go      the run and its report
//	stage.go     the control plane, the two replicas, and the proxies between them
//	proxy.go     between controller and API server: slow, dropped, watches held back
//	balancer.go  between API server and webhooks, in place of a Service
//	nodes.go     kubelets that run nothing, and remember what would answer on the wire
//	workload.go  creates and deletes pods, ReplicaSets, StatefulSets and CloneSets
//	faults.go    which faults are injected, and when
//	releases.go  how long it takes until an address is free again
//
// A seed makes a run repeatable as far as possible: actions have the same order, but their timing
// depends on the machine.
//
// What does not live here: what counts as wrong (package allocator/check), real nodes (the
// behaviours in behaviours/nodes).
package soak
