// Package process starts programs, remembers which process each of them is, and ends exactly that
// one.
//
// A Record is an identity that can be kept on disk: a PID alone is not one, since the kernel reuses
// PIDs, so the record also has the time when the process started and the boot. Every signal goes
// through a pidfd that is opened first and then compared with the record, so that a reused PID is
// never hit.
//
// Processes are never found by name.
package process
