// Package check is the consistency checker: pods, pools, endpoints, nodes and the owners of stable
// identities, as the API server has them, must fit together. Tests run it after every behaviour and
// during bursts and crashes; users may run it on their own clusters. It only reads.
//
//	I1        two live pods have one address
//	I2        a live pod has an address that its pool does not record for it
//	I3        a pool records an address that no pod has or may still come for
//	I7        a pool records an address that it must not hand out, or a pod has one that a node
//	          or a pod of another IPAM uses
//	counters  a record cannot be read, or a counter differs from what it counts
//	pools     two Ready pools have an address in service in common, or a spec cannot be read
//	endpoint  a pod and its SpiderEndpoint differ
//	pod       an annotation cannot be read, the pod runs with another address, or its gate or
//	          condition does not match what it has
//
// It does not trust the engine that it judges, and imports none of it: annotations are read by
// crds/v1, everything else is read and decided here, in the plainest way. A record is read from its
// lines (record.go), the addresses of a pool from its spec (spec.go), as ranges that are never
// expanded: a /10 or an IPv6 /64 costs nothing. When a pod is finished, when a hold may end and
// which pods an owner covers is implemented a second time. FuzzRecord and FuzzSpec compare the
// readers with the product's. They differ in this:
//
//   - A token, or a stable identity, may have several addresses of one pool here.
//   - A record that is too long is refused after counting everything; the engine counts each set as
//     it reads it, so it may accept a few addresses more.
//   - A spec is read as admission reads it: with a subnet, and all addresses inside it. The engine
//     does not require that of what is in a status.
//
// All lists of one check are read at one revision of the store, so what must hold at every moment
// can be checked. What may take time, such as releasing a finished pod's address, is marked
// Passing, and Settled waits for it. A hold is a violation only once its node allows it to end, and
// then it gets the time of the proof in addition.
//
// Watch sees every change of every pod, and so finds doubles that last an instant.
//
// What does not live here: repairs, and anything that runs in the controller.
package check
