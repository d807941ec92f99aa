package kubeconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is what the installer writes, byte for byte: plugins of other
// releases read it.
const written = `{
  "apiVersion": "v1",
  "clusters": [
    {
      "cluster": {
        "certificate-authority-data": "UEVN",
        "server": "https://10.96.0.1:443"
      },
      "name": "spiderpool"
    }
  ],
  "contexts": [
    {
      "context": {
        "cluster": "spiderpool",
        "user": "spiderpool"
      },
      "name": "spiderpool"
    }
  ],
  "current-context": "spiderpool",
  "kind": "Config",
  "users": [
    {
      "name": "spiderpool",
      "user": {
        "tokenFile": "/etc/token"
      }
    }
  ]
}
`

func TestMarshalAndParseAgree(t *testing.T) {
	t.Parallel()
	config := Config{Server: "https://10.96.0.1:443", CAData: []byte("PEM"), TokenFile: "/etc/token"}
	text, err := config.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written, string(text)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	read, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config, read); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
}

func TestParseTakesAFileOfAuthorities(t *testing.T) {
	t.Parallel()
	text := strings.Replace(written, `"certificate-authority-data": "UEVN"`, `"certificate-authority": "/etc/ca"`, 1)
	text = strings.Replace(text, "10.96.0.1:443", "[fd00::1]:6443", 1)
	got, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Server: "https://[fd00::1]:6443", CAData: []byte{}, CAFile: "/etc/ca", TokenFile: "/etc/token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// TestParseRefuses changes one place of a good kubeconfig at a time.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const authority = `"certificate-authority-data": "UEVN"`
	const tokenFile = `"tokenFile": "/etc/token"`
	cases := map[string]struct{ old, new, wantErr string }{
		"YAML":                      {written, "apiVersion: v1\nkind: Config\n", "not JSON: only the kubeconfig that spiderpool-installer writes can be used, and it is JSON"},
		"nothing":                   {written, "", "not JSON: only the kubeconfig that spiderpool-installer writes can be used, and it is JSON"},
		"another kind":              {`"Config"`, `"Pod"`, `kind: want "Config", found "Pod"`},
		"another version":           {`"v1"`, `"v2"`, `apiVersion: want "v1", found "v2"`},
		"preferences":               {`"kind"`, `"preferences": {}, "kind"`, `unknown key "preferences"`},
		"a credential plugin":       {tokenFile, `"exec": {}`, `users[0].user: unknown key "exec"`},
		"a client certificate":      {tokenFile, `"client-certificate": "/c"`, `users[0].user: unknown key "client-certificate"`},
		"a password":                {tokenFile, `"password": "x"`, `users[0].user: unknown key "password"`},
		"an inline token":           {tokenFile, `"token": "x"`, `users[0].user: unknown key "token"`},
		"no token":                  {tokenFile, ``, `tokenFile: "" is not an absolute path`},
		"a relative token":          {`/etc/token`, `token`, `tokenFile: "token" is not an absolute path`},
		"no verification":           {authority, `"insecure-skip-tls-verify": true`, `clusters[0].cluster: unknown key "insecure-skip-tls-verify"`},
		"a proxy":                   {authority, authority + `, "proxy-url": "http://p"`, `clusters[0].cluster: unknown key "proxy-url"`},
		"no authority":              {authority + `,`, ``, `want one of certificate-authority and certificate-authority-data: the API server is always verified`},
		"two authorities":           {authority, authority + `, "certificate-authority": "/c"`, `want one of certificate-authority and certificate-authority-data: the API server is always verified`},
		"a relative authority":      {authority, `"certificate-authority": "ca"`, `certificate-authority: "ca" is not an absolute path`},
		"an authority not encoded":  {`UEVN`, `?`, `clusters[0].cluster: certificate-authority-data: illegal base64 data at input byte 0`},
		"a server without TLS":      {`https://10`, `http://10`, `server: "http://10.96.0.1:443" is not https://host:port`},
		"a server without host":     {`10.96.0.1:443`, ``, `server: "https://" is not https://host:port`},
		"a server with a path":      {`:443`, `:443/x`, `server: "https://10.96.0.1:443/x" has more than host and port`},
		"a server with a query":     {`:443`, `:443?x`, `server: "https://10.96.0.1:443?x" has more than host and port`},
		"a server with a user":      {`//10`, `//me@10`, `server: "https://me@10.96.0.1:443" has more than host and port`},
		"a server with a wild port": {`:443`, `:70000`, `server: "https://10.96.0.1:70000": no such port`},
		"a server that is no URL":   {`10.96.0.1:443`, `[::1`, `server: parse "https://[::1": missing ']' in host`},
		"no clusters":               {`"clusters"`, `"users"`, `key "users" is there twice`},
		"a user without a name":     {`"name": "spiderpool",`, ``, `users[0]: key "name" is missing`},
		"a context of another user": {`"user": "spiderpool"`, `"user": "me"`, `contexts[0].context: user: want "spiderpool", found "me"`},
		"a context elsewhere":       {`"cluster": "spiderpool"`, `"cluster": "my"`, `contexts[0].context: cluster: want "spiderpool", found "my"`},
		"a namespace":               {`"user": "spiderpool"`, `"user": "spiderpool", "namespace": "x"`, `contexts[0].context: unknown key "namespace"`},
		"another current context":   {`"current-context": "spiderpool"`, `"current-context": "x"`, `current-context: want "spiderpool", found "x"`},
		"several contexts":          {`"contexts": [`, `"contexts": [{},`, `contexts: want one, found 2`},
		"clusters of another kind":  {`"clusters": [`, `"clusters": 1, "x": [`, `unknown key "x"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(written, tc.old) {
				t.Fatalf("nothing to change: %s", tc.old)
			}
			_, err := Parse([]byte(strings.Replace(written, tc.old, tc.new, 1)))
			if err == nil || err.Error() != tc.wantErr {
				t.Errorf("got %v\nwant %s", err, tc.wantErr)
			}
		})
	}
}

func TestMarshalRefusesWhatParseWould(t *testing.T) {
	t.Parallel()
	_, err := Config{Server: "https://h", TokenFile: "/t"}.Marshal()
	if err == nil || !strings.HasPrefix(err.Error(), "want one of certificate-authority") {
		t.Errorf("got %v", err)
	}
}

// FuzzKubeconfig proves that what was taken is one of the two authorities, an
// HTTPS server and a token file, and reads the same when written again.
func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte(strings.Replace(written, `"certificate-authority-data": "UEVN"`, `"certificate-authority": "/etc/ca"`, 1)))
	f.Add([]byte("apiVersion: v1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := Parse(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(config.Server, "https://") || !strings.HasPrefix(config.TokenFile, "/") {
			t.Errorf("took %+v", config)
		}
		again, err := config.Marshal()
		if err != nil {
			t.Fatalf("taken, but not written: %v", err)
		}
		read, err := Parse(again)
		if err != nil {
			t.Fatalf("written, but not taken: %v", err)
		}
		if diff := cmp.Diff(config, read); diff != "" {
			t.Errorf("written again (-first +second):\n%s", diff)
		}
	})
}
