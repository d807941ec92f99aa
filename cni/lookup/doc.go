// Package lookup reads a pod's annotations from the API server, for runtimes that pass none to the
// plugin, and knows the kubeconfig for it, which the installer writes.
//
//   - One GET of the pod's metadata over net/http, no retry: kubelet calls the plugin again. Four
//     seconds for all of it.
//   - TLS is always verified; no proxy, no redirect, no cookie, no HTTP/2.
//   - Certificate authority and token are read anew each time.
//   - A pod whose UID is not the one the runtime named is refused: its address belongs to another
//     pod of the same name.
//
// Every other outcome is an error of the CNI specification that says what to look at. What may end by
// itself asks to be tried again later; what somebody has to mend does not.
package lookup
