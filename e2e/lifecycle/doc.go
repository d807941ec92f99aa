// Package lifecycle tests allocator/lifecycle against a real API server, with pods that have no
// kubelet: the tests say what kubelets would say. Two leaders run in one process here, each with
// watches of its own, so that both believe that they lead.
//
// There is nothing here but tests.
package lifecycle
