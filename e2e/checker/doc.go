// Package checker compares what the API server holds: pods, pools and
// endpoints must tell one story. It runs after every behaviour, and while
// bursts and crashes go on.
//
// It shares no code with what it checks but the formats: annotations are read
// by crds/v1, records by allocator.Decode. When a pod is finished it decides
// itself.
//
//	I1        two live pods carry one address
//	I2        a live pod carries an address that its pool does not record for it
//	I3        a pool records an address that nobody has or may still come for
//	I7        a pool records an address that it may never hand out
//	counters  a counter is not the size of what it counts
//	pools     two Ready pools have an address in common
//	endpoint  a pod and its SpiderEndpoint say different things
//	pod       an annotation cannot be read, or the pod runs with another address
//
// All lists of one check are read at one revision of the store, so what holds
// at every moment is checked at a moment. What the design grants time for, such
// as the release of a finished pod's address, is marked Passing; Settled waits
// for it.
//
// Watch sees every change of every pod, and so doubles that last an instant.
package checker
