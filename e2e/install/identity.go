package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenLife is how long tokens are valid; a cluster that stays up longer needs a new `make
// cluster-up`.
const tokenLife = 30 * 24 * time.Hour

// Identity is a folder with what a pod gets of its service account: ca.crt and token; and a
// kubeconfig made of them.
type Identity struct {
	Dir        string
	Kubeconfig string
}

// NewIdentity requests a token of one of the product's service accounts. server is the API server
// as the token's user reaches it; empty means the one of cfg.
func NewIdentity(ctx context.Context, cfg *rest.Config, serviceAccount, server, dir string) (Identity, error) {
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return Identity{}, err
	}
	seconds := int64(tokenLife / time.Second)
	token, err := clients.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, serviceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return Identity{}, fmt.Errorf("asking for a token of service account %q: %w", serviceAccount, err)
	}
	if server == "" {
		server = cfg.Host
	}
	authority, err := AuthorityOf(cfg)
	if err != nil {
		return Identity{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Identity{}, err
	}
	for name, content := range map[string][]byte{"ca.crt": authority, "token": []byte(token.Status.Token)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return Identity{}, err
		}
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos[serviceAccount] = &clientcmdapi.AuthInfo{TokenFile: filepath.Join(dir, "token")}
	config.Contexts["context"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: serviceAccount, Namespace: Namespace}
	config.CurrentContext = "context"
	file := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return Identity{}, fmt.Errorf("writing the kubeconfig of %q: %w", serviceAccount, err)
	}
	return Identity{Dir: dir, Kubeconfig: file}, nil
}

// AuthorityOf returns the CA, in PEM, of an API server.
func AuthorityOf(cfg *rest.Config) ([]byte, error) {
	if len(cfg.CAData) > 0 {
		return cfg.CAData, nil
	}
	authority, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's CA: %w", err)
	}
	return authority, nil
}
