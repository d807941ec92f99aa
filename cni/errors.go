package cni

import (
	"strconv"

	"spidernet.io/spiderpool/cni/message"
	"spidernet.io/spiderpool/cni/strictjson"
)

// Error codes of the CNI specification, as far as they are used. A test holds
// them to the library.
const (
	CodeIncompatibleCNIVersion      uint = 1
	CodeInvalidEnvironmentVariables uint = 4
	CodeIOFailure                   uint = 5
	CodeDecodingFailure             uint = 6
	CodeInvalidNetworkConfig        uint = 7
	CodeTryAgainLater               uint = 11
	CodePluginNotAvailable          uint = 50
	CodeInternal                    uint = 999
)

// Error codes of the plugin's own.
const (
	// CodeLookupRefused: the API server's answer to the lookup of the pod is
	// final (no such pod, another pod of that name, no right to read it).
	CodeLookupRefused uint = 100
	// CodeCheckFailed: CHECK found an interface without its assigned address.
	CodeCheckFailed uint = 101
)

// Error is an error result of the CNI specification.
type Error struct {
	Code uint
	// Msg says what happened.
	Msg string
	// Details say what to look at; may be empty.
	Details string
}

func (e *Error) Error() string {
	if e.Details == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Details
}

// text is e as the specification wants it. Its version is the newest: errors
// are also printed where the configuration's could not be read.
func (e *Error) text() []byte {
	text := `{"cniVersion":` + strictjson.Quote(versions[len(versions)-1]) +
		`,"code":` + strconv.FormatUint(uint64(e.Code), 10) + `,"msg":` + strictjson.Quote(e.Msg)
	if e.Details != "" {
		text += `,"details":` + strictjson.Quote(e.Details)
	}
	return []byte(text + "}\n")
}

// fail makes an error; details come first, since the format's arguments come
// last.
func fail(code uint, details, format string, args ...any) *Error {
	return &Error{Code: code, Msg: message.Sprintf(format, args...), Details: details}
}
