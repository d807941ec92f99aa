// Package check is the consistency checker: pods, pools, endpoints, nodes and the owners of stable
// identities, as the API server has them, must tell one story. Tests run it after every behaviour
// and while bursts and crashes go on; users may run it on their own clusters. It only reads.
//
//	I1        two live pods carry one address
//	I2        a live pod carries an address that its pool does not record for it
//	I3        a pool records an address that nobody has or may still come for
//	I7        a pool records an address that it may never hand out, or a pod carries one that a
//	          node or a pod of somebody else uses
//	counters  a record cannot be read, or a counter is not the size of what it counts
//	pools     two Ready pools have an address in service in common, or the spec of one cannot be read
//	endpoint  a pod and its SpiderEndpoint say different things
//	pod       an annotation cannot be read, the pod runs with another address, or what it says of
//	          waiting for one is not so
//
// It does not trust the engine that it judges, and imports none of it: annotations are read by
// crds/v1, and all else it reads and decides itself, in the plainest way. A record is read from its
// lines (record.go), the addresses of a pool from its spec (spec.go), as ranges that are never
// expanded: a /10 or an IPv6 /64 costs nothing. When a pod is finished, when a hold may end and
// which pods an owner covers are decided here once more. FuzzRecord and FuzzSpec hold the readers
// against the product's. They differ in this:
//
//   - A token, or a stable identity, may have several addresses of one pool here.
//   - All that a record says is counted before it is refused as too long; the engine counts each
//     set when it has read it, so it may accept a few addresses more.
//   - A spec is read as admission reads it: with a subnet, and all addresses inside of it. What is
//     in a status is read by the engine without asking for that.
//
// All lists of one check are read at one revision of the store, so what holds at every moment is
// checked at a moment. What the design grants time for, such as the release of a finished pod's
// address, is marked Passing; Settled waits for it. A hold is nothing wrong until its node allows
// it to end, and then it has the time of the proof on top, which is longer than all others.
//
// Watch sees every change of every pod, and so doubles that last an instant.
package check
