package cni

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// about is for people who start the plugin by hand.
const about = "spiderpool is a CNI IPAM plugin; container runtimes start it, with CNI_COMMAND set\n"

// Main runs the command that CNI_COMMAND names and returns the exit code.
func Main() int {
	switch os.Getenv("CNI_COMMAND") {
	case "DEL", "GC":
		// Whatever they are given: see the package's comment. Read to the end,
		// so that the runtime's write succeeds.
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "VERSION":
		return reply(versionResult())
	case "":
		complain(about)
	}
	err := run()
	if err == nil {
		return 0
	}
	var told *Error
	if !errors.As(err, &told) {
		told = fail(CodeInternal, "", "%v", err)
	}
	_ = reply(told.text()) // what went wrong with it is on stderr
	return 1
}

func run() error {
	call, err := newCall(os.Getenv)
	if err != nil {
		return err
	}
	if call.Stdin, err = io.ReadAll(os.Stdin); err != nil {
		return fail(CodeIOFailure, "", "reading standard input: %v", err)
	}
	plugin := &Plugin{
		Lookup: func() (Lookup, error) { return siblingLookup() },
		Stdout: os.Stdout,
		Now:    time.Now,
	}
	return plugin.Run(call)
}

// versionResult is the answer to VERSION.
func versionResult() []byte {
	newest := versions[len(versions)-1]
	return []byte(`{"cniVersion":"` + newest + `","supportedVersions":["` + strings.Join(versions, `","`) + "\"]}\n")
}

// reply writes to the runtime and returns the exit code.
func reply(text []byte) int {
	if _, err := os.Stdout.Write(text); err != nil {
		complain("writing the answer: " + err.Error() + "\n")
		return 1
	}
	return 0
}

// complain writes for people. There is nobody to tell if that fails.
func complain(text string) { _, _ = os.Stderr.WriteString(PluginName + ": " + text) }
