// Package behaviours is what the end-to-end suites share. A behaviour is one .go and one .yaml of
// the same stem in the folder of its suite:
//
//	controlplane  needs no node: all share one API server and one controller,
//	              run in parallel, each in namespaces and pools of its own
//	nodes         needs real nodes: they share one cluster, and root
//
// The manifest of a behaviour makes its namespaces and pools, whose names begin with its id, and
// its addresses are its own: no other manifest names them. After a behaviour the checker compares
// all that is its own; a suite ends with a check of everything, and with what a watch saw of every
// pod at any moment.
//
// Nothing here waits for time to pass: Eventually looks until a condition holds, and fails with
// what it saw last.
package behaviours
