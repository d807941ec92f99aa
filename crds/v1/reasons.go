package v1

// GateWaitingForAddress is the scheduling gate of a pod that was admitted without an address. The
// leader takes it away in the same write that gives the pod its addresses.
const GateWaitingForAddress = Prefix + "waiting-for-address"

// ConditionAddressAssigned is the condition of a pod that had no address at its admission: False
// while it waits, with the reason and with a message that names pools and candidates; True once it
// has its addresses. Pods that were given theirs at admission do not have it.
const ConditionAddressAssigned = Prefix + "AddressAssigned"

// Reasons why a pod has no address yet: of the condition AddressAssigned, of Warning events on the
// pod, and a label of metrics.
const (
	// ReasonPoolFull: every candidate of a family has all its addresses taken.
	ReasonPoolFull = "PoolFull"
	// ReasonOverCap: the namespace keeps as many addresses of a pool as one may without a running
	// pod: reserved for pods to come, kept for stable identities that have no pod, or held. In
	// refusals and metrics of admission also: the namespace or the controller has as many reserved
	// for pods that were not seen as one may have. That cap does not bound pods that exist, so
	// whoever was admitted without an address does not wait for it.
	ReasonOverCap = "OverReservationCap"
	// ReasonPoolNotReady: the candidates are not Ready, or unreadable. One that is disabled or
	// being deleted is no candidate, see ReasonNoPool; this is its reason only where that happens
	// while a pod is given an address.
	ReasonPoolNotReady = "PoolNotReady"
	// ReasonQueued: other pods wait longer for the same pools.
	ReasonQueued = "OthersWaitLonger"
	// ReasonPredecessor: the address of the pod's stable identity is still its predecessor's, whose
	// end was not seen yet.
	ReasonPredecessor = "PredecessorNotEnded"
	// ReasonAddressHeld: the same, and no kubelet confirmed the predecessor's end: the address is
	// held.
	ReasonAddressHeld = "PredecessorHeld"
	// ReasonWithdrawn: the address kept for the pod's stable identity may not be handed out any
	// more: an edit of the pool or a SpiderReservedIP took it away. The pod is given another once
	// it is not kept any more.
	ReasonWithdrawn = "AddressWithdrawn"
	// ReasonForeignGate: somebody else's scheduling gate is on the pod; it is given addresses when
	// ours is the last.
	ReasonForeignGate = "OtherSchedulingGates"
	// ReasonNodeUnknown: the pod names a node that does not exist.
	ReasonNodeUnknown = "NodeUnknown"
	// ReasonNoPool: no rule gives the pod a pool, or the rule's pools do not fit it, are disabled
	// or being deleted; there is something to mend.
	ReasonNoPool = "NoPoolFits"
	// ReasonWriteRefused: the leader's write to the pod is refused by the API server, by an
	// admission policy or by somebody else's webhook; the message names it.
	ReasonWriteRefused = "WriteRefused"
	// ReasonInternal: something failed inside.
	ReasonInternal = "InternalError"
	// ReasonMissedAdmission: the pod did not pass the webhook, which was not reachable or not
	// installed then. Of an event only.
	ReasonMissedAdmission = "MissedAdmission"
	// ReasonStaticPod: the pod is static, and the kubelet does not read what the API server knows
	// of it. Of an event only.
	ReasonStaticPod = "StaticPod"
)

// Reasons of other events on pods.
const (
	// ReasonAssigned: a pod that waited has its addresses. Also the reason of the condition
	// AddressAssigned being True.
	ReasonAssigned = "AddressAssigned"
	// ReasonHeld: the pod is gone, no kubelet confirmed its end, and its addresses are held.
	ReasonHeld = "AddressHeld"
	// ReasonConflict: two live pods claim one address; the event names both.
	ReasonConflict = "AddressConflict"
	// ReasonUngated: our scheduling gate was removed from a pod that waits for no address.
	ReasonUngated = "GateRemoved"
)
