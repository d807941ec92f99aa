// Package datapath holds the tests of the CNI plugin with everything around it real: the reference
// plugins macvlan and bridge delegate to it, cnitool drives them as a runtime does, and what they
// made is read from the kernel.
//
// The tests need root. TestMain builds the programs and starts the test binary again in network and
// mount namespaces of its own, so the machine's links, routes and files stay as they are and
// everything ends with the process. Within those, each pod of a test has a network namespace, as
// pods have.
//
//	commands_test.go  every command in every version of CNI, through macvlan
//	                  and bridge, dual stack, with a ping from pod to pod
//	lookup_test.go    the same without annotations from the runtime
//	trace_test.go     the system calls of ADD: not one socket
//	size_test.go      the size of the binary
//	bench_test.go     ADD against host-local's, as whole processes
//	assigned_test.go  the plugin reads what the webhook's type writes
package datapath
