// Package machine makes what passes for a computer: a process that is the
// first of its own process, mount, network and host name namespaces.
//
// Programs are started inside it as a terminal on that computer would. Whatever
// they do there, mounts, interfaces, processes that outlive their parents, ends
// with the machine: the kernel kills all its processes when the first one is
// killed, and takes back the mounts and interfaces with the last of them. That
// is why nothing has to be tidied up one by one, and why killing a machine is
// what pulling its plug is.
//
// The first process is the program cmd/machine. It writes its own record before
// it does anything else, so a machine is never running without being known on
// disk, and it ends by itself if who started it dies half-way.
//
// To look around in one as a person: nsenter --all --target <pid>.
package machine
