// Package process starts programs, remembers which process each of them is,
// and ends exactly that one.
//
// A Record is an identity that can be kept on disk: the id alone is not one,
// since the kernel uses ids again, so the record also holds when the process
// started and in which boot. Every signal goes through a pidfd opened first and
// checked against the record after, so that a recycled id is never hit.
//
// Nothing here is ever found by name.
package process
