package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeLookup answers with what it holds and notes what it was asked.
type fakeLookup struct {
	annotations map[string]string
	err         error
	panics      bool
	asked       []string
}

func (f *fakeLookup) Annotations(_ context.Context, kubeconfig string, pod PodRef) (map[string]string, error) {
	if f.panics {
		panic("out of paper")
	}
	f.asked = append(f.asked, kubeconfig+" "+pod.String()+" "+pod.UID)
	return f.annotations, f.err
}

func (f *fakeLookup) Check(_ context.Context, kubeconfig string) error {
	f.asked = append(f.asked, kubeconfig)
	return f.err
}

// plugin returns one that asks lookup, and where its result goes.
func plugin(lookup *fakeLookup) (*Plugin, *bytes.Buffer) {
	var stdout bytes.Buffer
	return &Plugin{
		Lookup: func() (Lookup, error) { return lookup, nil },
		Stdout: &stdout,
		Now:    func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) },
	}, &stdout
}

// netConf is a network configuration with the given keys in its ipam section
// and, unless nil, annotations from the runtime.
func netConf(t *testing.T, ipam map[string]any, annotations map[string]string, more map[string]any) []byte {
	t.Helper()
	section := map[string]any{"type": "spiderpool"}
	for key, value := range ipam {
		section[key] = value
	}
	conf := map[string]any{"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "ipam": section}
	if annotations != nil {
		conf["runtimeConfig"] = map[string]any{"io.kubernetes.cri.pod-annotations": annotations}
	}
	for key, value := range more {
		conf[key] = value
	}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const podArgs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u-1"

// single has one address, the annotation of eth0 in these tests.
const single = `{"interface":"eth0","ipv4pool":"p","ipv6pool":"","ipv4":"172.18.41.40/24","ipv6":"","vlan":3,"ipv4gateway":"172.18.41.1"}`

var annotated = map[string]string{"ipam.spidernet.io/assigned-eth0": single}

const singleResult = `{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24","gateway":"172.18.41.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.1"}]}`

func TestAddTakesTheRuntimesAnnotationsAndAsksNobody(t *testing.T) {
	t.Parallel()
	lookup := &fakeLookup{}
	p, stdout := plugin(lookup)
	err := p.Run(&Call{Command: "ADD", IfName: "eth0", Args: podArgs, Stdin: netConf(t, map[string]any{"kubeconfig": "/k"}, annotated, nil)})
	wantError(t, err, 0, "")
	if diff := cmp.Diff(decoded(t, singleResult), decoded(t, stdout.String())); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if len(lookup.asked) > 0 {
		t.Errorf("looked up %v", lookup.asked)
	}
}

func TestAddLooksUpThePodWhereTheRuntimePassesNothing(t *testing.T) {
	t.Parallel()
	lookup := &fakeLookup{annotations: annotated}
	p, stdout := plugin(lookup)
	err := p.Run(&Call{Command: "ADD", IfName: "eth0", Args: podArgs, Stdin: netConf(t, map[string]any{"kubeconfig": "/k"}, nil, nil)})
	wantError(t, err, 0, "")
	if diff := cmp.Diff(decoded(t, singleResult), decoded(t, stdout.String())); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/k shop/web u-1"}, lookup.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	kubeconfig := map[string]any{"kubeconfig": "/k"}
	cases := map[string]struct {
		args     string
		stdin    []byte
		lookup   fakeLookup
		wantCode uint
		wantErr  string
	}{
		"a configuration without form": {podArgs, []byte(`{`), fakeLookup{}, 6, "decoding network configuration: the text ends before the object does"},
		"wrong CNI_ARGS":               {"X", netConf(t, nil, annotated, nil), fakeLookup{}, 4, `CNI_ARGS: "X" is not a pair key=value`},
		"no annotations and no kubeconfig": {podArgs, netConf(t, nil, nil, nil), fakeLookup{}, 7,
			"pod shop/web: the runtime passed no pod annotations"},
		"no annotation for the NIC": {podArgs, netConf(t, nil, map[string]string{}, nil), fakeLookup{}, 11,
			"pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"},
		"none for the NIC in the API server": {podArgs, netConf(t, kubeconfig, nil, nil), fakeLookup{}, 11,
			"pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"},
		"a lookup that fails":  {podArgs, netConf(t, kubeconfig, nil, nil), fakeLookup{err: &Error{Code: 100, Msg: "gone"}}, 100, "gone"},
		"a lookup that panics": {podArgs, netConf(t, kubeconfig, nil, nil), fakeLookup{panics: true}, 999, "panic: out of paper"},
		"a version that is not spoken": {podArgs, netConf(t, nil, annotated, map[string]any{"cniVersion": "9.9.9"}), fakeLookup{}, 1,
			`cniVersion "9.9.9" is none of 0.3.1, 0.4.0, 1.0.0, 1.1.0`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, stdout := plugin(&tc.lookup)
			err := p.Run(&Call{Command: "ADD", IfName: "eth0", Args: tc.args, Stdin: tc.stdin})
			wantError(t, err, tc.wantCode, tc.wantErr)
			if stdout.Len() > 0 {
				t.Errorf("printed %s", stdout)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	previous := map[string]any{"prevResult": decoded(t, singleResult)}
	moved := map[string]any{"prevResult": decoded(t, strings.ReplaceAll(singleResult, "41.40/24", "41.41/24"))}
	wider := map[string]any{"prevResult": decoded(t, strings.ReplaceAll(singleResult, "41.40/24", "41.40/16"))}
	cases := map[string]struct {
		stdin    []byte
		wantCode uint
		wantErr  string
	}{
		"the address is there":           {netConf(t, nil, annotated, previous), 0, ""},
		"without annotations":            {netConf(t, nil, nil, previous), 0, ""},
		"another address":                {netConf(t, nil, annotated, moved), 101, `NIC eth0 has not address 172.18.41.40/24 of pool "p"`},
		"another prefix length":          {netConf(t, nil, annotated, wider), 101, `NIC eth0 has not address 172.18.41.40/24 of pool "p"`},
		"no previous result":             {netConf(t, nil, annotated, nil), 7, "CHECK needs prevResult, the result of ADD, and it is missing"},
		"a previous result without form": {netConf(t, nil, annotated, map[string]any{"prevResult": map[string]any{"ips": 1}}), 6, `decoding prevResult: key "ips": want a list, found 1`},
		"an older version": {netConf(t, nil, annotated, map[string]any{"cniVersion": "0.3.1"}), 1,
			`CHECK needs cniVersion 0.4.0 or later, not "0.3.1"`},
		"no annotation for the NIC": {netConf(t, nil, map[string]string{}, previous), 11,
			"pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := plugin(&fakeLookup{})
			wantError(t, p.Run(&Call{Command: "CHECK", IfName: "eth0", Args: podArgs, Stdin: tc.stdin}), tc.wantCode, tc.wantErr)
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	newest := map[string]any{"cniVersion": "1.1.0"}
	cases := map[string]struct {
		stdin     []byte
		lookupErr error
		wantCode  uint
		wantErr   string
		wantAsked []string
	}{
		"a fine configuration":  {stdin: netConf(t, nil, nil, newest)},
		"a fine kubeconfig":     {stdin: netConf(t, map[string]any{"kubeconfig": "/k"}, nil, newest), wantAsked: []string{"/k"}},
		"an older version":      {stdin: netConf(t, nil, nil, nil), wantCode: 1, wantErr: `STATUS needs cniVersion 1.1.0 or later, not "1.0.0"`},
		"a wrong configuration": {stdin: netConf(t, map[string]any{"x": 1}, nil, newest), wantCode: 7, wantErr: `network configuration: ipam: unknown key "x"`},
		"a kubeconfig of no use": {
			stdin: netConf(t, map[string]any{"kubeconfig": "/k"}, nil, newest), lookupErr: errors.New("no token"),
			wantCode: 50, wantErr: "pods cannot be looked up: no token", wantAsked: []string{"/k"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup := &fakeLookup{err: tc.lookupErr}
			p, _ := plugin(lookup)
			wantError(t, p.Run(&Call{Command: "STATUS", Stdin: tc.stdin}), tc.wantCode, tc.wantErr)
			if diff := cmp.Diff(tc.wantAsked, lookup.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLogHasOneLinePerOutcome(t *testing.T) {
	t.Parallel()
	const stamp = `2030-01-02T03:04:05Z`
	const answered = stamp + ` level=info msg="answered" command="ADD" pod="shop/web" nic="eth0" container="c1" vlan="3" address="172.18.41.40/24" pool="p"`
	const read = stamp + ` level=debug msg="read annotations" command="ADD" pod="shop/web" nic="eth0" container="c1" from_runtime="true"`
	const missing = stamp + ` level=warn msg="refused" command="ADD" pod="shop/web" nic="net1" container="c1" error=`
	const wrong = stamp + ` level=error msg="refused" command="ADD" pod="(not named in CNI_ARGS)" nic="eth0" container="c1" error=`
	cases := map[string][]string{ // log_level -> how the lines of three commands begin
		"debug": {answered, read, missing, wrong},
		"info":  {answered, missing, wrong},
		"":      {answered, missing, wrong},
		"warn":  {missing, wrong},
		"Error": {wrong},
	}
	for level, want := range cases {
		t.Run("level "+level, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			p, _ := plugin(&fakeLookup{})
			stdin := netConf(t, map[string]any{"log_level": level, "log_file_path": path}, annotated, nil)
			_ = p.Run(&Call{Command: "ADD", ContainerID: "c1", IfName: "eth0", Args: podArgs, Stdin: stdin}) // each outcome is in the log
			_ = p.Run(&Call{Command: "ADD", ContainerID: "c1", IfName: "net1", Args: podArgs, Stdin: stdin})
			_ = p.Run(&Call{Command: "ADD", ContainerID: "c1", IfName: "eth0", Args: "X", Stdin: stdin})
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			if len(got) != len(want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(got), len(want), text)
			}
			for i := range want {
				if !strings.HasPrefix(got[i], want[i]) {
					t.Errorf("line %d: got %s\nwant %s…", i, got[i], want[i])
				}
			}
		})
	}
}

func TestLogThatCannotBeWrittenStopsNoPod(t *testing.T) {
	t.Parallel()
	p, stdout := plugin(&fakeLookup{})
	path := filepath.Join(t.TempDir(), "missing", "log")
	stdin := netConf(t, map[string]any{"log_file_path": path}, annotated, nil)
	wantError(t, p.Run(&Call{Command: "ADD", IfName: "eth0", Args: podArgs, Stdin: stdin}), 0, "")
	if diff := cmp.Diff(decoded(t, singleResult), decoded(t, stdout.String())); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestAddSaysWhenItsResultCannotBeWritten(t *testing.T) {
	t.Parallel()
	p, _ := plugin(&fakeLookup{})
	p.Stdout = brokenPipe{}
	err := p.Run(&Call{Command: "ADD", IfName: "eth0", Args: podArgs, Stdin: netConf(t, nil, annotated, nil)})
	wantError(t, err, 5, "writing the result: broken pipe")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, fmt.Errorf("broken pipe") }
