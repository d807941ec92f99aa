package lookup

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni"
	"spidernet.io/spiderpool/cni/kubeconfig"
)

const podPath = "/api/v1/namespaces/shop/pods/web"

// pod is what an API server answers for the pod of these tests.
const pod = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web","namespace":"shop",` +
	`"uid":"u-1","annotations":{"a":"b"},"managedFields":[{"manager":"x"}]}}`

// server starts an API server of one handler, and returns it with a kubeconfig
// that trusts it.
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

// write makes a kubeconfig and its token file.
func write(t *testing.T, url string, authority []byte, token string) string {
	t.Helper()
	folder := t.TempDir()
	tokenFile := filepath.Join(folder, "token")
	text, err := kubeconfig.Config{Server: url, CAData: authority, TokenFile: tokenFile}.Marshal()
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

// webRequest asks for the pod of these tests.
func webRequest(kubeconfig, uid string) Request {
	return Request{Kubeconfig: kubeconfig, Pod: cni.PodRef{Namespace: "shop", Name: "web", UID: uid}}
}

// ask serves one request.
func ask(t *testing.T, request Request) Answer {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"kubeconfig": request.Kubeconfig, "namespace": request.Pod.Namespace, "name": request.Pod.Name, "uid": request.Pod.UID,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Serve(t.Context(), bytes.NewReader(text), &out); err != nil {
		t.Fatal(err)
	}
	var answer Answer
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	return answer
}

// wantError fails unless answer is an error of this code whose message and
// details hold these words.
func wantError(t *testing.T, answer Answer, code uint, message, details string) {
	t.Helper()
	if answer.Error == nil {
		t.Fatalf("got annotations %v, want an error", answer.Annotations)
	}
	got := answer.Error
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
	answer := ask(t, webRequest(path, "u-1"))
	if diff := cmp.Diff(Answer{Annotations: map[string]string{"a": "b"}}, answer); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	want := seen{"GET", podPath, "Bearer t0ken", metadataOnly}
	if diff := cmp.Diff(want, <-requests); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if len(requests) > 0 {
		t.Errorf("%d requests too many", len(requests))
	}
}

func TestLookupTakesAWholePodAndAPodWithoutAnnotations(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"u-1"},"spec":{"nodeName":"n"}}`,
		`{"kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"u-1","annotations":null}}`,
	} {
		_, path := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		answer := ask(t, webRequest(path, ""))
		if diff := cmp.Diff(Answer{}, answer); diff != "" {
			t.Errorf("answer to %s (-want +got):\n%s", body, diff)
		}
	}
}

func TestLookupReadsTheTokenAnewEachTime(t *testing.T) {
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
		ask(t, webRequest(path, ""))
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
		"a very long reason": {status(500, `{"kind":"Status","message":"`+strings.Repeat("x", 5000)+`"}`), 11, strings.Repeat("x", maxReason) + "…", ""},
		"a redirect":         {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 100, "302 Found", "something else"},
		"garbage":            {status(200, `<html>hello`), 6, "reading the answer: invalid character '<'", "something else"},
		"half a pod":         {status(200, pod[:60]), 6, "reading the answer: unexpected end of JSON input", "something else"},
		"another object":     {status(200, `{"kind":"Status","metadata":{}}`), 6, `it is about Status "/"`, "something else"},
		"another pod":        {status(200, strings.Replace(pod, `"web"`, `"www"`, 1)), 6, `it is about PartialObjectMetadata "shop/www"`, ""},
		"another UID":        {status(200, strings.Replace(pod, "u-1", "u-2", 1)), 100, "pod shop/web has UID u-2, but the sandbox is for UID u-1", "made again under its name"},
		"an answer too large": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte(" "), maxPod+1))
		}, 6, "more than 4194304 bytes", "something else"},
		"an answer cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, pod)
		}, 11, "unexpected EOF", "is the API server reachable"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 11, "EOF", "is the API server reachable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, path := server(t, tc.handler)
			answer := ask(t, webRequest(path, "u-1"))
			wantError(t, answer, tc.wantCode, tc.message, tc.details)
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
	client.http.Timeout /= 20 // the server never answers, so the test need not wait as long
	_, err = client.Annotations(t.Context(), cni.PodRef{Namespace: "shop", Name: "web"})
	var told *types.Error
	if !errors.As(err, &told) {
		t.Fatalf("not an error of the protocol: %v", err)
	}
	wantError(t, Answer{Error: told}, 11, "Client.Timeout exceeded", "is the API server reachable from this node")
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
			answer := ask(t, webRequest(path, ""))
			wantError(t, answer, 11, "failed to verify certificate", "certificate authority or server does not fit")
		})
	}
	if len(asked) > 0 {
		t.Error("the token was sent to a server that was not verified")
	}
}

func TestLookupSaysWhoCannotBeReached(t *testing.T) {
	t.Parallel()
	s, path := server(t, nil)
	s.Close()
	answer := ask(t, webRequest(path, ""))
	wantError(t, answer, 11, "looking up pod shop/web at "+s.URL, "is the API server reachable from this node")
	wantError(t, answer, 11, "connection refused", "")
}

func TestCheckReadsAllFilesAndAsksNobody(t *testing.T) {
	t.Parallel()
	s, path := server(t, func(http.ResponseWriter, *http.Request) { t.Error("asked the server") })
	if diff := cmp.Diff(Answer{}, ask(t, Request{Kubeconfig: path})); diff != "" {
		t.Errorf("a fine kubeconfig (-want +got):\n%s", diff)
	}
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	noToken := write(t, s.URL, authorityOf(s), "")
	gone := write(t, s.URL, authorityOf(s), "t")
	if err := os.Remove(filepath.Join(filepath.Dir(gone), "token")); err != nil {
		t.Fatal(err)
	}
	authorityGone := writeText(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q,`+
		`"certificate-authority":"/no/such/file"}}],"users":[{"name":"u","user":{"tokenFile":"/t"}}],`+
		`"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`, s.URL))
	cases := map[string]struct{ path, message string }{
		"no kubeconfig":          {missing, "no such file or directory"},
		"not a kubeconfig":       {writeText(t, "kind: Config"), "not JSON"},
		"a huge kubeconfig":      {writeText(t, strings.Repeat(" ", maxFile+1)), "larger than"},
		"an authority of words":  {write(t, s.URL, []byte("trust me"), "t"), "no certificate in PEM"},
		"an authority not there": {authorityGone, "certificate-authority: open /no/such/file"},
		"no token":               {gone, "tokenFile: open"},
		"an empty token":         {noToken, "holds no token"},
		"a token of two lines":   {write(t, s.URL, authorityOf(s), "a\nb"), "holds no token"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := ask(t, Request{Kubeconfig: tc.path})
			wantError(t, answer, 7, "kubeconfig "+tc.path+": ", "is it running on this node")
			wantError(t, answer, 7, tc.message, "")
		})
	}
}

func writeText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServeRefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in   io.Reader
		want string
	}{
		"nothing":        {strings.NewReader(""), "decoding request: the text ends before the object does"},
		"an unknown key": {strings.NewReader(`{"verb":"delete"}`), `decoding request: unknown key "verb"`},
		"a number":       {strings.NewReader(`{"name":1}`), `decoding request: key "name": want a string, found 1`},
		"a broken pipe":  {iotest.ErrReader(io.ErrClosedPipe), "reading request: io: read/write on closed pipe"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Serve(t.Context(), tc.in, io.Discard)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
