package cni

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNetConf(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		stdin    string
		want     *NetConf
		wantCode uint
		wantErr  string
	}{
		"the least there is": {
			stdin: `{"cniVersion":"1.1.0","name":"net","type":"macvlan","master":"eth0","ipam":{"type":"spiderpool"}}`,
			want:  &NetConf{CNIVersion: "1.1.0", Name: "net"},
		},
		"every key": {
			stdin: `{"cniVersion":"0.3.1","name":"net","ipam":{"type":"spiderpool","kubeconfig":"/k","log_level":"DEBUG",
				"log_file_path":"/l","clean_gateway":true,"default_ipv4_ippool":["a","b"],"default_ipv6_ippool":["c"]},
				"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"x":"y"},"ips":["10.0.0.1"]}}`,
			want: &NetConf{
				CNIVersion: "0.3.1", Name: "net",
				IPAM: IPAMConf{
					Kubeconfig: "/k", LogLevel: LevelDebug, LogFilePath: "/l", CleanGateway: true,
					DefaultIPv4IPPool: []string{"a", "b"}, DefaultIPv6IPPool: []string{"c"},
				},
				Annotations: map[string]string{"x": "y"}, AnnotationsPassed: true,
			},
		},
		"a pod without annotations": {
			stdin: `{"name":"n","ipam":{"type":"spiderpool"},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":null}}`,
			want:  &NetConf{Name: "n", AnnotationsPassed: true},
		},
		"a runtime that passes others only": {
			stdin: `{"name":"n","ipam":{"type":"spiderpool"},"runtimeConfig":{"portMappings":[]}}`,
			want:  &NetConf{Name: "n"},
		},
		"no JSON":                   {stdin: `x`, wantCode: 6, wantErr: `decoding network configuration: want an object, found 'x' at byte 0`},
		"two objects":               {stdin: `{}{}`, wantCode: 6, wantErr: `decoding network configuration: text after the object at byte 2`},
		"no name":                   {stdin: `{"ipam":{"type":"spiderpool"}}`, wantCode: 7, wantErr: `network configuration: name: "" is empty or has characters that are not allowed`},
		"a name that is a path":     {stdin: `{"name":"../n"}`, wantCode: 7, wantErr: `network configuration: name: "../n" is empty or has characters that are not allowed`},
		"no ipam section":           {stdin: `{"name":"n","type":"spiderpool"}`, wantCode: 7, wantErr: `network configuration: key "ipam" is missing; the main plugin's entry wants "ipam": {"type": "spiderpool"}`},
		"ipam twice":                {stdin: `{"name":"n","ipam":{"type":"spiderpool"},"ipam":{}}`, wantCode: 6, wantErr: `decoding network configuration: key "ipam" is there twice`},
		"ipam of another kind":      {stdin: `{"name":"n","ipam":[]}`, wantCode: 7, wantErr: `network configuration: ipam: want an object, found '[' at byte 0`},
		"no type":                   {stdin: `{"name":"n","ipam":{}}`, wantCode: 7, wantErr: `network configuration: ipam: key "type" is missing`},
		"another type":              {stdin: `{"name":"n","ipam":{"type":"host-local"}}`, wantCode: 7, wantErr: `network configuration: ipam: type: this is "spiderpool", not "host-local"`},
		"an unknown key":            {stdin: `{"name":"n","ipam":{"type":"spiderpool","ipam_unix_socket_path":"/s"}}`, wantCode: 7, wantErr: `network configuration: ipam: unknown key "ipam_unix_socket_path"`},
		"a key in other letters":    {stdin: `{"name":"n","ipam":{"type":"spiderpool","Kubeconfig":"/k"}}`, wantCode: 7, wantErr: `network configuration: ipam: unknown key "Kubeconfig"`},
		"a relative kubeconfig":     {stdin: `{"name":"n","ipam":{"type":"spiderpool","kubeconfig":"k"}}`, wantCode: 7, wantErr: `network configuration: ipam: kubeconfig: "k" is not an absolute path`},
		"a relative log file":       {stdin: `{"name":"n","ipam":{"type":"spiderpool","log_file_path":"l"}}`, wantCode: 7, wantErr: `network configuration: ipam: log_file_path: "l" is not an absolute path`},
		"an unknown level":          {stdin: `{"name":"n","ipam":{"type":"spiderpool","log_level":"loud"}}`, wantCode: 7, wantErr: `network configuration: ipam: log_level: "loud" is none of debug, info, warn, error`},
		"a gateway choice in text":  {stdin: `{"name":"n","ipam":{"type":"spiderpool","clean_gateway":"true"}}`, wantCode: 7, wantErr: `network configuration: ipam: key "clean_gateway": want true or false, found "true"`},
		"a pool that is no list":    {stdin: `{"name":"n","ipam":{"type":"spiderpool","default_ipv4_ippool":"p"}}`, wantCode: 7, wantErr: `network configuration: ipam: key "default_ipv4_ippool": want a list of strings, found "p"`},
		"a pool without a name":     {stdin: `{"name":"n","ipam":{"type":"spiderpool","default_ipv6_ippool":["p"," "]}}`, wantCode: 7, wantErr: `network configuration: ipam: default_ipv6_ippool[1]: empty name`},
		"annotations as a list":     {stdin: `{"name":"n","ipam":{"type":"spiderpool"},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":[]}}`, wantCode: 7, wantErr: `network configuration: runtimeConfig: io.kubernetes.cri.pod-annotations: want an object, found '[' at byte 0`},
		"an annotation of a number": {stdin: `{"name":"n","ipam":{"type":"spiderpool"},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"x":1}}}`, wantCode: 7, wantErr: `network configuration: runtimeConfig: io.kubernetes.cri.pod-annotations: key "x": want a string, found 1`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseNetConf([]byte(tc.stdin))
			wantError(t, err, tc.wantCode, tc.wantErr)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

// wantError fails unless err is an error of the protocol with this code and
// message; an empty message wants none.
func wantError(t *testing.T, err error, code uint, message string) {
	t.Helper()
	var got Error
	if e := (*Error)(nil); errors.As(err, &e) {
		got = *e
	} else if err != nil {
		t.Fatalf("not an error of the protocol: %v", err)
	}
	if diff := cmp.Diff(Error{Code: code, Msg: message}, Error{Code: got.Code, Msg: got.Msg}); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// FuzzNetConf proves that a configuration that was taken means the same when a
// runtime writes it anew, and that one more key in its ipam section is refused.
func FuzzNetConf(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"n","ipam":{"type":"spiderpool","kubeconfig":"/k","log_level":"warn"}}`))
	f.Add([]byte(`{"name":"n","ipam":{"type":"spiderpool","default_ipv4_ippool":["a"]},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"a":"b"}}}`))
	f.Add([]byte(`{"name":"n","ipam":null,"runtimeConfig":null}`))
	f.Fuzz(func(t *testing.T, stdin []byte) {
		conf, err := ParseNetConf(stdin)
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) || conf != nil {
				t.Fatalf("not an error of the protocol: %v, %v", conf, err)
			}
			return
		}
		for _, path := range []string{conf.IPAM.Kubeconfig, conf.IPAM.LogFilePath} {
			if path != "" && !filepath.IsAbs(path) {
				t.Errorf("took relative path %q", path)
			}
		}
		again, err := ParseNetConf(rewritten(t, stdin, false))
		if diff := cmp.Diff(conf, again); diff != "" || err != nil {
			t.Errorf("written anew (-first +second): %v\n%s", err, diff)
		}
		if _, err := ParseNetConf(rewritten(t, stdin, true)); err == nil {
			t.Error("took a key in the ipam section that nobody knows")
		}
	})
}

// rewritten is stdin after the maps of a runtime, with an unknown key in its
// ipam section if so wanted.
func rewritten(t *testing.T, stdin []byte, unknownKey bool) []byte {
	t.Helper()
	var top map[string]any
	if err := json.Unmarshal(stdin, &top); err != nil {
		t.Fatalf("taken, but json says %v", err)
	}
	ipam, ok := top["ipam"].(map[string]any)
	if !ok {
		t.Fatalf("took an ipam section that is %v", top["ipam"])
	}
	if unknownKey {
		ipam["unknown_key"] = nil
	}
	text, err := json.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
