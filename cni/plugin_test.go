package cni

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni/lookup"
)

// apiServer starts an API server with the pod shop/web, which has these annotations, and returns a
// kubeconfig for it and the requests that it got.
func apiServer(t *testing.T, annotations map[string]string) (kubeconfig string, asked chan string) {
	t.Helper()
	asked = make(chan string, 10)
	body := encoded(t, map[string]any{"metadata": map[string]any{"namespace": "shop", "name": "web", "uid": "u-1", "annotations": annotations}})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = w.Write(body) // a client that hung up shows in the test
	}))
	t.Cleanup(server.Close)
	folder := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text, err := lookup.Config{Server: server.URL, CAData: authority, TokenFile: filepath.Join(folder, "token")}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"token": []byte("t0ken"), "kubeconfig": text} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "kubeconfig"), asked
}

// netConf is a network configuration with the given keys in its ipam section and, unless nil,
// annotations from the runtime.
func netConf(t *testing.T, ipam map[string]any, annotations map[string]string, more map[string]any) []byte {
	t.Helper()
	section := map[string]any{"type": "spiderpool"}
	maps.Copy(section, ipam)
	conf := map[string]any{"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "ipam": section}
	if annotations != nil {
		conf["runtimeConfig"] = map[string]any{"io.kubernetes.cri.pod-annotations": annotations}
	}
	maps.Copy(conf, more)
	return encoded(t, conf)
}

const podArgs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u-1"

// cmdArgs is a call for the pod's eth0.
func cmdArgs(stdin []byte) *skel.CmdArgs {
	return &skel.CmdArgs{ContainerID: "c1", IfName: "eth0", Args: podArgs, StdinData: stdin}
}

// single has one address, the annotation of eth0 in these tests.
const single = `{"interface":"eth0","ipv4pool":"p","ipv6pool":"","ipv4":"172.18.41.40/24","ipv6":"","vlan":3,"ipv4gateway":"172.18.41.1"}`

var annotated = map[string]string{"ipam.spidernet.io/assigned-eth0": single}

const singleResult = `{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24","gateway":"172.18.41.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.1"}]}`

func TestAddUsesTheRuntimesAnnotationsAndMakesNoRequest(t *testing.T) {
	t.Parallel()
	kubeconfig, asked := apiServer(t, nil)
	wantResult(t, netConf(t, map[string]any{"kubeconfig": kubeconfig}, annotated, nil))
	if len(asked) > 0 {
		t.Errorf("looked up %v", <-asked)
	}
}

func TestAddLooksUpThePodWhereTheRuntimePassesNothing(t *testing.T) {
	t.Parallel()
	kubeconfig, asked := apiServer(t, annotated)
	wantResult(t, netConf(t, map[string]any{"kubeconfig": kubeconfig}, nil, nil))
	if got, want := <-asked, "/api/v1/namespaces/shop/pods/web"; got != want || len(asked) > 0 {
		t.Errorf("asked for %q and %d more, want %q", got, len(asked), want)
	}
}

// wantResult fails unless ADD answers singleResult.
func wantResult(t *testing.T, stdin []byte) {
	t.Helper()
	var stdout bytes.Buffer
	wantError(t, (&plugin{&stdout}).add(cmdArgs(stdin)), 0, "")
	if diff := cmp.Diff(decoded(t, singleResult), decoded(t, stdout.String())); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	bare, _ := apiServer(t, nil)
	cases := map[string]struct {
		args     string
		stdin    []byte
		wantCode uint
		wantErr  string
	}{
		"a malformed configuration": {podArgs, []byte(`{`), 7, "network configuration: unexpected end of JSON input"},
		"wrong CNI_ARGS":            {"X", netConf(t, nil, annotated, nil), 4, `CNI_ARGS: ARGS: invalid pair "X"`},
		"no annotations and no kubeconfig": {podArgs, netConf(t, nil, nil, nil), 7,
			"pod shop/web: the runtime passed no pod annotations"},
		"no annotation for the NIC": {podArgs, netConf(t, nil, map[string]string{}, nil), 11,
			"pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"},
		"no annotation for the NIC in the API server": {podArgs, netConf(t, map[string]any{"kubeconfig": bare}, nil, nil), 11,
			"pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"},
		"a pod that is not named for a lookup": {"", netConf(t, map[string]any{"kubeconfig": bare}, nil, nil), 4,
			`CNI_ARGS: K8S_POD_NAMESPACE "" and K8S_POD_NAME "" do not name a pod`},
		"a lookup that fails": {podArgs + "-2", netConf(t, map[string]any{"kubeconfig": bare}, nil, nil), 100,
			"pod shop/web has UID u-1, but the sandbox is for UID u-1-2"},
		"a kubeconfig that is not there": {podArgs, netConf(t, map[string]any{"kubeconfig": "/no/such/file"}, nil, nil), 7,
			"kubeconfig /no/such/file: open /no/such/file: no such file or directory"},
		"annotations as a list": {podArgs, netConf(t, nil, nil, map[string]any{"runtimeConfig": map[string]any{"io.kubernetes.cri.pod-annotations": []string{}}}), 6,
			"runtimeConfig: pod annotations: json: cannot unmarshal array into Go value of type map[string]string"},
		"a version that the library has no result for": {podArgs, netConf(t, nil, annotated, map[string]any{"cniVersion": "9.9.9"}), 5,
			`writing the result: no converter for CNI result version 1.1.0 to 9.9.9`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			args := cmdArgs(tc.stdin)
			args.Args = tc.args
			wantError(t, (&plugin{&stdout}).add(args), tc.wantCode, tc.wantErr)
			if stdout.Len() > 0 {
				t.Errorf("printed %s", &stdout)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	previous := map[string]any{"prevResult": decoded(t, singleResult)}
	moved := map[string]any{"prevResult": decoded(t, strings.ReplaceAll(singleResult, "41.40/24", "41.41/24"))}
	wider := map[string]any{"prevResult": decoded(t, strings.ReplaceAll(singleResult, "41.40/24", "41.40/16"))}
	broken := map[string]any{"prevResult": map[string]any{"ips": 1}}
	cases := map[string]struct {
		stdin    []byte
		wantCode uint
		wantErr  string
	}{
		"the address is there":  {netConf(t, nil, annotated, previous), 0, ""},
		"without annotations":   {netConf(t, nil, nil, previous), 0, ""},
		"another address":       {netConf(t, nil, annotated, moved), 101, `NIC eth0 has not address 172.18.41.40/24 of pool "p"`},
		"another prefix length": {netConf(t, nil, annotated, wider), 101, `NIC eth0 has not address 172.18.41.40/24 of pool "p"`},
		"no previous result":    {netConf(t, nil, annotated, nil), 7, "CHECK needs prevResult, the result of ADD, and it is missing"},
		"a malformed previous result": {netConf(t, nil, annotated, broken), 6,
			`decoding prevResult: json: cannot unmarshal number into Go struct field Result.ips of type []*types100.IPConfig`},
		"no annotation for the NIC": {netConf(t, nil, map[string]string{}, previous), 11,
			"pod shop/web has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, (&plugin{io.Discard}).check(cmdArgs(tc.stdin)), tc.wantCode, tc.wantErr)
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	kubeconfig, asked := apiServer(t, nil)
	cases := map[string]struct {
		ipam     map[string]any
		wantCode uint
		wantErr  string
	}{
		"a valid configuration": {},
		"a valid kubeconfig":    {ipam: map[string]any{"kubeconfig": kubeconfig}},
		"a wrong configuration": {map[string]any{"x": 1}, 7, `network configuration: ipam: unknown key "x"`},
		"a kubeconfig that does not exist": {map[string]any{"kubeconfig": "/no/such/file"}, 50, "pods cannot be looked up: " +
			"kubeconfig /no/such/file: open /no/such/file: no such file or directory; the installer writes this file and keeps its token fresh: is it running on this node?"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, (&plugin{io.Discard}).status(cmdArgs(netConf(t, tc.ipam, nil, nil))), tc.wantCode, tc.wantErr)
			if len(asked) > 0 {
				t.Error("asked the API server")
			}
		})
	}
}

func TestLogHasOneLinePerOutcome(t *testing.T) {
	t.Parallel()
	const answered = `level=info msg="answered" command="ADD" pod="shop/web" nic="eth0" container="c1" ` +
		`ignored_keys="[enable_debug]" vlan="3" annotations_passed="true" address="172.18.41.40/24" pool="p"`
	const missing = `level=warn msg="refused" command="ADD" pod="shop/web" nic="net1" container="c1" ignored_keys="[enable_debug]" error="pod shop/web has no`
	const wrong = `level=error msg="refused" command="ADD" pod="(not named in CNI_ARGS)" nic="eth0" container="c1" ignored_keys="[enable_debug]" error="CNI_ARGS`
	cases := map[string][]string{ // log_level -> how the lines of three commands begin
		"debug": {answered, missing, wrong},
		"info":  {answered, missing, wrong},
		"":      {answered, missing, wrong},
		"warn":  {missing, wrong},
		"Error": {wrong},
	}
	stamp := regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z `)
	for level, want := range cases {
		t.Run("level "+level, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			stdin := netConf(t, map[string]any{"log_level": level, "log_file_path": path, "enable_debug": true}, annotated, nil)
			noAddress, noPair := cmdArgs(stdin), cmdArgs(stdin)
			noAddress.IfName, noPair.Args = "net1", "X"
			for _, args := range []*skel.CmdArgs{cmdArgs(stdin), noAddress, noPair} {
				_ = (&plugin{io.Discard}).add(args) // the outcome is in the log
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			if len(got) != len(want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(got), len(want), text)
			}
			for i := range want {
				if !stamp.MatchString(got[i]) || !strings.HasPrefix(stamp.ReplaceAllString(got[i], ""), want[i]) {
					t.Errorf("line %d: got %s\nwant a time and %s…", i, got[i], want[i])
				}
			}
		})
	}
}

func TestAnUnwritableLogStopsNoPod(t *testing.T) {
	t.Parallel()
	wantResult(t, netConf(t, map[string]any{"log_file_path": filepath.Join(t.TempDir(), "missing", "log")}, annotated, nil))
}

func TestAddSaysWhenItsResultCannotBeWritten(t *testing.T) {
	t.Parallel()
	err := (&plugin{brokenPipe{}}).add(cmdArgs(netConf(t, nil, annotated, nil)))
	wantError(t, err, 5, "writing the result: broken pipe")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, fmt.Errorf("broken pipe") }

func TestAPanicIsAProtocolError(t *testing.T) {
	t.Parallel()
	err := recovered(func() *types.Error { panic("out of paper") })
	wantError(t, err, 999, "panic: out of paper")
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}
