// Package ledger tests allocator/ledger against a real API server and etcd: processes that fight
// over one pool, writes that landed although the answer was lost, callers that went away, crashes
// between the steps.
//
// There is nothing here but tests. Faults are injected between the ledger and the API server, at
// the interface ledger.API, and never inside of either.
package ledger
