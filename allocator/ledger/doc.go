// Package ledger is the only writer of the records in the status of pools: it makes the transitions
// of package allocator durable.
//
//	callers          queue of a pool           API server
//	Apply(change) ─┐
//	Apply(change) ─┼─▶ waits while a write ──▶ one status update, with the
//	Apply(change) ─┘   is in flight            resourceVersion it was computed from
//
// All changes that wait while a write is in flight are answered by the next single write (group
// commit). Several processes may do this at once: the API server is the lock, and batches keep
// conflicts rare.
//
// What it keeps:
//
//   - No change is answered before the API server has stored it (I4); one that finds nothing to
//     write is answered from what the watch shows.
//   - Each write carries the resourceVersion it was computed from; a conflict reads once and
//     computes anew (I5).
//   - A write whose outcome is unknown is resolved by reading before anything else is decided.
//     Changes are therefore applied anew to what was read, and MUST find their own earlier effect:
//     a reservation finds its token (I10).
//   - What something in the cluster uses is not handed out (I7).
//   - A request for several pools gets all or nothing (I9).
//   - An API server that went back to an earlier state is written nothing (I11).
//   - A refusal that was computed from the cache alone is confirmed by one read before a caller
//     sees it (I12).
//
// A pod to come (Reserve) takes a new address only within the caps and where no pod waits for the
// pool; a pod that exists (Bind) goes before it. The address kept for a stable identity is nobody
// else's, and neither stands before it.
//
// What it refuses: to decide which pools serve a pod (package admission), when an address may go
// (package lifecycle), and to write more than fits in etcd.
package ledger
