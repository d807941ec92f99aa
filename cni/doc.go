// Package cni is the CNI plugin spiderpool: an IPAM plugin that macvlan, bridge, SR-IOV and others
// delegate to. It reads the address that the admission webhook has reserved and passes it on; it
// allocates nothing, keeps no state, and speaks CNI 0.3.1, 0.4.0, 1.0.0 and 1.1.0.
//
//		ADD     runtimeConfig on stdin ──▶ annotation of the NIC ──▶ result on stdout
//		CHECK   prevResult still has the annotation's addresses
//		STATUS  the configuration is valid and the kubeconfig, if one is set, usable
//		DEL GC  nothing to do, so nothing that can fail
//
//	  - ADD makes no network call where the runtime passes the pod's annotations: the main plugin's
//	    entry declares the capability io.kubernetes.cri.pod-annotations, and containerd (1.5 and
//	    later) and CRI-O (1.29 and later) put them into runtimeConfig.
//	  - Where they are not passed (meta plugins such as Multus) and the ipam section names a
//	    kubeconfig, one GET of the pod replaces them (package lookup).
//	  - DEL always succeeds: a sandbox that cannot be torn down blocks its pod indefinitely, and the
//	    controller does not rely on DEL to release addresses.
//	  - The annotation and the ipam section are read strictly: unknown, duplicate and missing keys
//	    are errors that name them. So a release that adds a key to the annotation installs this
//	    plugin first. Keys that only upstream's plugin has are accepted and logged.
//	  - Stdout belongs to the protocol. There is no log unless log_file_path is set, and an error in
//	    writing it fails no command.
//	  - Each ADD starts a process, and most of its time is its start, so what is linked counts: the
//	    CNI library and net/http are, Kubernetes is not.
//
// It refuses an annotation for another NIC, an address of the wrong family, and a gateway or next
// hop that the address cannot reach. The vlan of a pool is only logged: a CNI result has no field
// for it, and no VLAN device is created.
package cni
