// Package lookup reads a pod's annotations from the API server, for runtimes that pass none to the
// plugin, and knows the form of the kubeconfig for it, which the installer writes.
//
//   - One GET of the pod's metadata over net/http, no retry: kubelet calls the plugin again. The
//     time-out is four seconds in all.
//   - TLS is always verified; no proxy, no redirect, no cookie, no HTTP/2.
//   - Certificate authority and token are read each time.
//   - A pod with another UID than the runtime passed is refused: its address belongs to another pod
//     of the same name.
//
// Every other outcome is an error with a code of the CNI specification that says what to look at.
// What may pass with time has the code for "try again later"; what needs a fix does not.
package lookup
