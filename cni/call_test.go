package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

func TestNewCallRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ variable, value, wantErr string }{
		"an unknown command":      {"CNI_COMMAND", "MOVE", `CNI_COMMAND: unknown command "MOVE"`},
		"a command in small":      {"CNI_COMMAND", "add", `CNI_COMMAND: unknown command "add"`},
		"no container":            {"CNI_CONTAINERID", "", `ADD needs CNI_CONTAINERID`},
		"no namespace":            {"CNI_NETNS", "", `ADD needs CNI_NETNS`},
		"no path":                 {"CNI_PATH", "", `ADD needs CNI_PATH`},
		"no NIC":                  {"CNI_IFNAME", "", `ADD needs CNI_IFNAME`},
		"a container with a path": {"CNI_CONTAINERID", "a/b", `CNI_CONTAINERID: "a/b" is not a container's identifier`},
		"a container with a dot":  {"CNI_CONTAINERID", ".a", `CNI_CONTAINERID: ".a" is not a container's identifier`},
		"a long NIC":              {"CNI_IFNAME", "0123456789abcdef", `CNI_IFNAME: "0123456789abcdef" is not the name of a NIC`},
		"a NIC of two dots":       {"CNI_IFNAME", "..", `CNI_IFNAME: ".." is not the name of a NIC`},
		"a NIC with a blank":      {"CNI_IFNAME", "a b", `CNI_IFNAME: "a b" is not the name of a NIC`},
		"a NIC with a slash":      {"CNI_IFNAME", "a/b", `CNI_IFNAME: "a/b" is not the name of a NIC`},
		"a NIC with a colon":      {"CNI_IFNAME", "a:b", `CNI_IFNAME: "a:b" is not the name of a NIC`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			for _, pair := range append(addEnv("ADD"), tc.variable+"="+tc.value) {
				key, value, _ := strings.Cut(pair, "=")
				env[key] = value
			}
			_, err := newCall(func(key string) string { return env[key] })
			wantError(t, err, 4, tc.wantErr)
		})
	}
}

// skelName is the name under which this test binary is a plugin made of the
// library's skeleton.
const skelName = "reference"

// skelMain is a plugin that succeeds in all that the skeleton lets through.
func skelMain() int {
	succeed := func(*skel.CmdArgs) error { return nil }
	err := skel.PluginMainFuncsWithError(skel.CNIFuncs{Add: succeed, Check: succeed, Status: succeed},
		version.PluginSupports(versions...), "")
	if err == nil {
		return 0
	}
	_ = err.Print() // the exit code tells
	return 1
}

// TestCallsAreRefusedAsTheLibraryDoes holds the reading of the environment and
// of the version to the library's skeleton, which is too slow to be used: both
// must refuse the same calls with the same code.
func TestCallsAreRefusedAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	folder := installed(t, PluginName, skelName)
	conf := func(version string) []byte {
		return netConf(t, nil, annotated, map[string]any{"cniVersion": version, "prevResult": decoded(t, strings.Replace(singleResult, "1.0.0", version, 1))})
	}
	type call struct {
		env   []string
		stdin []byte
	}
	calls := map[string]call{
		"no command":      {nil, conf("1.0.0")},
		"a wrong command": {addEnv("MOVE"), conf("1.0.0")},
		"VERSION":         {addEnv("VERSION"), nil},
		"no JSON":         {addEnv("ADD"), []byte("x")},
		"no name":         {addEnv("ADD"), []byte(`{"cniVersion":"1.0.0"}`)},
		"a wrong name":    {addEnv("ADD"), []byte(`{"cniVersion":"1.0.0","name":"a b"}`)},
	}
	for _, command := range []string{"ADD", "CHECK", "STATUS"} {
		for _, version := range []string{"", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", "1.2.0", "2.0.0"} {
			calls[command+" of version "+version] = call{addEnv(command), conf(version)}
		}
		for _, variable := range []string{"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH", "CNI_ARGS"} {
			calls[command+" without "+variable] = call{append(addEnv(command), variable+"="), conf("1.1.0")}
		}
		calls[command+" of a wrong container"] = call{append(addEnv(command), "CNI_CONTAINERID=a b"), conf("1.1.0")}
		calls[command+" of a wrong NIC"] = call{append(addEnv(command), "CNI_IFNAME=a b"), conf("1.1.0")}
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := code(t, folder, skelName, call.env, call.stdin)
			if got := code(t, folder, PluginName, call.env, call.stdin); got != want {
				t.Errorf("error code %d, the library's is %d", got, want)
			}
		})
	}
}

// code runs a program and returns the error code that it prints, 0 for success.
func code(t *testing.T, folder, name string, env []string, stdin []byte) uint {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(folder, name))
	command.Env = append([]string{"HOME=/"}, env...) // never empty: that would mean this process's
	command.Stdin = bytes.NewReader(stdin)
	output, err := command.Output()
	if err == nil {
		return 0
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var printed struct{ Code uint }
	if err := json.Unmarshal(output, &printed); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
	return printed.Code
}

func TestErrorsCarryTheVersionOfTheSpecification(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printError(&out, fail(7, "look", "no %s", "luck")); err != nil {
		t.Fatal(err)
	}
	if want := `{"cniVersion":"1.1.0","code":7,"msg":"no luck","details":"look"}` + "\n"; out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
	if report(os.ErrClosed) != 1 || report(nil) != 0 {
		t.Error("an answer that cannot be written has an exit code of its own")
	}
}
