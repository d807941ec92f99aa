// Package cluster runs a real Kubernetes on one Linux computer, from pinned modules and without a
// container engine or a registry.
//
// StartControlPlane starts etcd and an API server on loopback, for tests that need no node: no
// root, ready in three seconds, gone with the test.
//
// Up starts a whole cluster: one machine (see package machine) for the control plane and one for
// each node. The control plane's machine is also the underlay: its bridge has 172.18.0.1 and
// fc00:f853:ccd:e793::1, the gateway; every node's eth0 is plugged into it. The network of the
// computer itself gets only one listening socket on loopback, the door to the API server. So
// several clusters can run side by side, with the same addresses.
//
//	this computer ── 127.0.0.1:<port> ──┐
//	                                    ▼
//	 control plane   etcd · kube-apiserver · kube-controller-manager · kube-scheduler
//	                 bridge "underlay" 172.18.0.1/16
//	                     │ eth0 .2              │ eth0 .3
//	 nodes           spider-worker          spider-worker2
//	                 containerd · kubelet · kube-proxy (nftables)
//	                 pods: macvlan on eth0
//
// <tree>/.cluster (or .cluster-<name>) is for the user: kubeconfig, bin, logs.
// /var/lib/spiderpool-e2e/<name>-<hash> is the cluster's disk: keys, etcd, and under <node>/root
// the root file system of each node. A node's programs are this computer's /usr, read-only; its
// /etc, /var, /run and /opt are its own.
//
// Down needs only those folders: it kills the machines, and the kernel ends everything that ran or
// was mounted in them. Any process may call it at any time, repeatedly.
//
// By topic: controlplane.go, etcd.go, apiserver.go, controllers.go (the control plane),
// identities.go (keys), node.go, nodefiles.go, runtime.go, kubelet.go (nodes), underlay.go,
// cgroup.go, state.go, down.go. What does not live here: the product (package install).
package cluster
