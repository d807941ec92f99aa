package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// wanted returns the options of the tests, at a time after the start.
func wanted(after time.Duration) Options {
	return Options{
		Namespace: "spiderpool", SecretName: "cert", Clock: func() time.Time { return start.Add(after) },
		DNSNames: []string{"spiderpool.spiderpool.svc"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("::1")},
	}
}

func ensure(t *testing.T, c Client, o Options) Bundle {
	t.Helper()
	b, err := Ensure(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shake makes a TLS connection of a client that trusts ca to a server that serves b.
func shake(t *testing.T, ca []byte, b Bundle, name string, after time.Duration) error {
	t.Helper()
	serving, err := b.Serving()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no CA in the bundle")
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{serving}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.(*tls.Conn).Handshake() // the client's view counts
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{
		RootCAs: roots, ServerName: name, Time: func() time.Time { return start.Add(after) },
	})
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestTheCertificateServesItsNames(t *testing.T) {
	t.Parallel()
	b := ensure(t, newAPI(), wanted(0))
	for _, name := range []string{"spiderpool.spiderpool.svc", "127.0.0.1", "::1"} {
		for _, after := range []time.Duration{-skew, 0, lifetime} {
			if err := shake(t, b.CA, b, name, after); err != nil {
				t.Errorf("%s after %s: %v", name, after, err)
			}
		}
	}
	if err := shake(t, b.CA, b, "other.svc", 0); err == nil {
		t.Error("serves a name that was not in the options")
	}
	if err := shake(t, ensure(t, newAPI(), wanted(0)).CA, b, "127.0.0.1", 0); err == nil {
		t.Error("another CA believes it")
	}
}

func TestTheKeyOfTheCAIsNotKept(t *testing.T) {
	t.Parallel()
	c := newAPI()
	b := ensure(t, c, wanted(0))
	var secret corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "spiderpool", Name: "cert"}, &secret); err != nil {
		t.Fatal(err)
	}
	if secret.Type != corev1.SecretTypeTLS {
		t.Errorf("type %s", secret.Type)
	}
	keys := 0
	for _, data := range secret.Data {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if strings.Contains(block.Type, "KEY") {
				keys++
			}
		}
	}
	if keys != 1 {
		t.Errorf("%d keys in the Secret", keys)
	}
	if _, err := tls.X509KeyPair(b.CA, secret.Data[corev1.TLSPrivateKeyKey]); err == nil {
		t.Error("the key in the Secret is the CA's")
	}
}

func TestAGoodCertificateIsUsedAgain(t *testing.T) {
	t.Parallel()
	c := newAPI()
	first := ensure(t, c, wanted(0))
	fewer := wanted(lifetime - renewBefore - time.Minute)
	fewer.DNSNames = nil // the certificate has more names than needed
	if diff := cmp.Diff(first, ensure(t, c, fewer)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"create"}, c.writes); diff != "" {
		t.Error(diff)
	}
}

func TestANewCertificateIsIssued(t *testing.T) {
	t.Parallel()
	secret := func(change func(*corev1.Secret)) func(*testing.T, *api) {
		return func(t *testing.T, c *api) {
			var s corev1.Secret
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: "spiderpool", Name: "cert"}, &s); err != nil {
				t.Fatal(err)
			}
			change(&s)
			c.put(&s)
		}
	}
	tests := map[string]struct {
		meanwhile func(*testing.T, *api)
		want      Options
		wantOld   bool // the previous certificate is still trusted
	}{
		"near the end of the first": {want: wanted(lifetime - renewBefore + time.Minute), wantOld: true},
		"after the end":             {want: wanted(lifetime + time.Minute)},
		"for a name that it lacks": {
			want: Options{Namespace: "spiderpool", SecretName: "cert", DNSNames: []string{"new.svc"}, Clock: wanted(0).Clock}, wantOld: true,
		},
		"for an address that it lacks": {
			want: Options{Namespace: "spiderpool", SecretName: "cert", IPAddresses: []net.IP{net.ParseIP("10.0.0.9")}, Clock: wanted(0).Clock}, wantOld: true,
		},
		"from an empty Secret":               {meanwhile: secret(func(s *corev1.Secret) { s.Data = nil }), want: wanted(0)},
		"without the key":                    {meanwhile: secret(func(s *corev1.Secret) { delete(s.Data, keyKey) }), want: wanted(0), wantOld: true},
		"without the CA":                     {meanwhile: secret(func(s *corev1.Secret) { s.Data[keyCA] = []byte("x") }), want: wanted(0)},
		"with the CA of another certificate": {meanwhile: secret(func(s *corev1.Secret) { s.Data[keyCA] = ensure(t, newAPI(), wanted(0)).CA }), want: wanted(0)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newAPI()
			c.put(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "spiderpool", Name: "cert", Labels: map[string]string{"mine": "stays"}}})
			first := ensure(t, c, wanted(0))
			if test.meanwhile != nil {
				test.meanwhile(t, c)
			}
			second := ensure(t, c, test.want)
			if bytes.Equal(first.Certificate, second.Certificate) {
				t.Fatal("the same certificate")
			}
			after := test.want.Clock().Sub(start)
			for _, name := range test.want.names() {
				if err := shake(t, second.CA, second, name, after); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := shake(t, second.CA, first, "127.0.0.1", after); (err == nil) != test.wantOld {
				t.Errorf("the certificate before: %v", err)
			}
			if diff := cmp.Diff(second, ensure(t, c, test.want)); diff != "" {
				t.Errorf("not used again: %s", diff)
			}
			var s corev1.Secret
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: "spiderpool", Name: "cert"}, &s); err != nil || s.Labels["mine"] != "stays" {
				t.Errorf("labels of the Secret: %v, %v", s.Labels, err)
			}
		})
	}
}

func TestTheBundleDoesNotGrow(t *testing.T) {
	t.Parallel()
	c := newAPI()
	for _, name := range []string{"a.svc", "b.svc", "c.svc", "d.svc"} {
		o := wanted(0)
		o.DNSNames = []string{name}
		if n := bytes.Count(ensure(t, c, o).CA, []byte("BEGIN")); n > 2 {
			t.Fatalf("%d certificates", n)
		}
	}
}

func TestReplicasThatStartTogetherServeOneCertificate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*api{"from nothing": newAPI(), "from an old one": func() *api {
		c := newAPI()
		ensure(t, c, wanted(0))
		return c
	}()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// All replicas have read before the first one writes.
			const replicas = 6
			var all sync.WaitGroup
			all.Add(replicas)
			var once [replicas]sync.Once
			bundles := make([]Bundle, replicas)
			errs := make([]error, replicas)
			var wg sync.WaitGroup
			for i := range replicas {
				wg.Go(func() {
					bundles[i], errs[i] = Ensure(t.Context(), readThenWait{c, func() {
						once[i].Do(func() { all.Done(); all.Wait() })
					}}, wanted(lifetime))
				})
			}
			wg.Wait()
			for i := range replicas {
				if errs[i] != nil {
					t.Fatal(errs[i])
				}
				if diff := cmp.Diff(bundles[0], bundles[i]); diff != "" {
					t.Errorf("replica %d: %s", i, diff)
				}
			}
		})
	}
}

// readThenWait calls a function after each read.
type readThenWait struct {
	*api
	wait func()
}

func (r readThenWait) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	err := r.api.Get(ctx, key, object, opts...)
	r.wait()
	return err
}

func TestEnsureFails(t *testing.T) {
	t.Parallel()
	t.Run("without a name", func(t *testing.T) {
		t.Parallel()
		if _, err := Ensure(t.Context(), newAPI(), Options{}); err == nil || !strings.Contains(err.Error(), "no name") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("when the API server does", func(t *testing.T) {
		t.Parallel()
		c := newAPI()
		c.err = errors.New("no")
		if _, err := Ensure(t.Context(), c, wanted(0)); !errors.Is(err, c.err) || !strings.HasPrefix(err.Error(), "ensuring secret spiderpool/cert: ") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("when other names are wanted again and again", func(t *testing.T) {
		t.Parallel()
		c := newAPI()
		rounds := 0
		c.before = func(string) {
			rounds++
			c.put(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "spiderpool", Name: "cert"}})
		}
		if _, err := Ensure(t.Context(), c, wanted(0)); err == nil || !strings.Contains(err.Error(), "do all replicas want the same names?") {
			t.Errorf("error %v", err)
		}
		if rounds != attempts {
			t.Errorf("%d attempts", rounds)
		}
	})
}
