// Package machine runs something like a computer: a process that is the first of its own process,
// mount, network and host name namespaces.
//
// Programs are started inside it as from a terminal on that computer. Whatever they do there
// (mounts, interfaces, processes that outlive their parents) ends with the machine: the kernel
// kills all its processes when the first one is killed, and removes the mounts and interfaces with
// the last of them. So nothing has to be cleaned up one by one, and killing a machine is like
// pulling its plug.
//
// The first process is the program cmd/machine. It writes its own record before it does anything
// else, so there is no running machine without a record on disk, and it exits if the process that
// starts it dies half way.
//
// To look around in one: nsenter --all --target <pid>.
package machine
