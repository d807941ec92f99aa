package lookup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is what the installer writes, byte for byte: plugins of other releases read it.
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
	read, err := ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config, read); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
}

func TestParseAcceptsAnyFormattingAndIPv6(t *testing.T) {
	t.Parallel()
	text := strings.Join(strings.Fields(strings.Replace(written, "10.96.0.1:443", "[fd00::1]:6443", 1)), " ")
	got, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Server: "https://[fd00::1]:6443", CAData: []byte("PEM"), TokenFile: "/etc/token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// TestParseRefuses changes one place of a good kubeconfig at a time.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const authority = `"certificate-authority-data": "UEVN"`
	const tokenFile = `"tokenFile": "/etc/token"`
	const differs = "it says more, or less, than what spiderpool-installer writes, and nothing else can be used"
	cases := map[string]struct{ old, new, wantErr string }{
		"YAML":                          {written, "apiVersion: v1\nkind: Config\n", "it is no JSON as spiderpool-installer writes it: invalid character 'a' looking for beginning of value"},
		"nothing":                       {written, "", "it is no JSON as spiderpool-installer writes it: unexpected end of JSON input"},
		"trailing text":                 {written, written + "{}", "it is no JSON as spiderpool-installer writes it: invalid character '{' after top-level value"},
		"another kind":                  {`"Config"`, `"Pod"`, differs},
		"another version":               {`"v1"`, `"v2"`, differs},
		"preferences":                   {`"kind"`, `"preferences": {}, "kind"`, differs},
		"a credential plugin":           {tokenFile, tokenFile + `, "exec": {}`, differs},
		"a client certificate":          {tokenFile, tokenFile + `, "client-certificate": "/c"`, differs},
		"an inline token":               {tokenFile, tokenFile + `, "token": "x"`, differs},
		"no token":                      {tokenFile, ``, `tokenFile: "" is not an absolute path`},
		"a relative token":              {`/etc/token`, `token`, `tokenFile: "token" is not an absolute path`},
		"no verification":               {authority, authority + `, "insecure-skip-tls-verify": true`, differs},
		"a proxy":                       {authority, authority + `, "proxy-url": "http://p"`, differs},
		"no authority":                  {authority + `,`, ``, `certificate-authority-data: empty, and the API server is always verified`},
		"an authority in a file":        {authority, authority + `, "certificate-authority": "/c"`, differs},
		"an authority not encoded":      {`UEVN`, `?`, `it is no JSON as spiderpool-installer writes it: illegal base64 data at input byte 0`},
		"a server without TLS":          {`https://10`, `http://10`, `server: "http://10.96.0.1:443" is not https://host:port`},
		"a server without host":         {`10.96.0.1:443`, ``, `server: "https://" is not https://host:port`},
		"a server with a path":          {`:443`, `:443/x`, `server: "https://10.96.0.1:443/x" is not https://host:port`},
		"a server with a query":         {`:443`, `:443?x`, `server: "https://10.96.0.1:443?x" is not https://host:port`},
		"a server with a user":          {`//10`, `//me@10`, `server: "https://me@10.96.0.1:443" is not https://host:port`},
		"a server with an invalid port": {`:443`, `:x`, `server: "https://10.96.0.1:x" is not https://host:port`},
		"a server that is not a URL":    {`10.96.0.1:443`, `[::1`, `server: "https://[::1" is not https://host:port`},
		"no clusters":                   {`"clusters"`, `"users"`, `server: "" is not https://host:port`},
		"a key in another case":         {`"tokenFile"`, `"tokenfile"`, differs},
		"a user without a name":         {`"name": "spiderpool",`, ``, differs},
		"a context of another user":     {`"user": "spiderpool"`, `"user": "me"`, differs},
		"a context of another cluster":  {`"cluster": "spiderpool"`, `"cluster": "my"`, differs},
		"a namespace":                   {`"user": "spiderpool"`, `"user": "spiderpool", "namespace": "x"`, differs},
		"another current context":       {`"current-context": "spiderpool"`, `"current-context": "x"`, differs},
		"several contexts":              {`"contexts": [`, `"contexts": [{},`, differs},
		"several clusters":              {`"clusters": [`, `"clusters": [{"name": "a", "cluster": {"server": "https://h", "certificate-authority-data": "UEVN"}},`, differs},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(written, tc.old) {
				t.Fatalf("nothing to change: %s", tc.old)
			}
			_, err := ParseConfig([]byte(strings.Replace(written, tc.old, tc.new, 1)))
			if err == nil || err.Error() != tc.wantErr {
				t.Errorf("got %v\nwant %s", err, tc.wantErr)
			}
		})
	}
}

func TestMarshalRefusesWhatParseWould(t *testing.T) {
	t.Parallel()
	_, err := Config{Server: "https://h", TokenFile: "/t"}.Marshal()
	if err == nil || !strings.HasPrefix(err.Error(), "certificate-authority-data: empty") {
		t.Errorf("got %v", err)
	}
}

// FuzzKubeconfig proves that an accepted kubeconfig has a certificate authority, an HTTPS server
// and a token file, and reads the same when written again.
func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte(strings.Replace(written, `"server"`, `"Server": "http://h", "server"`, 1)))
	f.Add([]byte("apiVersion: v1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := ParseConfig(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(config.Server, "https://") || !strings.HasPrefix(config.TokenFile, "/") || len(config.CAData) == 0 {
			t.Errorf("took %+v", config)
		}
		again, err := config.Marshal()
		if err != nil {
			t.Fatalf("taken, but not written: %v", err)
		}
		read, err := ParseConfig(again)
		if err != nil {
			t.Fatalf("written, but not taken: %v", err)
		}
		if diff := cmp.Diff(config, read); diff != "" {
			t.Errorf("written again (-first +second):\n%s", diff)
		}
	})
}
