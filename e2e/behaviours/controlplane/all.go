package controlplane

import "spidernet.io/spiderpool/e2e/behaviours"

// All are the behaviours that share an API server and a controller.
var All = []behaviours.Behaviour{
	AnnotForged, AnnotInvalid, AnnotOrder, AnnotPrecedence, AssignFull, Burst, DryRun, HostNetwork,
	LifeGates, LifeOrphan, LifeSts, PodEnds, PoolDelete, PoolLarge, PoolOverlap, PoolRules,
}
