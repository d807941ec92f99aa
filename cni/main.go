package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// about is for people who start the plugin by hand.
const about = "spiderpool is a CNI IPAM plugin; container runtimes start it, with CNI_COMMAND set"

// Main runs the command that CNI_COMMAND names and returns the exit code.
func Main() int {
	switch os.Getenv("CNI_COMMAND") {
	case "DEL", "GC":
		// Whatever they are given: see the package's comment. Read to the end,
		// so that the runtime's write succeeds.
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "VERSION":
		return report(version.PluginSupports(versions...).Encode(os.Stdout))
	case "":
		fmt.Fprintln(os.Stderr, about)
	}
	err := run()
	if err == nil {
		return 0
	}
	var told *types.Error
	if !errors.As(err, &told) {
		told = fail(types.ErrInternal, "", "%v", err)
	}
	_ = report(printError(os.Stdout, told))
	return 1
}

func run() error {
	call, err := newCall(os.Getenv)
	if err != nil {
		return err
	}
	if call.Stdin, err = io.ReadAll(os.Stdin); err != nil {
		return fail(types.ErrIOFailure, "", "reading standard input: %v", err)
	}
	plugin := &Plugin{
		Lookup: func() (Lookup, error) { return siblingLookup() },
		Stdout: os.Stdout,
		Now:    time.Now,
	}
	return plugin.Run(call)
}

// printError writes an error result. Its version is the newest: it is also
// printed where the configuration's could not be read.
func printError(w io.Writer, e *types.Error) error {
	return json.NewEncoder(w).Encode(struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{version.Current(), e})
}

// report returns the exit code for an answer that was written or could not be.
func report(err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: writing the answer: %v\n", PluginName, err)
		return 1
	}
	return 0
}
