// Package supervise keeps a program running: whenever it ends, however it ends, it is started
// again, after a pause that doubles while it keeps ending soon.
//
// It is for what has to outlive its own exit where no kubelet does that, as the demo's controller,
// which ends on purpose when it may no longer lead. Tests that stop or kill a program themselves
// start it without a supervisor.
//
// cmd/supervise is the process. It is started, recorded and killed like any other; the program is
// its child and never outlives it.
package supervise
