// Package admission answers the API server's webhooks.
//
//	/mutate-pods                               reserves addresses and writes them to the pod
//	/mutate-, /validate-spiderippools          the rules of pools that need other objects
//	/mutate-, /validate-spiderreservedips      the same for reserved addresses
//
// The way of a pod: what somebody forged is stripped; a pod that is none of ours
// passes; package selection names the candidate pools (Chooser, which late
// binding asks too); the Reserver takes one address for each slot, all or none
// (I9); the annotations are written.
//
// What it keeps to:
//
//   - An address is written to a pod only after Reserve has returned (I4). What
//     goes wrong afterwards, a panic too, gives it back at once.
//   - Nothing that comes in with a pod proves anything: tokens are public, UIDs
//     of requests new at each call, so assigned addresses and tokens met at
//     create are stripped, even from pods that are left alone.
//   - dryRun reaches another Reserver, one whose type cannot write (I10).
//   - A refusal is confirmed against the API server before a user sees it (I12),
//     by a list and eight pools at most; where more have changed, it says so.
//   - Only what a user can mend is refused (403). Any other pod without address
//     is admitted, without error: its pools are full, not Ready, over a cap or
//     waited for, its predecessor has not ended, it came gated by others,
//     something failed inside or took too long. It gets our scheduling gate,
//     unless it names its node, and is bound late. The configuration may refuse
//     exhaustion (409): the first five of these.
//   - What passes by itself is waited for first, from one change of pools to the
//     next: a pool not looked at yet and a predecessor for two seconds, a cap for
//     300 ms, lest it slow whoever makes many pods.
//
// Handlers are thin. Rules are functions: package selection for pods, and here
// the functions validateX over specs, which return field errors; those of
// poolRules are asked at create and at each edit alike. Two pools that
// overlap can pass validation at one moment: the leader decides, by Ready.
//
// It declares what it needs of others as interfaces (interfaces.go) and knows
// neither the ledger nor the leader.
package admission
