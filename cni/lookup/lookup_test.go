package lookup

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
)

const podPath = "/api/v1/namespaces/shop/pods/web"

// pod is what an API server answers for the pod of these tests.
const pod = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web","namespace":"shop",` +
	`"uid":"u-1","annotations":{"a":"b"},"managedFields":[{"manager":"x"}]}}`

// server starts an API server with one handler, and returns it with a kubeconfig that trusts it.
func server(t *testing.T, handler http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, write(t, s.URL, authorityOf(s), "t0ken\n")
}

func authorityOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// write writes a kubeconfig and its token file.
func write(t *testing.T, url string, authority []byte, token string) string {
	t.Helper()
	folder := t.TempDir()
	tokenFile := filepath.Join(folder, "token")
	text, err := Config{Server: url, CAData: authority, TokenFile: tokenFile}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "kubeconfig")
	for file, content := range map[string][]byte{tokenFile: []byte(token), path: text} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// web is the pod of these tests.
var web = Pod{Namespace: "shop", Name: "web", UID: "u-1"}

// ask looks up web.
func ask(t *testing.T, kubeconfig string) (map[string]string, error) {
	t.Helper()
	client, err := Load(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return client.Annotations(t.Context(), web)
}

// wantError fails unless err is a protocol error with this code, and its message and details
// contain these words.
func wantError(t *testing.T, err error, code uint, message, details string) {
	t.Helper()
	var got *types.Error
	if !errors.As(err, &got) {
		t.Fatalf("not an error of the protocol: %v", err)
	}
	if got.Code != code || !strings.Contains(got.Msg, message) || !strings.Contains(got.Details, details) {
		t.Errorf("got code %d, %q, %q\nwant code %d, %q, %q", got.Code, got.Msg, got.Details, code, message, details)
	}
}

func TestLookupSendsOneGetOfTheMetadataWithTheToken(t *testing.T) {
	t.Parallel()
	type seen struct{ Method, URI, Authorization, Accept string }
	requests := make(chan seen, 10)
	_, path := server(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- seen{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Accept")}
		_, _ = io.WriteString(w, pod)
	})
	annotations, err := ask(t, path)
	if diff := cmp.Diff(map[string]string{"a": "b"}, annotations); diff != "" || err != nil {
		t.Errorf("answer %v (-want +got):\n%s", err, diff)
	}
	want := seen{"GET", podPath, "Bearer t0ken", metadataOnly}
	if diff := cmp.Diff(want, <-requests); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if len(requests) > 0 {
		t.Errorf("%d requests too many", len(requests))
	}
}

func TestLookupAcceptsAWholePodAndAPodWithoutAnnotations(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"u-1"},"spec":{"nodeName":"n"}}`,
		`{"kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"u-1","annotations":null}}`,
	} {
		_, path := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if annotations, err := ask(t, path); len(annotations) > 0 || err != nil {
			t.Errorf("answer to %s: %v, %v", body, annotations, err)
		}
	}
}

func TestLookupReadsTheTokenEachTime(t *testing.T) {
	t.Parallel()
	tokens := make(chan string, 10)
	_, path := server(t, func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization")
		_, _ = io.WriteString(w, pod)
	})
	for _, token := range []string{"first", "second"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "token"), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t, path); err != nil {
			t.Error(err)
		}
		if got := <-tokens; got != "Bearer "+token {
			t.Errorf("sent %q, want token %q", got, token)
		}
	}
}

func TestLookupExplainsAnswersThatAreNotThePod(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	cases := map[string]struct {
		handler          http.HandlerFunc
		wantCode         uint
		message, details string
	}{
		"401":                {status(401, `{"kind":"Status","message":"Unauthorized"}`), 11, "401 Unauthorized: Unauthorized", "the installer renews it"},
		"403":                {status(403, `{"kind":"Status","message":"pods \"web\" is forbidden"}`), 100, `403 Forbidden: pods "web" is forbidden`, "needs the right to get pods"},
		"404":                {status(404, `{"kind":"Status","message":"pods \"web\" not found"}`), 100, `looking up pod shop/web at https://127.0.0.1`, "the pod is gone"},
		"418":                {status(418, `short and stout`), 100, "418 I'm a teapot", "something else than a Kubernetes API server"},
		"429":                {status(429, ``), 11, "429 Too Many Requests", "overloaded"},
		"500":                {status(500, `{"kind":"Status","message":"etcd"}`), 11, "500 Internal Server Error: etcd", "overloaded or starting"},
		"503":                {status(503, `<html>`), 11, "503 Service Unavailable", "overloaded or starting"},
		"a very long reason": {status(500, `{"kind":"Status","message":"`+strings.Repeat("x", 5000)+`"}`), 11, ": " + strings.Repeat("x", 300), ""},
		"a redirect":         {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 100, "302 Found", "something else"},
		"garbage":            {status(200, `<html>hello`), 6, "reading the answer: invalid character '<'", "something else"},
		"half a pod":         {status(200, pod[:60]), 6, "reading the answer: unexpected end of JSON input", "something else"},
		"another object":     {status(200, `{"kind":"Status","metadata":{}}`), 6, `it is about "/"`, "something else"},
		"another pod":        {status(200, strings.Replace(pod, `"web"`, `"www"`, 1)), 6, `it is about "shop/www"`, ""},
		"another UID":        {status(200, strings.Replace(pod, "u-1", "u-2", 1)), 100, "pod shop/web has UID u-2, but the sandbox is for UID u-1", "made again under its name"},
		"an answer too large": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte(" "), maxPod+1))
		}, 6, "more than 4194304 bytes", "something else"},
		"an incomplete answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, pod)
		}, 11, "unexpected EOF", "is the API server reachable"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 11, "EOF", "is the API server reachable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, path := server(t, tc.handler)
			_, err := ask(t, path)
			wantError(t, err, tc.wantCode, tc.message, tc.details)
		})
	}
}

func TestLookupGivesUpOnASlowServer(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	s, path := server(t, func(_ http.ResponseWriter, r *http.Request) {
		select { // until the client has hung up
		case <-r.Context().Done():
		case <-released:
		}
	})
	t.Cleanup(func() { close(released); s.CloseClientConnections() })
	client, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if client.http.Timeout != timeout {
		t.Errorf("gives up after %s, want %s", client.http.Timeout, timeout)
	}
	client.http.Timeout /= 20 // the server never answers, so the test need not wait the full time
	_, err = client.Annotations(t.Context(), web)
	wantError(t, err, 11, "Client.Timeout exceeded", "is the API server reachable from this node")
}

func TestLookupVerifiesTheServer(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	s, _ := server(t, func(http.ResponseWriter, *http.Request) { asked <- "a request" })
	other, err := os.ReadFile("testdata/other-ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{ // what is wrong -> kubeconfig
		"another authority": write(t, s.URL, other, "t"),
		"another name":      write(t, "https://localhost:"+port, authorityOf(s), "t"),
	}
	for name, path := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ask(t, path)
			wantError(t, err, 11, "failed to verify certificate", "certificate authority or server does not fit")
		})
	}
	if len(asked) > 0 {
		t.Error("the token was sent to a server that was not verified")
	}
}

func TestLookupSaysWhichServerCannotBeReached(t *testing.T) {
	t.Parallel()
	s, path := server(t, nil)
	s.Close()
	_, err := ask(t, path)
	wantError(t, err, 11, "looking up pod shop/web at "+s.URL, "is the API server reachable from this node")
	wantError(t, err, 11, "connection refused", "")
}

func TestLoadReadsAllFilesAndMakesNoRequest(t *testing.T) {
	t.Parallel()
	s, path := server(t, func(http.ResponseWriter, *http.Request) { t.Error("asked the server") })
	if _, err := Load(path); err != nil {
		t.Errorf("a fine kubeconfig: %v", err)
	}
	text := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(text, []byte("kind: Config"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := write(t, s.URL, authorityOf(s), "t")
	if err := os.Remove(filepath.Join(filepath.Dir(gone), "token")); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ path, message string }{
		"no kubeconfig":                {filepath.Join(t.TempDir(), "kubeconfig"), "no such file or directory"},
		"not a kubeconfig":             {text, "no JSON as spiderpool-installer writes it"},
		"an authority that is not PEM": {write(t, s.URL, []byte("trust me"), "t"), "no certificate in PEM"},
		"no token":                     {gone, "tokenFile: open"},
		"an empty token":               {write(t, s.URL, authorityOf(s), ""), "holds no token"},
		"a token of two lines":         {write(t, s.URL, authorityOf(s), "a\nb"), "holds no token"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(tc.path)
			wantError(t, err, 7, "kubeconfig "+tc.path+": ", "is it running on this node")
			wantError(t, err, 7, tc.message, "")
		})
	}
}

func TestLookupWantsThePodNamed(t *testing.T) {
	t.Parallel()
	_, path := server(t, func(http.ResponseWriter, *http.Request) { t.Error("asked the server") })
	client, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]Pod{
		"nothing":                    {},
		"a name without a namespace": {Name: "a"},
		"a name that is a path":      {Namespace: "a", Name: "../secrets/b"},
		"a name of dots":             {Namespace: "a", Name: ".."},
		"a namespace with a query":   {Namespace: "a?b", Name: "c"},
		"a namespace in capitals":    {Namespace: "A", Name: "c"},
	}
	for name, pod := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.Annotations(t.Context(), pod)
			wantError(t, err, 4, fmt.Sprintf("K8S_POD_NAMESPACE %q and K8S_POD_NAME %q do not name a pod", pod.Namespace, pod.Name),
				"the runtime passes no pod annotations")
		})
	}
}

// roundTrip is a server without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzArgs proves that an accepted name stays one element of the path.
func FuzzArgs(f *testing.F) {
	f.Add("a", "b")
	f.Add("a", "..")
	f.Add("a/b", "c?d#e%2f")
	f.Fuzz(func(t *testing.T, namespace, name string) {
		client := &Client{server: "https://h/", http: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if want := "https://h/api/v1/namespaces/" + namespace + "/pods/" + name; r.URL.String() != want {
				t.Errorf("URL %q, want %q", r.URL, want)
			}
			elements := strings.Split(r.URL.Path, "/")
			if path.Clean(r.URL.Path) != r.URL.Path || len(elements) != 7 || r.URL.RawQuery != "" || r.URL.Fragment != "" {
				t.Errorf("path %q", r.URL.Path)
			}
			return nil, io.EOF
		})}}
		if annotations, err := client.Annotations(t.Context(), Pod{Namespace: namespace, Name: name}); err == nil {
			t.Errorf("got %v from no server", annotations)
		}
	})
}
