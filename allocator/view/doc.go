// Package view is what every replica knows of the cluster from its watches:
//
//	pod.go       what is kept of a pod, and when it is finished
//	claims.go    the index of pods by the addresses that they claim
//	nodes.go     the nodes, and for how long each has been Ready
//	gap.go       what happened to pods beyond the view
//	restored.go  whether this is still the same cluster (I11)
//	log.go       the one line that the log has for each step of an address
//
// A view may be late, and a watch may jump over what happened; each type says how
// far it is. So nothing here proves that an address is unused: package lifecycle
// says what does.
//
// What does not live here: decisions, and anything that only the leader knows.
package view
