package controlplane

import "spidernet.io/spiderpool/e2e/behaviours"

// All are the behaviours that share an API server and a controller.
var All = []behaviours.Behaviour{
	AnnotForged, AnnotInvalid, AnnotOrder, AnnotPrecedence, Burst, DryRun, FullRefused, HostNetwork,
	PoolDelete, PoolLarge, PoolOverlap, PoolRules,
}
