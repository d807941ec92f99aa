// Package supervise keeps a program running: whenever it ends, for whatever reason, it is restarted
// after a pause that doubles while it keeps ending soon.
//
// It is for programs that must be restarted where no kubelet does that, such as the demo's
// controller, which exits on purpose when it may no longer lead. Tests that stop or kill a program
// themselves start it without a supervisor.
//
// cmd/supervise is the process. It is started, recorded and killed like any other; the program is
// its child and never outlives it.
package supervise
