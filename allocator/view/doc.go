// Package view is what every replica knows about the cluster from its watches:
//
//	pod.go       what is kept of a pod, and when it is finished
//	claims.go    the index of pods by the addresses that they claim
//	nodes.go     the nodes, and for how long each has been Ready
//	gap.go       what happened to pods since the view's last event
//	arrivals.go  proves that no pod has come for a reservation and vanished
//	restored.go  whether this is still the same cluster (I11)
//	source.go    feeds a controller from the index
//	events.go    events on pods and pools
//	log.go       the log line of each step in an address's life
//
// A view lags behind, and a watch may skip events; each type says up to which revision it is
// complete. So nothing here proves that an address is unused: package lifecycle says what does.
//
// What does not live here: decisions, and anything that only the leader knows.
package view
