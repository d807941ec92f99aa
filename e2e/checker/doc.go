// Package checker compares what the API server holds: pods, pools, endpoints,
// nodes and the owners of stable identities must tell one story. It runs after
// every behaviour, and while bursts and crashes go on.
//
// It shares no code with what it checks but the formats: annotations are read
// by crds/v1, records by allocator.Decode. When a pod is finished, and which
// pods an owner covers, it decides itself.
//
//	I1        two live pods carry one address
//	I2        a live pod carries an address that its pool does not record for it
//	I3        a pool records an address that nobody has or may still come for
//	I7        a pool records an address that it may never hand out, or a pod
//	          carries one that a node or a pod of somebody else uses
//	counters  a counter is not the size of what it counts
//	pools     two Ready pools have an address in common
//	endpoint  a pod and its SpiderEndpoint say different things
//	pod       an annotation cannot be read, the pod runs with another address, or
//	          what it says of waiting for one is not so
//
// All lists of one check are read at one revision of the store, so what holds
// at every moment is checked at a moment. What the design grants time for, such
// as the release of a finished pod's address, is marked Passing; Settled waits
// for it. A hold is nothing wrong until its node allows it to end, and then it
// has the time of the proof on top, which is longer than all others.
//
// Watch sees every change of every pod, and so doubles that last an instant.
package checker
