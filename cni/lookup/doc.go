// Package lookup reads a pod's annotations from the API server, for runtimes
// that pass none to the plugin. It is the program spiderpool-lookup, which the
// plugin starts: a request on standard input, an answer on standard output.
//
//		{"kubeconfig":"/path","namespace":"n","name":"p","uid":"u"} ──▶ {"annotations":{"key":"value"}}
//		{"kubeconfig":"/path"}                                      ──▶ {} or {"error":{"code":7,"msg":"…"}}
//
//
//	  - One GET of the pod's metadata over net/http, no retry: kubelet calls the
//	    plugin again. Four seconds for all of it.
//	  - TLS is always verified; no proxy, no redirect, no cookie, no HTTP/2.
//	  - Certificate authority and token are read anew each time.
//	  - A pod whose UID is not the one the runtime named is refused: its address
//	    belongs to another pod of the same name.
//
// Every outcome that is not an answer is an error code of package cni with a
// sentence that says what to look at. What may end by itself asks to be tried
// again later; what somebody has to mend does not.
package lookup
