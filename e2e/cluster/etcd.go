package cluster

import (
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// etcd returns how etcd is started: with TLS in both directions, for clients and peers.
func (p plane) etcd() process.Spec {
	keys := p.keys
	client, peer := "https://"+p.etcdClient.String(), "https://"+p.etcdPeer.String()
	return p.spec("etcd",
		"--name=etcd",
		"--data-dir="+filepath.Join(p.dir, "etcd"),
		"--listen-client-urls="+client,
		"--advertise-client-urls="+client,
		"--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer,
		"--initial-cluster=etcd="+peer,
		"--cert-file="+keys.file("etcd.crt"),
		"--key-file="+keys.file("etcd.key"),
		"--trusted-ca-file="+keys.file("etcd-ca.crt"),
		"--client-cert-auth",
		"--peer-cert-file="+keys.file("etcd.crt"),
		"--peer-key-file="+keys.file("etcd.key"),
		"--peer-trusted-ca-file="+keys.file("etcd-ca.crt"),
		"--peer-client-cert-auth",
		"--log-level=warn",
	)
}
