// Package admission answers the API server's webhooks.
//
//	/mutate-pods                                  reserves addresses and writes them to the pod
//	/mutate-spiderippools   /validate-…           the rules of pools that need other objects
//	/mutate-spiderreservedips  /validate-…        the same for reserved addresses
//
// The way of a pod: what somebody forged is stripped; a pod that is none of ours
// passes; package selection names the candidate pools; the Reserver takes one
// address for each slot, all or none (I9); the annotations are written. What goes
// wrong after the reservation, a panic too, gives it back at once.
//
// What it keeps to:
//
//   - An address is written to a pod only after Reserve has returned (I4).
//   - Nothing that comes in with a pod proves anything: tokens are public and
//     UIDs of requests are new at each call, so assigned addresses and tokens
//     met at create are stripped, even from pods that are left alone.
//   - dryRun reaches another Reserver, one whose type cannot write (I10).
//   - A refusal is confirmed against the API server before a user sees it (I12):
//     the namespace and every pool that it rests on are read anew.
//   - Who meets a pool that the leader has not looked at yet waits for changes of
//     pools, for two seconds at most.
//   - Only what a user can mend is refused as such (403). Full and not Ready
//     pools (409) and what fails inside (500) all go through noAddressYet, in
//     whose place late binding comes.
//
// Handlers are thin. Rules are functions: package selection for pods, and here
// the functions validateX over specs, which return field errors. Two pools that
// overlap can still pass validation at one moment, since webhooks do not see one
// another: the leader decides that by the condition Ready.
//
// It declares what it needs of others as interfaces (interfaces.go) and knows
// neither the ledger nor the leader.
package admission
