package nodes

import "spidernet.io/spiderpool/e2e/behaviours"

// All are the behaviours that share a cluster.
var All = []behaviours.Behaviour{
	AssignFull,
	AssignNet,
	AssignRestart,
	LifeDelete,
	LifeDouble,
	LifeFinished,
	LifeLate,
	LifeNode,
	LifeSts,
	NodeFaults,
	Seed1,
}
