package controlplane

import "spidernet.io/spiderpool/e2e/behaviours"

// All are the behaviours that share an API server and a controller.
var All = []behaviours.Behaviour{
	AnnotForged, AnnotInvalid, AnnotOrder, AnnotPrecedence, AssignFull, Burst, DeletionGrace, DryRun, HostNetwork,
	LateTold, LifeGates, LifeOrphan, LifeSts, NodeUnknown, PodEnds, PoolDelete, PoolLarge, PoolOverlap, PoolRules,
}

// Alone are those that need an API server and a controller of their own.
var Alone = []behaviours.Behaviour{Crash, FailClosed, LifeRestart, OtherChoices, PoolReady}
