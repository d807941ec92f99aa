// Package admission answers the API server's webhooks.
//
//	/mutate-pods                               reserves addresses and writes them to the pod
//	/mutate-, /validate-spiderippools          the rules of pools that need other objects
//	/mutate-, /validate-spiderreservedips      the same for reserved addresses
//
// A pod passes these steps: forged annotations are stripped; a pod that we do not manage is left
// alone; package selection names the candidate pools (Chooser, which late binding calls too); the
// Reserver takes one address for each slot, all or nothing (I9); the annotations are written.
//
// Invariants:
//
//   - An address is written to a pod only after Reserve has returned (I4). If anything fails later,
//     a panic too, it is given back at once.
//   - Nothing that arrives with a pod proves anything: tokens are public, and request UIDs change
//     with each call. So assigned addresses and tokens are stripped at creation, even from pods
//     that are left alone.
//   - A dry run uses another Reserver, of a type that cannot write (I10).
//   - A refusal is confirmed with the API server before a user sees it (I12), by at most one list
//     and eight pools; where more have changed, the refusal says so.
//   - Only what a user can fix is refused (403). Every other pod without an address is admitted:
//     its pools are full, not Ready, over a cap or other pods are queued for them, its predecessor
//     has not ended, it has gates of others, or there was an internal error or a timeout. It gets
//     our scheduling gate, unless it names its node, and late binding gives it addresses. With
//     exhaustion "reject" the first five of these are refused (409).
//   - What usually passes soon is waited for, until the pools change: two seconds for a pool that
//     was not judged yet and for a predecessor, 300 ms for a cap, so that a controller that creates
//     many pods is not slowed down.
//
// Handlers are thin. Rules are functions: package selection for pods, and validateX here for specs,
// which return field errors; poolRules run at creation and at each edit alike. Two overlapping
// pools may pass validation at the same moment: then the leader decides which becomes Ready.
//
// It declares what it needs of others as interfaces (interfaces.go) and knows neither the ledger
// nor the leader.
package admission
