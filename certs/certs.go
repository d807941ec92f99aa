package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Keys of the Secret.
const (
	keyCA   = "ca.crt"
	keyCert = corev1.TLSCertKey
	keyKey  = corev1.TLSPrivateKeyKey
)

const (
	// lifetime of a certificate; see the package comment.
	lifetime = 10 * 365 * 24 * time.Hour
	// renewBefore its end a certificate is replaced: longer than any process is likely to run
	// between two upgrades.
	renewBefore = 30 * 24 * time.Hour
	// skew is how far the clock of the API server may be behind ours.
	skew = time.Hour
	// attempts limits how often replicas that start together can lose the race for the Secret.
	attempts = 10
)

// Client is what Ensure needs of a client.Client. It MUST NOT read from a cache: a replica that
// loses a race reads at once what the winner wrote.
type Client interface {
	Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error
	Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error
	Update(ctx context.Context, object client.Object, opts ...client.UpdateOption) error
}

var _ Client = client.Client(nil)

// Options says what the certificate is for.
type Options struct {
	// Namespace and SecretName of the Secret that keeps it.
	Namespace, SecretName string
	// DNSNames and IPAddresses that the API server reaches the webhooks by; at least one.
	DNSNames    []string
	IPAddresses []net.IP
	// Clock returns the time; nil means time.Now.
	Clock func() time.Time
}

// Bundle is a certificate and the CAs that vouch for it, all in PEM.
type Bundle struct {
	// CA are the certificates to trust: the one that signed Certificate and, until it expires, the
	// one that signed its predecessor.
	CA []byte
	// Certificate and Key are served.
	Certificate, Key []byte
}

// Serving returns the certificate for a TLS server.
func (b Bundle) Serving() (tls.Certificate, error) {
	c, err := tls.X509KeyPair(b.Certificate, b.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading serving certificate: %w", err)
	}
	return c, nil
}

// Ensure returns the certificate of the Secret. It issues one first where it is missing, expires
// soon, or is for other names.
func Ensure(ctx context.Context, c Client, o Options) (Bundle, error) {
	if len(o.DNSNames)+len(o.IPAddresses) == 0 {
		return Bundle{}, errors.New("making a serving certificate: no name to make it for")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	for range attempts {
		b, won, err := o.try(ctx, c)
		if err != nil {
			return Bundle{}, fmt.Errorf("ensuring secret %s/%s: %w", o.Namespace, o.SecretName, err)
		}
		if won {
			return b, nil
		}
	}
	return Bundle{}, fmt.Errorf("ensuring secret %s/%s: changed by somebody else %d times in a row; do all replicas want the same names?",
		o.Namespace, o.SecretName, attempts)
}

// try reads the Secret and writes it where needed. It returns false where another replica wrote at
// the same time.
func (o Options) try(ctx context.Context, c Client) (Bundle, bool, error) {
	secret := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.SecretName}, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return Bundle{}, false, err
	}
	b := Bundle{CA: secret.Data[keyCA], Certificate: secret.Data[keyCert], Key: secret.Data[keyKey]}
	if !missing {
		reason := o.unfit(b)
		if reason == nil {
			return b, true, nil
		}
		log.FromContext(ctx).Info("making a new serving certificate", "secret", o.SecretName, "reason", reason.Error())
	}
	if b, err = o.issue(b.CA); err != nil {
		return Bundle{}, false, err
	}
	secret.Data = map[string][]byte{keyCA: b.CA, keyCert: b.Certificate, keyKey: b.Key}
	if missing {
		secret.ObjectMeta = metav1.ObjectMeta{Namespace: o.Namespace, Name: o.SecretName}
		secret.Type = corev1.SecretTypeTLS
		err = c.Create(ctx, secret)
	} else {
		err = c.Update(ctx, secret) // has the resourceVersion that was read
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return Bundle{}, false, nil
	}
	return b, err == nil, err
}

// unfit says why the certificate cannot be used.
func (o Options) unfit(b Bundle) error {
	serving, err := b.Serving()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b.CA) {
		return fmt.Errorf("%s has no certificate", keyCA)
	}
	for _, name := range o.names() {
		_, err := serving.Leaf.Verify(x509.VerifyOptions{
			DNSName:     name,
			Roots:       roots,
			CurrentTime: o.Clock().Add(renewBefore),
			KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns all names in the form that x509 verifies.
func (o Options) names() []string {
	names := append([]string(nil), o.DNSNames...)
	for _, ip := range o.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
