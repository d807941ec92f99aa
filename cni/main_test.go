package cni

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes this test binary the plugin itself, or a lookup that fails as
// wanted, when it is started under their names.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case PluginName:
		os.Exit(Main())
	case skelName:
		os.Exit(skelMain())
	case LookupName:
		os.Exit(strangeLookup())
	}
	os.Exit(m.Run())
}

// strangeLookup behaves as the file beside it says.
func strangeLookup() int {
	self, err := os.Executable()
	if err != nil {
		return 3
	}
	how, err := os.ReadFile(filepath.Join(filepath.Dir(self), "how"))
	if err != nil || len(os.Environ()) > 0 { // the environment was to be empty
		return 3
	}
	if string(how) == "crash" {
		_, _ = os.Stderr.WriteString("no luck")
		return 2
	}
	_, _ = os.Stdout.Write(how)
	return 0
}

// installed copies this test binary into a folder under names.
func installed(t *testing.T, names ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range names {
		if err := os.Link(self, filepath.Join(folder, name)); err == nil {
			continue
		}
		content, err := os.ReadFile(self) // another file system
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o755); err != nil { // a program
			t.Fatal(err)
		}
	}
	return folder
}

// start runs the plugin in folder and returns what it printed and its code.
func start(t *testing.T, folder string, stdin []byte, env ...string) (string, int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(folder, PluginName))
	command.Args[0] = PluginName
	command.Env = env
	command.Stdin = bytes.NewReader(stdin)
	output, err := command.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(output), command.ProcessState.ExitCode()
}

// addEnv is the environment of an ADD into a network namespace that does not
// exist, which the plugin has no need of.
func addEnv(command string) []string {
	return []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=c1", "CNI_NETNS=/no/such/netns", "CNI_IFNAME=eth0",
		"CNI_PATH=/no/such/folder", "CNI_ARGS=" + podArgs,
	}
}

func TestProcessAnswers(t *testing.T) {
	t.Parallel()
	folder := installed(t, PluginName)
	cases := map[string]struct {
		env        []string
		stdin      []byte
		wantOutput string
		wantCode   int
	}{
		"VERSION": {
			env:        []string{"CNI_COMMAND=VERSION"},
			wantOutput: `{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}`,
		},
		"ADD": {env: addEnv("ADD"), stdin: netConf(t, nil, annotated, nil), wantOutput: singleResult},
		"ADD that is refused": {
			env: addEnv("ADD"), stdin: netConf(t, map[string]any{"x": 1}, nil, nil), wantCode: 1,
			wantOutput: `{"cniVersion":"1.1.0","code":7,"msg":"network configuration: ipam: unknown key \"x\""}`,
		},
		"ADD of a version that is not spoken": {
			env: addEnv("ADD"), stdin: netConf(t, nil, annotated, map[string]any{"cniVersion": "0.2.0"}), wantCode: 1,
			wantOutput: `{"cniVersion":"1.1.0","code":1,"msg":"cniVersion \"0.2.0\" is none of 0.3.1, 0.4.0, 1.0.0, 1.1.0"}`,
		},
		"nothing on standard input": {
			env: addEnv("ADD"), wantCode: 1,
			wantOutput: `{"cniVersion":"1.1.0","code":6,"msg":"decoding network configuration: the text ends before the object does"}`,
		},
		"a command that is not known": {
			env: addEnv("MOVE"), wantCode: 1, wantOutput: `{"cniVersion":"1.1.0","code":4,"msg":"CNI_COMMAND: unknown command \"MOVE\""}`,
		},
		"no command":              {wantCode: 1, wantOutput: `{"cniVersion":"1.1.0","code":4,"msg":"CNI_COMMAND: unknown command \"\""}`},
		"GC":                      {env: addEnv("GC"), stdin: netConf(t, map[string]any{"x": 1}, nil, map[string]any{"cniVersion": "1.1.0"})},
		"STATUS":                  {env: addEnv("STATUS"), stdin: netConf(t, nil, nil, map[string]any{"cniVersion": "1.1.0"})},
		"GC of garbage":           {env: []string{"CNI_COMMAND=GC"}, stdin: []byte("}{")},
		"DEL":                     {env: addEnv("DEL"), stdin: netConf(t, nil, annotated, nil)},
		"DEL of garbage":          {env: addEnv("DEL"), stdin: []byte("}{")},
		"DEL of an unknown key":   {env: addEnv("DEL"), stdin: netConf(t, map[string]any{"x": 1}, nil, nil)},
		"DEL of another version":  {env: addEnv("DEL"), stdin: netConf(t, nil, nil, map[string]any{"cniVersion": "9.9.9"})},
		"DEL in its own netns":    {env: append(addEnv("DEL"), "CNI_NETNS=/proc/self/ns/net"), stdin: netConf(t, nil, nil, nil)},
		"DEL without environment": {env: []string{"CNI_COMMAND=DEL"}},
		"DEL of a megabyte":       {env: addEnv("DEL"), stdin: bytes.Repeat([]byte("x"), 1<<20)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, code := start(t, folder, tc.stdin, tc.env...)
			if code != tc.wantCode {
				t.Errorf("exit code %d, want %d", code, tc.wantCode)
			}
			if tc.wantOutput == "" || output == "" {
				if output != tc.wantOutput {
					t.Errorf("got %q, want %q", output, tc.wantOutput)
				}
				return
			}
			if diff := cmp.Diff(decoded(t, tc.wantOutput), decoded(t, output)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProcessAsksTheLookupBesideIt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ how, want string }{
		"an answer":           {`{"annotations":{"ipam.spidernet.io/assigned-eth0":` + quoted(single) + `}}`, singleResult},
		"an error":            {`{"error":{"code":100,"msg":"gone"}}`, `{"cniVersion":"1.1.0","code":100,"msg":"gone"}`},
		"a pod without":       {`{}`, `"code":11`},
		"an unknown key":      {`{"pod":{}}`, `decoding the answer`},
		"an error of nothing": {`{"error":{}}`, `error 0 without a code or a message`},
		"an answer of no use": {`what?`, `are the two binaries of one release?`},
		"a crash":             {`crash`, `"details":"no luck`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := installed(t, PluginName, LookupName)
			if err := os.WriteFile(filepath.Join(folder, "how"), []byte(tc.how), 0o600); err != nil {
				t.Fatal(err)
			}
			output, _ := start(t, folder, netConf(t, map[string]any{"kubeconfig": "/k"}, nil, nil), addEnv("ADD")...)
			if !strings.HasPrefix(tc.want, "{") {
				if !strings.Contains(output, tc.want) {
					t.Errorf("got %s, want %s in it", output, tc.want)
				}
				return
			}
			if diff := cmp.Diff(decoded(t, tc.want), decoded(t, output)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProcessSaysThatTheLookupIsMissing(t *testing.T) {
	t.Parallel()
	folder := installed(t, PluginName)
	output, code := start(t, folder, netConf(t, map[string]any{"kubeconfig": "/k"}, nil, nil), addEnv("ADD")...)
	if want := filepath.Join(folder, LookupName) + " is not there"; code != 1 || !strings.Contains(output, want) {
		t.Errorf("exit code %d, got %s, want %s", code, output, want)
	}
}

func TestProcessWantsThePodNamedForALookup(t *testing.T) {
	t.Parallel()
	folder := installed(t, PluginName, LookupName)
	env := append(addEnv("ADD"), "CNI_ARGS=")
	output, code := start(t, folder, netConf(t, map[string]any{"kubeconfig": "/k"}, nil, nil), env...)
	if want := `"code":4`; code != 1 || !strings.Contains(output, want) {
		t.Errorf("exit code %d, got %s, want %s", code, output, want)
	}
}

func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"` }
