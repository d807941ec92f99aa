package cni

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
)

func TestParseNetConf(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		stdin   string
		want    *NetConf
		wantErr string
	}{
		"the minimal configuration": {
			stdin: `{"cniVersion":"1.1.0","name":"net","type":"macvlan","master":"eth0","ipam":{"type":"spiderpool"}}`,
			want:  &NetConf{CNIVersion: "1.1.0", IPAM: IPAMConf{Type: "spiderpool", LogLevel: levelInfo}},
		},
		"every key": {
			stdin: `{"cniVersion":"0.3.1","name":"net","ipam":{"type":"spiderpool","kubeconfig":"/k","log_level":"DEBUG",
				"log_file_path":"/l","clean_gateway":true,"default_ipv4_ippool":["a","b"],"default_ipv6_ippool":["c"]},
				"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"x":"y"},"ips":["10.0.0.1"]},"prevResult":{"ips":[]}}`,
			want: &NetConf{
				CNIVersion: "0.3.1",
				IPAM: IPAMConf{
					Type: "spiderpool", Kubeconfig: "/k", LogFilePath: "/l", CleanGateway: true,
					DefaultIPv4IPPool: []string{"a", "b"}, DefaultIPv6IPPool: []string{"c"},
				},
				RuntimeConfig: passed(`{"x":"y"}`), PrevResult: json.RawMessage(`{"ips":[]}`),
			},
		},
		"the keys of upstream's plugin": {
			stdin: `{"ipam":{"type":"spiderpool","ipam_unix_socket_path":"/s","log_file_max_size":100,"log_file_max_age":30,
				"log_file_max_count":10,"match_master_subnet":false,"enable_debug":null,"log_level":"Error"}}`,
			want: &NetConf{IPAM: IPAMConf{Type: "spiderpool", LogLevel: levelError, Ignored: upstreamKeys[:]}},
		},
		"a pod without annotations": {
			stdin: `{"ipam":{"type":"spiderpool"},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":null}}`,
			want:  &NetConf{IPAM: IPAMConf{Type: "spiderpool", LogLevel: levelInfo}, RuntimeConfig: passed(`null`)},
		},
		"a runtime that passes others only": {
			stdin: `{"ipam":{"type":"spiderpool"},"runtimeConfig":{"portMappings":[]}}`,
			want:  &NetConf{IPAM: IPAMConf{Type: "spiderpool", LogLevel: levelInfo}},
		},
		"not JSON":                      {stdin: `x`, wantErr: `invalid character 'x' looking for beginning of value`},
		"two objects":                   {stdin: `{}{}`, wantErr: `invalid character '{' after top-level value`},
		"no ipam section":               {stdin: `{"name":"n","type":"spiderpool"}`, wantErr: `key "ipam" is missing; the main plugin's entry wants "ipam": {"type": "spiderpool"}`},
		"ipam that is not an object":    {stdin: `{"ipam":[]}`, wantErr: `ipam: want an object, found "[]"`},
		"ipam that is null":             {stdin: `{"ipam":null}`, wantErr: `ipam: want an object, found "null"`},
		"no type":                       {stdin: `{"ipam":{}}`, wantErr: `ipam: key "type" is missing`},
		"another type":                  {stdin: `{"ipam":{"type":"host-local"}}`, wantErr: `ipam: type: this is "spiderpool", not "host-local"`},
		"an unknown key":                {stdin: `{"ipam":{"type":"spiderpool","pool":"p"}}`, wantErr: `ipam: unknown key "pool"`},
		"a key in another case":         {stdin: `{"ipam":{"type":"spiderpool","Kubeconfig":"/k"}}`, wantErr: `ipam: unknown key "Kubeconfig"`},
		"a key twice":                   {stdin: `{"ipam":{"type":"spiderpool","type":"spiderpool"}}`, wantErr: `ipam: key "type" is there twice`},
		"an upstream key twice":         {stdin: `{"ipam":{"type":"spiderpool","enable_debug":true,"enable_debug":true}}`, wantErr: `ipam: key "enable_debug" is there twice`},
		"a relative kubeconfig":         {stdin: `{"ipam":{"type":"spiderpool","kubeconfig":"k"}}`, wantErr: `ipam: kubeconfig: "k" is not an absolute path`},
		"a relative log file":           {stdin: `{"ipam":{"type":"spiderpool","log_file_path":"l"}}`, wantErr: `ipam: log_file_path: "l" is not an absolute path`},
		"an unknown level":              {stdin: `{"ipam":{"type":"spiderpool","log_level":"loud"}}`, wantErr: `ipam: log_level: "loud" is none of debug, info, warn, error`},
		"cleanGateway that is a string": {stdin: `{"ipam":{"type":"spiderpool","clean_gateway":"true"}}`, wantErr: `ipam: key "clean_gateway": json: cannot unmarshal string into Go value of type bool`},
		"a pool that is not a list":     {stdin: `{"ipam":{"type":"spiderpool","default_ipv4_ippool":"p"}}`, wantErr: `ipam: key "default_ipv4_ippool": json: cannot unmarshal string into Go value of type []string`},
		"a pool without a name":         {stdin: `{"ipam":{"type":"spiderpool","default_ipv6_ippool":["p"," "]}}`, wantErr: `ipam: default_ipv4_ippool, default_ipv6_ippool: " " is no name of a pool`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseNetConf([]byte(tc.stdin))
			if tc.wantErr == "" {
				wantError(t, err, 0, "")
			} else {
				wantError(t, err, 7, "network configuration: "+tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

// passed is runtimeConfig as a runtime passes it.
func passed(annotations string) (config struct {
	Annotations json.RawMessage `json:"io.kubernetes.cri.pod-annotations"`
}) {
	config.Annotations = json.RawMessage(annotations)
	return config
}

// wantError fails unless err is a protocol error with this code and message; an empty message
// expects no error.
func wantError(t *testing.T, err error, code uint, message string) {
	t.Helper()
	var got types.Error
	if e := (*types.Error)(nil); errors.As(err, &e) {
		got = *e
	} else if err != nil {
		t.Fatalf("not an error of the protocol: %v", err)
	}
	if diff := cmp.Diff(types.Error{Code: code, Msg: message}, types.Error{Code: got.Code, Msg: got.Msg}); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// FuzzNetConf proves that an accepted configuration means the same after a runtime wrote it again,
// and that one more key in its ipam section is refused.
func FuzzNetConf(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"n","ipam":{"type":"spiderpool","kubeconfig":"/k","log_level":"warn"}}`))
	f.Add([]byte(`{"name":"n","ipam":{"type":"spiderpool","default_ipv4_ippool":["a"]},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"a":"b"}}}`))
	f.Add([]byte(`{"name":"n","ipam":null,"runtimeConfig":null}`))
	f.Fuzz(func(t *testing.T, stdin []byte) {
		conf, err := ParseNetConf(stdin)
		if err != nil {
			if e := (*types.Error)(nil); !errors.As(err, &e) || conf != nil {
				t.Fatalf("not an error of the protocol: %v, %v", conf, err)
			}
			return
		}
		for _, path := range []string{conf.IPAM.Kubeconfig, conf.IPAM.LogFilePath} {
			if path != "" && !filepath.IsAbs(path) {
				t.Errorf("took relative path %q", path)
			}
		}
		section := sectionOf(t, stdin)
		if section == nil {
			return
		}
		again, err := ParseNetConf(encoded(t, map[string]any{"ipam": section}))
		if err != nil || !cmp.Equal(conf.IPAM, again.IPAM) {
			t.Errorf("written again: %v\n%s", err, cmp.Diff(conf.IPAM, again.IPAM))
		}
		for _, key := range []string{"unknown_key", "Type", "KUBECONFIG"} {
			section[key] = nil
			if _, err := ParseNetConf(encoded(t, map[string]any{"ipam": section})); err == nil {
				t.Errorf("took key %s in the ipam section", key)
			}
			delete(section, key)
		}
	})
}

// sectionOf returns the ipam section as a runtime's map has it, or nil where its key is in another
// case, which the library and the main plugins accept.
func sectionOf(t *testing.T, stdin []byte) map[string]any {
	t.Helper()
	var top map[string]any
	if err := json.Unmarshal(stdin, &top); err != nil {
		t.Fatalf("taken, but json says %v", err)
	}
	for key := range top {
		if key != "ipam" && strings.EqualFold(key, "ipam") {
			return nil
		}
	}
	section, ok := top["ipam"].(map[string]any)
	if !ok {
		t.Fatalf("took an ipam section that is %v", top["ipam"])
	}
	return section
}

func encoded(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
