package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"spidernet.io/spiderpool/e2e/cluster/pki"
)

// identities is a folder with the keys of a cluster and the kubeconfigs of all users of the API
// server. It has two CAs, as any cluster has: one for Kubernetes and one for etcd, so that a
// Kubernetes certificate is not valid for etcd.
type identities struct{ dir string }

func (i identities) file(name string) string       { return filepath.Join(i.dir, name) }
func (i identities) kubeconfig(user string) string { return i.file(user + ".kubeconfig") }

// issuer issues a cluster's identities; it exists only while a cluster is set up.
type issuer struct {
	identities
	kubernetes, etcd *pki.Authority
}

func newIssuer(dir string) (*issuer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	kubernetes, err := pki.NewAuthority("kubernetes")
	if err != nil {
		return nil, err
	}
	etcd, err := pki.NewAuthority("etcd")
	if err != nil {
		return nil, err
	}
	signer, err := pki.NewSigner()
	if err != nil {
		return nil, err
	}
	for name, pair := range map[string]pki.Pair{"ca": kubernetes.Pair, "etcd-ca": etcd.Pair, "service-accounts": signer} {
		if err := pair.Save(dir, name); err != nil {
			return nil, err
		}
	}
	return &issuer{identities: identities{dir}, kubernetes: kubernetes, etcd: etcd}, nil
}

// issue writes the key and certificate files of one subject.
func (i *issuer) issue(authority *pki.Authority, name string, subject pki.Subject) error {
	pair, err := authority.Issue(subject)
	if err != nil {
		return err
	}
	return pair.Save(i.dir, name)
}

// controlPlane issues the serving certificates of etcd and the API server, and the API server's
// client certificates for etcd and the kubelets.
func (i *issuer) controlPlane(apiServerHosts []string) error {
	loopback := []string{"127.0.0.1", "localhost"}
	for name, s := range map[string]pki.Subject{
		"etcd":                  {Name: "etcd", Hosts: loopback, Client: true}, // a client too: of its own gateway
		"apiserver-etcd-client": {Name: "kube-apiserver-etcd-client", Client: true},
	} {
		if err := i.issue(i.etcd, name, s); err != nil {
			return err
		}
	}
	for name, s := range map[string]pki.Subject{
		"apiserver":                {Name: "kube-apiserver", Hosts: apiServerHosts},
		"apiserver-kubelet-client": {Name: kubeletClient, Client: true},
	} {
		if err := i.issue(i.kubernetes, name, s); err != nil {
			return err
		}
	}
	return nil
}

// client writes the kubeconfig of one user of the API server.
func (i *issuer) client(file, server string, subject pki.Subject) error {
	subject.Client = true
	pair, err := i.kubernetes.Issue(subject)
	if err != nil {
		return err
	}
	return writeKubeconfig(file, server, i.kubernetes.Public, pair)
}

// writeKubeconfig writes a self-contained kubeconfig, keys included.
func writeKubeconfig(file, server string, authority []byte, pair pki.Pair) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Public, ClientKeyData: pair.Key}
	config.Contexts["context"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "user"}
	config.CurrentContext = "context"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	return nil
}

// loadConfig reads a kubeconfig for clients without a rate limit: tests measure the API server, not
// the client's own limit.
func loadConfig(file string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %s: %w", file, err)
	}
	config.QPS = -1
	return config, nil
}

// admin may do everything. The group is bound to cluster-admin by the API server itself.
var admin = pki.Subject{Name: "kubernetes-admin", Groups: []string{"system:masters"}}
