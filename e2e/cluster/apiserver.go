package cluster

import (
	"slices"
	"strconv"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// requestTimeout limits every request and so every admission. The product's grace for reservations
// that no pod came for must be longer, and tests wait for it: hence ten seconds instead of the
// usual minute.
const requestTimeout = "--request-timeout=10s"

// apiServer returns how the API server is started: with the default admission plugins and
// NodeRestriction, Node and RBAC authorizers, as kubeadm has them. Flags of the caller come last,
// so they win.
func (p plane) apiServer() process.Spec {
	keys := p.keys
	args := []string{
		"--etcd-servers=https://" + p.etcdClient.String(),
		"--etcd-cafile=" + keys.file("etcd-ca.crt"),
		"--etcd-certfile=" + keys.file("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + keys.file("apiserver-etcd-client.key"),
		"--bind-address=" + p.apiBind.Addr().String(),
		"--secure-port=" + strconv.Itoa(int(p.apiBind.Port())),
		"--tls-cert-file=" + keys.file("apiserver.crt"),
		"--tls-private-key-file=" + keys.file("apiserver.key"),
		"--client-ca-file=" + keys.file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + keys.file("service-accounts.pub"),
		"--service-account-signing-key-file=" + keys.file("service-accounts.key"),
		"--service-cluster-ip-range=" + serviceRanges,
		"--kubelet-certificate-authority=" + keys.file("ca.crt"),
		"--kubelet-client-certificate=" + keys.file("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + keys.file("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		requestTimeout,
	}
	if p.advertise.IsValid() {
		args = append(args, "--advertise-address="+p.advertise.String())
	} else {
		// Nothing can reach a Service here, and loopback must not be its endpoint.
		args = append(args, "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none")
	}
	return p.spec("kube-apiserver", slices.Concat(args, p.apiServerFlags)...)
}
